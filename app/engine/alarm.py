"""When fairness is worth an alarm, and whose fault it is.

Two things look alike on a list of loads and are not: work that went to the wrong people (`gap`, `deviation`: received
against the fair share, which is the best that rules, limits and presence allow), and work that nobody else could have
taken (`demand`: the fair share itself against an equal one). The first is ours to mend; the second asks for other
rules or other people.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.engine.types import ExecutorId

_GRAIN = 2.0
"""Task weights that nobody is blamed for: work comes in whole tasks."""


class AlarmKind(StrEnum):
    """What passed its bound."""

    GAP = "gap"  # the pool: too much work is with the wrong people
    DEVIATION = "deviation"  # a person: far from the fair share, although it could be otherwise
    DEMAND = (
        "demand"  # a person: far from an equal share, because nobody else, or hardly anything, is eligible
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """Shares of one; None: not watched. Nothing is judged below `judged_from` usual tasks a person."""

    gap: float | None = 0.1
    deviation: float | None = 0.25
    demand: float | None = 0.8
    judged_from: float = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Somebody's period so far, in task weight: received, fair share, equal share of all work while they were there."""

    executor_id: ExecutorId
    received: float
    fair: float
    even: float

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair


@dataclass(frozen=True, slots=True)
class Alarm:
    """A bound passed. `value` is the gap, or how far somebody is off as a share of what they should have (signed)."""

    kind: AlarmKind
    executor_id: ExecutorId | None
    value: float
    bound: float
    standing: Standing | None = None


def find_alarms(standings: Sequence[Standing], bounds: Bounds, task_weight: float) -> list[Alarm]:
    """Everything that is beyond the bounds; `task_weight` is that of a usual task."""
    total = sum(one.fair for one in standings)
    if not standings or total < bounds.judged_from * task_weight * len(standings):
        return []
    gap = sum(abs(one.deviation) for one in standings) / total
    alarms = (
        [Alarm(AlarmKind.GAP, None, gap, bounds.gap)] if bounds.gap is not None and gap > bounds.gap else []
    )
    return [*alarms, *_people(standings, bounds, _GRAIN * task_weight)]


def _people(standings: Iterable[Standing], bounds: Bounds, grain: float) -> Iterable[Alarm]:
    for one in standings:
        if _beyond(one.deviation, one.fair, bounds.deviation, grain):
            value = one.deviation / max(one.fair, grain)
            yield Alarm(AlarmKind.DEVIATION, one.executor_id, value, bounds.deviation or 0.0, one)
        elif _beyond(one.fair - one.even, one.even, bounds.demand, grain):
            value = (one.fair - one.even) / max(one.even, grain)
            yield Alarm(AlarmKind.DEMAND, one.executor_id, value, bounds.demand or 0.0, one)


def _beyond(off: float, whole: float, bound: float | None, grain: float) -> bool:
    return bound is not None and abs(off) > max(bound * whole, grain)
