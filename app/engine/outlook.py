"""The outlook: what is still to come today, and who should then have it, so that the present can leave room for it.

Without it a day whose kinds of work change from morning to afternoon is unfair in the end: in the morning all are
levelled, and what comes in the afternoon can only go to the few who may do it. Given the work of each class that is
expected until the end of the day, the fair share of what is and what is to come is solved at once, and the work of each
class spread over its people so that the totals come out (iterative proportional fitting: of all such spreads the most
even one). A task is then placed as if everybody had already received what they expect of the *other* classes.

A bad forecast hurts, and even a good one costs a little on a steady day: so it is off unless a stream is replayed with
it, which tells whether it would have helped (`replay --forecast`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from app.engine.fair import fair_share
from app.engine.types import BoolArray, FloatArray, IntArray

_ROUNDS = 200
_CLOSE = 1e-3
_MILLI = 1000


@dataclass(frozen=True, eq=False)
class Outlook:
    """Expected work until the end of the day: shape (k, n) by class and executor, in task units."""

    keys: Mapping[str, int]
    ids: Sequence[int]
    spread: FloatArray

    def ahead(self, key: str, eligible: BoolArray, ids: IntArray) -> IntArray:
        """What each of these executors expects besides the class with this key, in thousandths."""
        known = {executor_id: at for at, executor_id in enumerate(self.ids)}
        total = self.spread.sum(axis=0)
        own = self.spread[self.keys[key]] if key in self.keys else np.zeros(len(total))
        others = np.rint((total - own) * _MILLI).astype(np.int64)
        at = np.array([known.get(i, -1) for i in ids.tolist()], dtype=np.int64)
        found: IntArray = np.where((at >= 0) & eligible, np.append(others, 0)[at], 0)
        return found


def outlook_of(
    expected: Mapping[str, tuple[frozenset[int], float]],
    people: Sequence[tuple[int, float, float, float | None]],
) -> Outlook:
    """Solve who should have what is expected.

    Parameters
    ----------
    expected
        Per class, by the text of its key: who may take it, and how much of it is still to come, in task units.
    people
        Those who are there: id, qualification, level so far, what is left of the daily limit (None: no limit).
    """
    ids = [person[0] for person in people]
    position = {executor_id: at for at, executor_id in enumerate(ids)}
    eligible = np.zeros((len(expected), len(ids)), dtype=np.bool_)
    for row, (allowed, _) in enumerate(expected.values()):
        eligible[row, [position[i] for i in allowed if i in position]] = True
    weights = np.array([weight for _, weight in expected.values()], dtype=np.float64) * eligible.any(axis=1)
    share = fair_share(
        eligible,
        weights,
        np.array([q for _, q, _, _ in people], dtype=np.float64),
        np.array([level for _, _, level, _ in people], dtype=np.float64),
        np.array([np.inf if room is None else max(0.0, room) for *_, room in people], dtype=np.float64),
    )
    keys = {key: row for row, key in enumerate(expected)}
    return Outlook(keys, ids, spread_evenly(eligible, weights - share.unplaced, share.routed))


def spread_evenly(eligible: BoolArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Fill a table within `eligible` so that rows and columns sum up to these, as evenly as can be."""
    table: FloatArray = eligible.astype(np.float64)
    for _ in range(_ROUNDS):
        table *= np.divide(rows, table.sum(axis=1), out=np.zeros_like(rows), where=table.sum(axis=1) > 0)[
            :, None
        ]
        sums = table.sum(axis=0)
        if np.abs(sums - columns).max(initial=0.0) < _CLOSE:
            break
        table *= np.divide(columns, sums, out=np.zeros_like(columns), where=sums > 0)
    return table


class Forecast:
    """What the rest of a day should bring, by what the same weekdays before brought from that hour on."""

    def __init__(self, weeks: int = 4) -> None:
        self._weeks = weeks
        self._days: dict[date, dict[tuple[int, str], float]] = {}

    def note(self, when: datetime, key: str, weight: float) -> None:
        """Work of a class came in; `when` is local."""
        hours = self._days.setdefault(when.date(), {})
        hours[when.hour, key] = hours.get((when.hour, key), 0.0) + weight

    def rest_of(self, now: datetime) -> dict[str, float]:
        """Expected work by class from this hour to the end of the day; empty where no such weekday is known."""
        before = [now.date() - timedelta(weeks=week) for week in range(1, self._weeks + 1)]
        known = [self._days[day] for day in before if day in self._days]
        rest: dict[str, float] = {}
        for hours in known:
            for (hour, key), weight in hours.items():
                if hour >= now.hour:
                    rest[key] = rest.get(key, 0.0) + weight / len(known)
        return rest
