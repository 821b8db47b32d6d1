"""The policy: what may not be declared, and what makes one policy another."""

import math
from dataclasses import replace

import pytest
from made_evidence import POLICY

from trainer.policy import Policy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latency_budget_us": 0}, "latency_budget_us"),
        ({"latency_budget_us": None}, "latency_budget_us"),
        ({"latency_budget_times": 2}, "latency_budget_times"),
        ({"largest_unit_loss": 0}, "largest_unit_loss"),
        ({"error": 0.5}, "error must"),
        ({"slice_error": 0}, "slice_error"),
        ({"cycle_days": 0}, "cycle_days"),
        ({"slice_days": 0}, "slice_days"),
        ({"deadline_days": 0}, "deadline_days"),
        ({"min_coverage": 0}, "min_coverage"),
        ({"min_labelled": 1.1}, "min_labelled"),
        ({"min_gain_per_1000": math.nan}, "min_gain"),
        ({"min_rows": 0}, "min_rows"),
        ({"min_losses": -1}, "min_losses"),
        ({"max_label_distance": 0}, "max_label_distance"),
        ({"canary_wait_budget_us": 5_000}, "canary_wait_budget_us needs the shares of canary"),
        ({"canary_wait_budget_us": 0, "canary": (0.1,)}, "canary_wait_budget_us must be above 0"),
        (
            {"canary_wait_budget_us": 5_000, "canary": (0.1,), "canary_by": "hour"},
            "canary_wait_budget_us judges calls drawn by their ids; leave out that or canary_by",
        ),
    ],
)
def test_policy_out_of_range_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(POLICY, **change)


def test_policy_digest_follows_its_figures():
    assert POLICY.digest == replace(POLICY).digest
    assert POLICY.digest != replace(POLICY, cycle_days=6).digest
    assert Policy.from_json(POLICY.to_json()) == POLICY
