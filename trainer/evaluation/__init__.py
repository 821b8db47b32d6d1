"""Scores any registered version on any past rows, on the metric that matters, beside its hold-out."""
