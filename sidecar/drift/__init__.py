"""Drift: whether what arrives now is still what the champion was trained on."""
