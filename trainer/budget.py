"""The error budget: one for each champion's reign, shared by every candidate that was tried against it.

Each candidate is a chance for a lucky one, so each gets a part of the policy's error. The first n that come
together get error / (n + 1) each, and whoever comes later shares what is left, in the same manner: the
candidates from the a-th (not counted) to the b-th get error / ((a + 1) * (b + 1)) each. However many come,
the parts never add up to more than the error; they add up to error * b / (b + 1). (Asking each of K
candidates for K / error when it is looked at would not keep to it: with candidates one after another that
adds up to error * (1 + 1/2 + 1/3 + ...).)

Candidates come together when no decision on one of them was taken between them. A newer fit of a recipe that
takes the place of the one before it has the same part: what is bet on is the recipe, from fit to fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.lifecycle import ModelState
from sidecar.registry import Judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.lifecycle import Transition
    from sidecar.registry import Registry


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """A candidate's part: how many were tried before its group, and with it.

    >>> ErrorShare(0, 1).wanted(0.05), ErrorShare(0, 4).wanted(0.05), ErrorShare(4, 5).wanted(0.05)
    (40.0, 100.0, 600.0)
    """

    before: int
    until: int

    def of(self, error: float) -> float:
        """The part of the error that this candidate may spend."""
        return error / ((self.before + 1) * (self.until + 1))

    def wanted(self, error: float) -> float:
        """The e-value that promotes: one over the part."""
        return (self.before + 1) * (self.until + 1) / error

    def left(self, error: float) -> float:
        """What is left for candidates that come after."""
        return error / (self.until + 1)


def error_shares(registry: Registry, champion: str) -> dict[str, ErrorShare]:
    """The part of every version that was ever in the shadow while `champion` (a digest) made the replies."""
    course = registry.course()
    first_fits = _first_fits(course)
    groups: list[list[str]] = []
    together = False
    for digest in _arrivals(course, champion, first_fits):
        if digest is None:
            together = False
            continue
        if not together:
            groups.append([])
            together = True
        groups[-1].append(digest)
    shares: dict[str, ErrorShare] = {}
    for group in groups:
        before = len(shares)
        shares |= dict.fromkeys(group, ErrorShare(before, before + len(group)))
    fits = {digest: shares[first] for digest, first in first_fits.items() if first in shares}
    return shares | fits


def _first_fits(course: Sequence[Transition | Judged]) -> dict[str, str]:
    """Of every version that took another's place in the shadow, the first that stood there (digests)."""
    found: dict[str, str] = {}
    for step in course:
        if not isinstance(step, Judged) and step.successor:
            found[step.successor] = found.get(step.digest, step.digest)
    return found


def _arrivals(
    course: Sequence[Transition | Judged], champion: str, first_fits: Mapping[str, str]
) -> list[str | None]:
    """Who came into the champion's shadow, in order, by digest; None where a decision was taken.

    Who took another's place goes by the digest of the first that stood there.
    """
    serving = ""
    in_shadow: dict[str, None] = {}
    arrived: dict[str, None] = {}
    found: list[str | None] = []
    for step in course:
        if isinstance(step, Judged):
            if step.champion == champion and first_fits.get(step.candidate, step.candidate) in arrived:
                found.append(None)
            continue
        # A fit that is registered is not yet in the place of the one that it will go on from.
        in_shadow.pop(step.digest, None)
        if step.to_state is ModelState.SHADOW:
            in_shadow[step.digest] = None
        elif step.to_state is ModelState.CHAMPION:
            serving = step.digest
        if serving == champion:
            new = dict.fromkeys(first_fits.get(one, one) for one in in_shadow)
            found += [one for one in new if one not in arrived]
            arrived |= new
    return found
