"""The Open Inference Protocol; generated from proto/sidecar/oip by `make proto`."""
