"""The log: what was served, how candidates scored it, and what really happened."""
