"""When fairness is worth an alarm, and whose fault it is.

Two things look alike on a list of loads and are not: work that went to the wrong people (`gap`, `deviation`: received
against the fair share, which is the best that rules, limits and presence allow), and work that no other executor could
have taken (`demand`: the fair share itself against an equal one). The first is ours to mend; the second asks for other
rules or other people.

An outlook keeps people apart on purpose while the day goes on, and that alone is no alarm. Of a forecast counts only
what it does not explain: somebody has less than is fair so far, and is not expected to come to it; or has more than is
fair and than they are expected to end with, and not only in place of those who are held back. A reserve keeps people
apart by a few tasks, and so many are forgiven.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.engine.types import ExecutorId

_GRAIN = 2.0
"""Task weights that nobody is blamed for: work comes in whole tasks."""
_KEPT_APART = 3.0
"""The same, more, with a reserve. In 1,400 looks at fair days of 15 and 100 people (nested, departments, shifts) there
were 26 alarms without a reserve, 57 with it, and none where so much was forgiven.
"""


class AlarmKind(StrEnum):
    """The measure that passed its bound."""

    GAP = "gap"  # the pool: too much work is with the wrong people
    DEVIATION = "deviation"  # a person: far from the fair share, although it could be otherwise
    DEMAND = "demand"  # a person: far from an equal share, because no other executor is eligible, or hardly any task is


@dataclass(frozen=True, slots=True)
class AlarmBounds:
    """Shares of one; None: not watched. Nothing is judged below `judged_from` usual tasks a person."""

    gap: float | None = 0.1
    deviation: float | None = 0.25
    demand: float | None = 0.8
    judged_from: float = 10.0


@dataclass(frozen=True, slots=True)
class PeriodStanding:
    """An executor's period so far, in task weight: received, fair share, equal share of all work while present.

    `expected` is what a forecast expects them to have received at the end of the day (None: it expects nothing).
    """

    executor_id: ExecutorId
    received: float
    fair: float
    even: float
    expected: float | None = None

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair

    @property
    def unexpected(self) -> float:
        """The part of the deviation that is not in line with what a forecast expects."""
        if self.expected is None:
            return self.deviation
        if self.deviation > 0:
            return max(0.0, self.received - max(self.fair, self.expected))
        return min(0.0, max(self.received, self.expected) - self.fair)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A bound passed. `value` is the gap, or how far somebody is off as a share of what they should have (signed)."""

    kind: AlarmKind
    executor_id: ExecutorId | None
    value: float
    bound: float
    standing: PeriodStanding | None = None


def find_alarms(
    standings: Sequence[PeriodStanding], bounds: AlarmBounds, task_weight: float, *, reserves: bool = False
) -> list[Alarm]:
    """Everything that is beyond the bounds; `task_weight` is that of a usual task.

    `reserves`: the last decisions kept room by the mix of the day.
    """
    total = sum(one.fair for one in standings)
    if not standings or total < bounds.judged_from * task_weight * len(standings):
        return []
    gap = sum(abs(one.deviation) for one in standings) / total
    unexplained = _unexplained(standings)
    beyond = bounds.gap is not None and sum(map(abs, unexplained)) / total > bounds.gap
    alarms = [Alarm(AlarmKind.GAP, None, gap, bounds.gap or 0.0)] if beyond else []
    apart = _KEPT_APART * task_weight if reserves else 0.0
    judged = zip(standings, unexplained, strict=True)
    return [*alarms, *_people(judged, bounds, _GRAIN * task_weight, apart)]


def _unexplained(standings: Sequence[PeriodStanding]) -> list[float]:
    """Deviation of each executor without the part that a forecast explains.

    What those lack who are held back, others have: of too much no larger part counts than of too little.
    """
    lacking = sum(one.deviation for one in standings if one.deviation < 0)
    counts = sum(one.unexpected for one in standings if one.deviation < 0) / lacking if lacking else 1.0
    return [
        min(one.unexpected, one.deviation * counts) if one.deviation > 0 else one.unexpected
        for one in standings
    ]


def _people(
    judged: Iterable[tuple[PeriodStanding, float]], bounds: AlarmBounds, grain: float, apart: float
) -> Iterable[Alarm]:
    for one, unexplained in judged:
        if _beyond(unexplained, one.fair, bounds.deviation, grain + apart):
            value = one.deviation / max(one.fair, grain)
            yield Alarm(AlarmKind.DEVIATION, one.executor_id, value, bounds.deviation or 0.0, one)
        elif _beyond(one.fair - one.even, one.even, bounds.demand, grain):
            value = (one.fair - one.even) / max(one.even, grain)
            yield Alarm(AlarmKind.DEMAND, one.executor_id, value, bounds.demand or 0.0, one)


def _beyond(off: float, whole: float, bound: float | None, grain: float) -> bool:
    return bound is not None and abs(off) > max(bound * whole, grain)
