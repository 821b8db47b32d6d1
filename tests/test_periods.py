from datetime import UTC, datetime

import numpy as np
import pytest

from trainer.days import DAY_NS, iso_day, moment
from trainer.evaluation.periods import By, period_of, split


@pytest.mark.parametrize(
    ("by", "day", "name", "until"),
    [
        (By.DAY, "2013-12-31", "2013-12-31", "2014-01-01"),
        (By.WEEK, "2013-12-31", "2013-12-30", "2014-01-06"),
        (By.WEEK, "2013-12-30", "2013-12-30", "2014-01-06"),
        (By.MONTH, "2013-12-31", "2013-12", "2014-01-01"),
        (By.MONTH, "2012-02-01", "2012-02", "2012-03-01"),
    ],
)
def test_period_of_a_moment(by, day, name, until):
    period = period_of(moment(datetime.fromisoformat(day).replace(tzinfo=UTC)) + DAY_NS - 1, by)
    assert (period.name, iso_day(period.until_ns)) == (name, until)


@pytest.mark.parametrize("by", list(By))
def test_every_row_is_in_exactly_one_period(by):
    rng = np.random.default_rng(0)
    event_ns = np.sort(rng.integers(0, 200 * DAY_NS, 500))
    found = list(split(event_ns, by))
    assert [part.start for _, part in found] == [0, *(part.stop for _, part in found[:-1])]
    assert found[-1][1].stop == len(event_ns)
    for period, part in found:
        assert period.since_ns <= event_ns[part][0] <= event_ns[part][-1] < period.until_ns
    assert list(split(event_ns[:0], by)) == []
