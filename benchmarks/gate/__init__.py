"""What the gate's procedure does on streams whose truth is known: the figures of docs/gate.md."""
