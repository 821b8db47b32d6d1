import itertools

import pytest

from sidecar.errors import ConflictError, InvalidRequestError
from sidecar.lifecycle import ModelState, Reason, changes_serving, check_arrow, next_states

R, A, S, C = ModelState.REGISTERED, ModelState.ADMITTED, ModelState.SHADOW, ModelState.CHAMPION
CANARY, STANDBY = ModelState.CANARY, ModelState.STANDBY
RETIRED, REFUSED, REJECTED, SUPERSEDED, BACK = (
    ModelState.RETIRED,
    ModelState.REFUSED,
    ModelState.REJECTED,
    ModelState.SUPERSEDED,
    ModelState.ROLLED_BACK,
)
TABLE = {
    None: {R},
    R: {A, REFUSED},
    A: {REFUSED, S, C},
    S: {CANARY, C, REJECTED, SUPERSEDED},
    CANARY: {CANARY, S, C, REJECTED},
    C: {STANDBY, BACK},
    STANDBY: {C, RETIRED},
    RETIRED: {C},
    REFUSED: set(),
    REJECTED: set(),
    SUPERSEDED: set(),
    BACK: {S},
}


@pytest.mark.parametrize(("state", "to"), list(itertools.product(TABLE, ModelState)))
def test_the_arrows_are_these_and_no_others(state, to):
    if to in TABLE[state]:
        check_arrow(state, to)
    else:
        with pytest.raises(ConflictError, match=f"cannot become {to}"):
            check_arrow(state, to)


def test_a_refusal_says_what_is_possible():
    with pytest.raises(
        ConflictError,
        match="a version that is shadow cannot become retired; "
        "possible: canary, champion, rejected, superseded",
    ):
        check_arrow(S, RETIRED)
    with pytest.raises(ConflictError, match="possible: nothing: export a new version"):
        check_arrow(REJECTED, S)
    assert next_states(None) == [R]


@pytest.mark.parametrize(
    ("state", "to", "changes"),
    [
        (None, R, False),
        (R, A, False),
        (R, REFUSED, False),
        (A, S, True),
        (A, C, True),
        (S, C, True),
        (S, REJECTED, True),
        (C, STANDBY, True),
        (STANDBY, RETIRED, True),
        (STANDBY, C, True),
        (BACK, S, True),
        (C, BACK, True),
        (RETIRED, C, True),
    ],
)
def test_what_changes_the_serving_set(state, to, changes):
    assert changes_serving(state, to) is changes


@pytest.mark.parametrize(("actor", "why", "named"), [("", "because", "actor"), ("me", " ", "why")])
def test_a_reason_says_who_and_why(actor, why, named):
    with pytest.raises(InvalidRequestError, match=named):
        Reason(actor, why)
