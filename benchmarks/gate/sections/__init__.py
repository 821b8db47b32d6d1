"""The sections of docs/gate.md, each from its part of the results."""
