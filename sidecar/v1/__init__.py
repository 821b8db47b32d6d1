"""The sidecar's own API; generated from proto/sidecar/v1 by `make proto`."""
