"""The ledger of a replay: who received what in which span, and what of it was fair.

A span is a stretch of one business day in which nobody came or went. All weights are in task units, instants are
seconds since 1970. `figures` solves the fair share of every day from the sums alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from app.engine.fairness.fair import (
    Member,
    Memo,
    Span,
    even_share_of_spans,
    fair_share_of_spans,
    fairness_gap,
    mean_absolute_deviation,
    utilisations,
)
from app.engine.placement.eligibility import EligibilityClass
from app.engine.placement.state import MILLI, UNLIMITED, PoolState
from app.engine.types import ExecutorId


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """One executor over the period. `even` is an equal share of all work while they were present, eligible or not."""

    executor_id: ExecutorId
    tasks: int
    received: float
    fair: float
    even: float
    days: int

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One business day; `gap` is that day's alone, `gap_so_far` that of the period up to it (None: nothing placed)."""

    day: date
    arrived: int
    placed: int
    people: int
    gap: float | None
    gap_so_far: float | None


@dataclass(frozen=True, slots=True)
class HourFigures:
    """One hour of the day over the whole period; `mean_wait` in seconds, None where nothing was placed."""

    hour: int
    arrived: int
    placed: int
    mean_wait: float | None


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from arrival to assignment, over all that were placed; `waited` counts those who did not go at once."""

    waited: int
    mean: float
    median: float
    p90: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """The outcome of a stream: fairness, load, waits, and the tasks left over."""

    people: Sequence[PersonFigures]
    days: Sequence[DayFigures]
    hours: Sequence[HourFigures]
    arrived: int
    placed: int
    unplaced: Mapping[str, int]
    broken: Mapping[str, int]
    waits: Waits | None
    fairness_gap: float | None
    mae: float
    mae_optimum: float

    @property
    def worst(self) -> PersonFigures | None:
        """The executor farthest from the fair share."""
        return max(self.people, key=lambda one: abs(one.deviation), default=None)


@dataclass(slots=True)
class _Span:
    members: list[Member]
    work: dict[bytes, float] = field(default_factory=lambda: defaultdict(float))


@dataclass(slots=True)
class _Day:
    spans: list[_Span] = field(default_factory=list)
    fixed: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    received: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    arrived: int = 0
    placed: int = 0


class Ledger:
    """Written while a stream is played; `figures` closes it."""

    def __init__(self, state: PoolState, zone: ZoneInfo) -> None:
        self._state = state
        self._zone = zone
        self._days: dict[date, _Day] = defaultdict(_Day)
        self._sets: dict[bytes, frozenset[int]] = {}
        self._tasks: Counter[int] = Counter()
        self._roster: tuple[date, int, bytes] | None = None
        self._waits: list[float] = []
        self._arrived: Counter[int] = Counter()
        self._placed: Counter[int] = Counter()
        self._wait_of_hour: dict[int, float] = defaultdict(float)
        self._memo: Memo = {}
        self._owed: dict[int, float] = {}
        self._closed_days: set[date] = set()
        self.unplaced: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()

    def arrive(self, at: float) -> None:
        """A task came in."""
        when = datetime.fromtimestamp(at, self._zone)
        self._days[when.date()].arrived += 1
        self._arrived[when.hour] += 1

    def give(
        self,
        executor_id: ExecutorId,
        weight: float,
        found: EligibilityClass,
        *,
        at: float,
        wait: float | None,
        routed: bool,
    ) -> None:
        """Note that an executor received a task at this instant."""
        when = datetime.fromtimestamp(at, self._zone)
        day = self._days[when.date()]
        day.placed += 1
        day.received[executor_id] += weight
        self._tasks[executor_id] += 1
        self._placed[when.hour] += 1
        if wait is not None:
            self._waits.append(wait)
            self._wait_of_hour[when.hour] += wait
        if routed:
            self._span(when.date(), day).work[self._name(found)] += weight
        else:
            day.fixed[executor_id] += weight

    def _span(self, when: date, day: _Day) -> _Span:
        # A roster's version says nothing of shifts: who comes or goes for a while is the same person to the rules.
        here = (self._state.here & self._state.active).tobytes()
        roster = (when, self._state.roster_version, here)
        if self._roster != roster:
            self._roster = roster
            day.spans.append(_Span(members_of(self._state)))
        return day.spans[-1]

    def _name(self, found: EligibilityClass) -> bytes:
        name = found.eligible.tobytes()
        if name not in self._sets:
            self._sets[name] = frozenset(self._state.ids[found.eligible].tolist())
        return name

    @property
    def task_weight(self) -> float:
        """The weight of a usual task so far."""
        received = sum(sum(day.received.values()) for day in self._days.values())
        return received / max(1, self._tasks.total())

    def remainders(self, today: date) -> dict[ExecutorId, float]:
        """Received beyond the fair share of all spans so far, those of `today` still open."""
        for when in sorted(self._days.keys() - self._closed_days):
            if when < today:
                self._closed_days.add(when)
                _add(self._owed, self._off_of(self._days[when]))
        self._memo = {} if today not in self._days else self._memo
        owed = dict(self._owed)
        if today in self._days:
            _add(owed, self._off_of(self._days[today]))
        return {ExecutorId(i): remainder for i, remainder in owed.items()}

    def _off_of(self, day: _Day) -> dict[int, float]:
        fair = fair_share_of_spans([self._closed(span) for span in day.spans], day.fixed, self._memo)
        return {i: day.received.get(i, 0.0) - fair.get(i, 0.0) for i in fair.keys() | day.received.keys()}

    def figures(self) -> StreamFigures:
        """Solve what would have been fair, and sum up."""
        fair, even, received = (defaultdict[int, float](float) for _ in range(3))
        days, present = [], Counter[int]()
        for when, day in sorted(self._days.items()):
            spans = [self._closed(span) for span in day.spans]
            fair_today, even_today = (
                fair_share_of_spans(spans, day.fixed, self._memo),
                even_share_of_spans(spans),
            )
            off = _off(day.received, fair_today)
            _add(fair, fair_today)
            _add(even, even_today)
            _add(received, day.received)
            present.update({member.id for span in spans for member in span.members})
            total = sum(fair_today.values())
            days.append(
                DayFigures(
                    when,
                    day.arrived,
                    day.placed,
                    len({member.id for span in spans for member in span.members}),
                    off / total if total else None,
                    _off(received, fair) / sum(fair.values()) if sum(fair.values()) else None,
                )
            )
        return self._summed_up(days, _Sums(fair, even, received, present))

    def _closed(self, span: _Span) -> Span:
        return Span(span.members, [(self._sets[name], weight) for name, weight in span.work.items()])

    def _summed_up(self, days: Sequence[DayFigures], sums: "_Sums") -> StreamFigures:
        ids = sorted(sums.fair.keys() | sums.even.keys() | sums.received.keys())
        people = [
            PersonFigures(
                ExecutorId(i),
                self._tasks[i],
                round(sums.received[i], 3),
                round(sums.fair[i], 6),
                sums.even[i],
                sums.present[i],
            )
            for i in ids
        ]
        received, fair = np.array([one.received for one in people]), np.array([one.fair for one in people])
        q, limits = self._capacities(people)
        return StreamFigures(
            people=people,
            days=days,
            hours=self._hours(),
            arrived=self._arrived.total(),
            placed=self._placed.total(),
            unplaced=dict(self.unplaced),
            broken=dict(self.broken),
            waits=waits_of(self._waits),
            fairness_gap=fairness_gap(received, fair) if fair.sum() > 0 else None,
            mae=mean_absolute_deviation(utilisations(received, q, limits)),
            mae_optimum=mean_absolute_deviation(utilisations(fair, q, limits)),
        )

    def _capacities(self, people: Sequence[PersonFigures]) -> tuple[np.ndarray, np.ndarray]:
        at = [self._state.position[one.executor_id] for one in people]
        days = np.array([one.days for one in people], dtype=np.float64)
        limit = self._state.limit[at]
        limits = np.where(limit >= UNLIMITED, np.inf, limit / MILLI * np.maximum(days, 1))
        return self._state.qualification[at], limits

    def _hours(self) -> list[HourFigures]:
        return [
            HourFigures(
                hour,
                self._arrived[hour],
                self._placed[hour],
                self._wait_of_hour[hour] / self._placed[hour] if self._placed[hour] and self._waits else None,
            )
            for hour in range(24)
        ]


@dataclass(frozen=True, slots=True)
class _Sums:
    fair: Mapping[int, float]
    even: Mapping[int, float]
    received: Mapping[int, float]
    present: Mapping[int, int]


def members_of(state: PoolState) -> list[Member]:
    """The executors present now, by id."""
    here = np.flatnonzero(state.here & state.active)
    return sorted(
        (
            Member(
                state.ids.item(at),
                state.qualification.item(at),
                None if state.limit.item(at) >= UNLIMITED else state.limit.item(at) / MILLI,
            )
            for at in here.tolist()
        ),
        key=lambda member: member.id,
    )


def waits_of(seconds: Iterable[float]) -> Waits | None:
    """The waits summed up; None where none are known."""
    all_ = np.array(list(seconds), dtype=np.float64)
    if not len(all_):
        return None
    median, p90, p99 = np.percentile(all_, (50, 90, 99)).tolist()
    return Waits(int((all_ > 0).sum()), float(all_.mean()), median, p90, p99, float(all_.max()))


def _off(received: Mapping[int, float], fair: Mapping[int, float]) -> float:
    return sum(abs(received.get(i, 0.0) - fair.get(i, 0.0)) for i in received.keys() | fair.keys())


def _add(total: dict[int, float], more: Mapping[int, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value
