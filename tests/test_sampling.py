import pytest

from sidecar.domain import to_ids
from sidecar.sampling import is_kept

IDS = to_ids([f"request-{number}" for number in range(20_000)])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_kept(share):
    assert is_kept(IDS, share).mean() == pytest.approx(share, abs=0.01)


def test_what_is_kept_stays_kept_at_a_greater_share():
    few, more = is_kept(IDS, 0.2), is_kept(IDS, 0.6)
    assert not (few & ~more).any()


def test_the_choice_is_the_requests_own():
    assert is_kept(IDS[::-1], 0.3).tolist() == is_kept(IDS, 0.3).tolist()[::-1]
    assert is_kept(to_ids(list("defg")), 0.5).tolist() == [True, True, False, False]
