"""Probation: a new champion against the one before it, which goes on scoring so that it can return."""
