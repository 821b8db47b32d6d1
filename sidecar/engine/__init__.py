"""The request path: one contract, several engines."""
