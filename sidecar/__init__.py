"""A model-serving sidecar with shadow evaluation."""

__version__ = "0.1.0"
