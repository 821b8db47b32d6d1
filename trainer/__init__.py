"""Retrains, gathers evidence from the sidecar's log, and promotes what earned it."""
