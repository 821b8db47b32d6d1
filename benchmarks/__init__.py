"""Measurements of the sidecar beside its peers; `python -m benchmarks --help` lists them."""
