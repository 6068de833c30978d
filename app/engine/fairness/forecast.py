"""The outlook: what is still to come today, and who will need their room for it, so that the present leaves it to them.

Without it a day whose kinds of work change from morning to afternoon is unfair in the end: in the morning all are
levelled, and what comes in the afternoon can only go to the few who may do it. Given what the same weekdays before
brought from now on, the fair share of what was and what is to come is solved at once, for each of those days: the level
at which everybody would end is the price of giving them anything more now (the derivative of the best that can still be
reached). An executor who is to end higher than others is *held back*: at their price, work that others can take goes to
others first; among equal prices the level decides as ever. So people are kept apart no more than what comes demands,
and a wrong forecast of a steady day costs it little in the end. An executor who will use up their daily limit is no
bargain for ending low: what they take now others will have to take from them later, at the price of those others.

An outlook ages with every task, so it is made anew whenever half a task a person was placed. It helps no more than the
same weekdays are alike: so it is off unless somebody switches it on, and it is measured on past days by replay first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from app.engine.fairness.fair import FairShare, fair_share
from app.engine.types import BoolArray, ExecutorId, FloatArray, IntArray

_MILLI = 1000
_FULL = 1e-3
"""Task units of room that are none: flows are exact to a millionth for each person."""
_STEEP = 50.0
"""Tasks by which somebody is held back for each task that they are to end higher: a price counts before a level."""
WEEKS = 4
"""How many of the same weekdays before tell what a day brings."""

Rest: TypeAlias = Mapping[str, float]
"""Weight still to come in each class, by the text of its key, in task units."""


class Prospect(NamedTuple):
    """One executor's, in task units.

    By how much they are held back, and the day's routed work that a forecast expects of them (None: it is a reserve).
    """

    held: float
    target: float | None = None


@dataclass(frozen=True, eq=False)
class Outlook:
    """The prospect of each executor, by id; an executor who is missing is not held back."""

    people: Mapping[int, Prospect]

    @property
    def is_forecast(self) -> bool:
        """Whether it tells what people come to, and not only who is held back."""
        return any(one.target is not None for one in self.people.values())

    def held_of(self, executor_id: int) -> int:
        """By how much somebody is held back, in thousandths."""
        prospect = self.people.get(executor_id)
        return 0 if prospect is None else round(prospect.held * _MILLI)

    def held(self, ids: IntArray) -> IntArray:
        """The same of everybody, shape (n,)."""
        return np.array([self.held_of(executor_id) for executor_id in ids.tolist()], dtype=np.int64)

    def as_json(self) -> list[Any]:
        """As the trail keeps it."""
        return [[executor_id, *prospect] for executor_id, prospect in self.people.items()]

    @classmethod
    def of(cls, stored: Sequence[Any]) -> "Outlook":
        """From what the trail kept."""
        return cls({row[0]: Prospect(*row[1:]) for row in stored})


class Present(NamedTuple):
    """A present executor: level, routed work of the day so far, rest of the daily limit (None: no limit)."""

    id: ExecutorId
    qualification: float
    level: float
    used: float
    room: float | None


def outlook_of(
    rests: Sequence[Rest], eligible: Mapping[str, frozenset[int]], people: Sequence[Present]
) -> Outlook | None:
    """Solve how everybody would end, were the rest of today as on each of those days; None where nothing is to come.

    `eligible` are the ids that the rules allow for each class of `rests`.
    """
    position = {one.id: at for at, one in enumerate(people)}
    keys = sorted({key for rest in rests for key in rest})
    may = np.zeros((len(keys), len(people)), dtype=np.bool_)
    for row, key in enumerate(keys):
        may[row, [position[ExecutorId(i)] for i in eligible[key] if i in position]] = True
    weights = np.array([[rest.get(key, 0.0) for key in keys] for rest in rests]) * may.any(axis=1)
    if not weights.any():
        return None
    levels, qualifications, room = _columns(people)
    solved = [fair_share(may, each, qualifications, levels, room) for each in weights]
    routed = np.mean([each.routed for each in solved], axis=0)
    costs = np.mean(
        [
            prices(may[work > 0], each, qualifications, room)
            for work, each in zip(weights, solved, strict=True)
        ],
        axis=0,
    )
    held = _STEEP * (costs - costs.min()) * qualifications
    return Outlook(
        {
            one.id: Prospect(round(back, 3), round(one.used + more, 3))
            for one, back, more in zip(people, held.tolist(), routed.tolist(), strict=True)
        }
    )


def prices(
    eligible: BoolArray, solved: FairShare, qualifications: FloatArray, room: FloatArray
) -> FloatArray:
    """Price of one more task for each executor, per unit of qualification: the level at which they would end.

    `eligible` are the rows of work to come. Of executors who will have no `room` left, the highest level at which work
    that they may take would end with others (of work that nobody will have room for, the highest of all).
    """
    ends: FloatArray = solved.shares / qualifications
    full = solved.routed >= room - _FULL
    if not full.any():
        return ends
    elsewhere = np.where(eligible & ~full, ends, np.inf).min(axis=1, initial=np.inf)
    reached = np.minimum(elsewhere, ends.max())
    return np.where(full, np.maximum(ends, (eligible * reached[:, None]).max(axis=0, initial=0.0)), ends)


def _columns(people: Sequence[Present]) -> tuple[FloatArray, FloatArray, FloatArray]:
    return (
        np.array([one.level for one in people], dtype=np.float64),
        np.array([one.qualification for one in people], dtype=np.float64),
        np.array([np.inf if one.room is None else max(0.0, one.room) for one in people], dtype=np.float64),
    )


_Hours: TypeAlias = Mapping[tuple[int, str], float]


class Forecast:
    """The expected rest of a day, from the same hours of earlier weekdays of the same name."""

    def __init__(self, weeks: int = WEEKS) -> None:
        self._weeks = weeks
        self._days: dict[date, dict[tuple[int, str], float]] = {}

    def note(self, when: datetime, key: str, weight: float) -> None:
        """Work of a class came in; `when` is local."""
        hours = self._days.setdefault(when.date(), {})
        hours[when.hour, key] = hours.get((when.hour, key), 0.0) + weight

    def rests(self, now: datetime, until: datetime | None = None) -> list[Rest]:
        """Work of each earlier weekday of the same name from now to `until` (or the end of the day).

        Of the hour that has begun what is left of it counts, and no more than today has not yet brought of it. Both are
        local.
        """
        before = [now.date() - timedelta(weeks=week) for week in range(1, self._weeks + 1)]
        begin, end = _hour_of(now), 24.0
        if until is not None and until.date() == now.date():
            end = _hour_of(until)
        today = self._days.get(now.date(), {})
        return [_rest(self._days[day], today, begin, end) for day in before if day in self._days]


def _rest(hours: _Hours, today: _Hours, begin: float, end: float) -> Rest:
    rest: dict[str, float] = {}
    for (hour, key), weight in hours.items():
        inside = min(hour + 1.0, end) - max(float(hour), begin)
        if inside > 0:
            due = weight * inside if hour > begin else max(0.0, weight - today.get((hour, key), 0.0))
            rest[key] = rest.get(key, 0.0) + min(due, weight * inside)
    return rest


def _hour_of(when: datetime) -> float:
    return when.hour + when.minute / 60 + when.second / 3600
