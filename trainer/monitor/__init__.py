"""Looks at what the champion meets and earns, and says what somebody should look at. It promotes nothing."""
