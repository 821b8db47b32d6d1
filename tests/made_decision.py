"""A decision as the registry keeps it, made by hand."""

from sidecar.registry import StoredDecision

DECISION = StoredDecision(
    candidate="c" * 64,
    champion="d" * 64,
    action="hold",
    reasons=["too few days", "gain 1.5 ± 2"],
    e_value=3.25,
    wanted=40.0,
    budget=0.025,
    budget_left=0.025,
    evidence_digest="e" * 64,
    policy_digest="f" * 64,
    evidence_json='{"rows": 3}',
    policy_json='{"cycle_days": 7}',
    decided_ns=12,
    logged_ns=11,
    actor="gate",
)
