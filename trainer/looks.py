"""At which look each row first counted, so that what was once seen stays as it was seen.

Bets may be looked at as often as one likes only while each look goes on from the one before it. Rows may be
logged after the hour or the day they are of was looked at: a recorder stalled, a shadow caught up. In the
order of the events such a row would stand before others, and every block after it would hold other rows than
before; and the money of a day would be another sum. So rows stand in the order of the looks at which they
first counted, and only those of one look in that of the events; and on a day that was judged without it no
row counts any more, but on the first one that was not. A row that comes late is not lost, it stands behind
all that had been seen. Where nobody looked in between, the order is that of the events, whatever came first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from sidecar.registry_looks import Look


def first_look(
    looks: Sequence[Look],
    event_ns: NDArray[np.int64],
    written_ns: NDArray[np.int64],
    start: Callable[[int], int],
) -> NDArray[np.int64]:
    """The number of the look at which each row first counted, `len(looks)` for the present one. int64 [n].

    looks: those before, in the order of what had been logged. written_ns: when the row was logged, with all
    that it counts for. start: of the day or hour that a moment falls in; only rows before it count.

    >>> from sidecar.registry_looks import Look
    >>> from trainer.days import HOUR_NS, hour_start
    >>> looks = [Look(as_of_ns=HOUR_NS, logged_ns=10), Look(as_of_ns=2 * HOUR_NS, logged_ns=20)]
    >>> event_ns, written_ns = np.array([1, 2, 3, HOUR_NS, 2 * HOUR_NS]), np.array([10, 11, 21, 10, 20])
    >>> first_look(looks, event_ns, written_ns, hour_start).tolist()
    [0, 1, 2, 1, 2]
    """
    logged_ns = np.array([one.logged_ns for one in looks], np.int64)
    ended_ns = _ended(looks, start)
    return np.maximum(
        np.searchsorted(logged_ns, written_ns), np.searchsorted(ended_ns, event_ns, side="right")
    )


def counted_ns(
    looks: Sequence[Look],
    event_ns: NDArray[np.int64],
    written_ns: NDArray[np.int64],
    observed_ns: NDArray[np.int64],
    start: Callable[[int], int],
) -> NDArray[np.int64]:
    """A moment of the day on which each row counts: its own, or the first that was not judged without it.

    observed_ns: when its outcome was seen, on the clock of the events, 0 where none counts. Else as
    `first_look`; int64 [n].

    >>> from sidecar.registry_looks import Look
    >>> from trainer.days import DAY_NS, day_start
    >>> looks = [Look(as_of_ns=DAY_NS, logged_ns=10), Look(as_of_ns=3 * DAY_NS, logged_ns=20)]
    >>> event_ns, written_ns = np.full(4, DAY_NS // 2), np.array([10, 11, 21, 10])
    >>> found = counted_ns(looks, event_ns, written_ns, np.array([0, 0, 0, 2 * DAY_NS]), day_start)
    >>> (found / DAY_NS).tolist()
    [0.5, 1.0, 3.0, 1.0]
    """
    first = np.maximum(
        first_look(looks, event_ns, written_ns, start),
        np.searchsorted(_newest(one.as_of_ns for one in looks), observed_ns),
    )
    judged_ns = np.append(0, _ended(looks, start))
    return np.asarray(np.maximum(event_ns, judged_ns[first]))


def _ended(looks: Sequence[Look], start: Callable[[int], int]) -> NDArray[np.int64]:
    """Up to when rows had counted after each look."""
    return _newest(start(one.as_of_ns + 1) for one in looks)


def _newest(moments: Iterable[int]) -> NDArray[np.int64]:
    """Of all up to each."""
    newest: NDArray[np.int64] = np.maximum.accumulate(np.array([*moments], np.int64))
    return newest


def order_of(first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order in which rows, given in that of the events, stand; first: see `first_look`. int64 [n]."""
    return np.argsort(first, kind="stable")


def before(looks: Sequence[Look], look: Look) -> list[Look]:
    """Those that a look goes on from."""
    return [one for one in looks if (one.logged_ns, one.as_of_ns) < (look.logged_ns, look.as_of_ns)]
