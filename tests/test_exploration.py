"""Which rows are explored, and what the log keeps of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from tiny_bundles import tiny_bundle

from sidecar.domain import to_ids
from sidecar.errors import BundleError
from sidecar.exploration import NO_EXPLORATION, Exploration, is_explored
from sidecar.sampling import is_kept

HIDING = np.ones(20_000, bool)
shares = st.floats(0.001, 0.499)


def drawn(share, ids):
    return is_explored(Exploration("act", share).propensity(ids, HIDING[: len(ids)]))


@settings(deadline=None, max_examples=30)
@given(shares, st.text("abcdef-/", max_size=12))
def test_about_the_share_is_explored_and_whether_the_log_keeps_the_row_does_not_matter(share, prefix):
    ids = [f"{prefix}{number}" for number in range(len(HIDING))]
    explored, kept = drawn(share, ids), is_kept(to_ids(ids), 0.5)
    for part in (explored, explored[kept], explored[~kept]):
        # Six times in a million by chance, in one of three parts of thirty examples: once in 2,000 runs.
        assert binom.cdf(part.sum(), len(part), share) > 3e-6
        assert binom.sf(part.sum() - 1, len(part), share) > 3e-6


@given(st.lists(st.tuples(st.text("abc", min_size=1), st.booleans()), min_size=1), shares)
def test_only_the_hiding_action_is_explored_each_id_always_alike(rows, share):
    ids, decision = [each[0] for each in rows], np.array([each[1] for each in rows])
    for hiding, action in ((True, "act"), (False, "pass")):
        found = Exploration(action, share).propensity(ids, decision)
        assert (found[decision != hiding] == 1).all()
        low = found[decision == hiding]
        assert set(low.tolist()) <= {np.float32(share).item(), np.float32(1 - share).item()}
        alone = [Exploration(action, share).propensity([one], np.array([hiding]))[0] for one in ids]
        assert low.tolist() == [each for each, one in zip(alone, decision, strict=True) if one == hiding]


def test_what_is_explored_stays_explored_at_a_greater_share():
    ids = [f"r{number}" for number in range(len(HIDING))]
    assert not (drawn(0.02, ids) & ~drawn(0.1, ids)).any()


def test_nothing_is_explored_without_a_share():
    assert (NO_EXPLORATION.propensity(["a"] * 9, HIDING[:9]) == 1).all()


def test_a_bundle_says_what_it_explores(tmp_path):
    assert tiny_bundle(tmp_path).exploration == NO_EXPLORATION
    explores = Exploration("pass", 0.02)
    bundle = tiny_bundle(tmp_path, facts={"exploration": explores.to_json()})
    assert bundle.exploration == explores


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"instead_of": "block", "share": 0.1}, "instead_of is 'block'; give 'act' or 'pass'"),
        ({"instead_of": "act", "share": 0.5}, "share is 0.5; give at least 0 and less than 0.5"),
        ({"instead_of": "act", "share": "0.1"}, "share is '0.1'"),
        ({"instead_of": "act"}, "share"),
        (None, "mapping"),
    ],
)
def test_a_bundle_that_explores_in_no_way_we_know_is_refused(tmp_path, said, why):
    with pytest.raises(BundleError, match=f"its exploration is none: .*{why}.*; mend the task"):
        tiny_bundle(tmp_path, facts={"exploration": said})
