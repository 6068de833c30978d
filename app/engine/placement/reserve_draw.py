"""The reserve: room that people keep for what only few can take, by the mix of the day so far; it needs no history.

Levels look back. Where what some may do is a part of what others may do, chance leaves the few too high now and then,
and no later work can take from them what others could have had. So the day's own mix is asked what comes next: a future
is drawn (what part each kind has from a Dirichlet of the counts so far, then tasks from a multinomial), and solved for
the level at which everybody would end. As with a forecast that level is the price of giving them anything more now, and
an executor who is to end higher than others is *held back*. A single draw is noise; the mean of the last few is not.
The future is short (a third of what came, at most 30 tasks a person), so a day that turns out otherwise has lost
little.

People are compared with those they share work with. Where all may do the same, nobody is held back and there is no
outlook at all.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from app.engine.fairness.fair import fair_share
from app.engine.fairness.forecast import Outlook, Prospect, prices
from app.engine.placement.allocate import Decision
from app.engine.placement.decision_log import ROUTED
from app.engine.placement.state import MILLI, UNLIMITED, PoolState
from app.engine.types import BoolArray, ClassKey, FloatArray, IntArray, Policy

MOST_PEOPLE = 300
"""Present at once: with more a draw takes too long, and chance is a small part of anybody's day."""
_STEEP = 10.0
"""Tasks by which somebody is held back for each task that they are to end higher.

Gaps of a day, 100 people, with 5, 10, 20: nested 0.59, 0.57, 0.57 % (20 worlds; without 0.68), departments 0.79, 0.80,
0.84 % (10 worlds; without 0.86). The steeper, the further people are apart in the first quarter of a day.
"""
_DRAWS = 8
"""About how many draws ends are averaged over."""
_AHEAD, _MOST_AHEAD = 0.3, 30.0
"""How much is drawn: this part of what came, and at most so many tasks a person."""
_FROM = 10.0
"""Tasks a person that a day must have brought before its mix tells anything."""
_MOST_SETS = 1_024
"""Sets of people that a day's work is told apart by; work of later ones is not drawn."""
_LEAST = 8
"""Tasks that a draw is good for in any case, however few people there are."""


class Mix(NamedTuple):
    """The day's work for one set of executors; `eligible` has shape (n,), by the state's positions."""

    eligible: BoolArray
    tasks: float
    weight: float


class Reserve:
    """One business day of a pool: what came, and what it asks of people.

    Before a batch: where it `serves` and is `due`, `begin` with what came if that is `stale`, and `draw`; then place
    with its `outlook`. After the batch: `note`.
    """

    def __init__(self) -> None:
        self._mix: dict[bytes, Mix] = {}
        self._counted: tuple[int, int] | None = None
        self._people = b""
        self._levels: IntArray = np.empty(0, dtype=np.int64)
        self._drawn_at: int | None = None
        self._ends: FloatArray = np.empty(0)
        self._eligible: BoolArray = np.empty((0, 0), dtype=np.bool_)
        self._circles: IntArray = np.empty(0, dtype=np.int64)
        self._draws = 0
        self._outlook: Outlook | None = None

    def serves(self, state: PoolState, tasks: int) -> bool:
        """Whether a batch of so many tasks may be placed by it: never one of a peak, nor by another policy."""
        people = people_in(state)
        fits = 1 < people <= MOST_PEOPLE and tasks <= 2 * lasts(people)
        return fits and state.settings.policy is Policy.FAIR

    def stale(self, state: PoolState) -> bool:
        """Whether more work came than was noted (another worker decided), or eligibility has changed."""
        return self._counted != (state.roster_version, state.sequence)

    def begin(self, state: PoolState, mixes: Iterable[Mix]) -> None:
        """Take what came so far."""
        self._mix = {}
        for mix in mixes:
            self._add(*mix)
        self._counted = (state.roster_version, state.sequence)

    def note(self, state: PoolState, decisions: Sequence[Decision]) -> None:
        """Count what has just been placed."""
        if self._counted == (state.roster_version, state.sequence - len(decisions)):
            routed: dict[ClassKey, list[float]] = {}
            for decision in decisions:
                if decision.kind in ROUTED:
                    routed.setdefault(decision.class_key, []).append(decision.weight)
            for key, weights in routed.items():
                self._add(state.classes.meet(key).eligible, len(weights), sum(weights))
            self._counted = (state.roster_version, state.sequence)
        self._levels = state.level.copy()

    def due(self, state: PoolState) -> bool:
        """Whether it is time for another draw."""
        self._forget_others(state)
        return self._drawn_at is None or state.sequence - self._drawn_at >= lasts(people_in(state))

    def draw(self, state: PoolState) -> None:
        """Draw a future and solve it; those that were drawn before count on."""
        self._forget_others(state)
        self._drawn_at, self._outlook = state.sequence, None
        here = np.flatnonzero(state.here & state.active)
        mixes = [mix for mix in self._mix.values() if mix.eligible[here].any()]
        if sum(mix.tasks for mix in mixes) < _FROM * len(here):
            return
        eligible = np.array([mix.eligible[here] for mix in mixes])
        if (eligible == eligible[:, :1]).all():
            return
        if not np.array_equal(eligible, self._eligible):
            self._eligible, self._circles = eligible, _circles(eligible)
        ends = _ends(state, here, eligible, mixes)
        self._draws += 1
        newest = max(1 / _DRAWS, 1 / self._draws)
        self._ends = ends if self._draws == 1 else (1 - newest) * self._ends + newest * ends
        self._outlook = _held_back(state, here, self._ends, self._circles)

    def outlook(self, state: PoolState) -> Outlook | None:
        """The last draw; None where it is old, or people or levels have changed."""
        self._forget_others(state)
        young = self._drawn_at is not None and state.sequence - self._drawn_at <= 2 * lasts(people_in(state))
        return self._outlook if young else None

    def outlook_for(self, state: PoolState, tasks: int) -> Outlook | None:
        """The outlook for a batch of so many tasks, where no other worker decides: all work that came was noted."""
        if not self.serves(state, tasks):
            return None
        if self.due(state):
            if self.stale(state):
                self.begin(state, ())
            self.draw(state)
        return self.outlook(state)

    def _add(self, eligible: BoolArray, tasks: float, weight: float) -> None:
        name = eligible.tobytes()
        known = self._mix.get(name)
        if known is None and len(self._mix) >= _MOST_SETS:
            return
        if known is not None:
            tasks, weight = known.tasks + tasks, known.weight + weight
        self._mix[name] = Mix(eligible, tasks, weight)

    def _forget_others(self, state: PoolState) -> None:
        """Ends of other people, or from other levels (they were settled), tell nothing."""
        people = (state.here & state.active).tobytes()
        moved = len(self._levels) == len(state) and (self._levels != state.level).mean() > 0.5
        if people != self._people or moved:
            self._people, self._drawn_at, self._draws, self._outlook = people, None, 0, None
            self._levels = state.level.copy()


def lasts(people: int) -> int:
    """How many tasks a draw is good for: half a task for everybody who is there."""
    return max(_LEAST, people // 2)


def people_in(state: PoolState) -> int:
    """How many are there."""
    return int((state.here & state.active).sum())


def _ends(state: PoolState, here: IntArray, eligible: BoolArray, mixes: list[Mix]) -> FloatArray:
    """Where each of those who are here would end, per unit of qualification, against the mean, were one future to come.

    The same day draws the same: the seed is the number of the pool's last assignment.
    """
    counts = np.array([mix.tasks for mix in mixes], dtype=np.float64)
    weights = np.array([mix.weight for mix in mixes], dtype=np.float64)
    ahead = int(max(1.0, min(_MOST_AHEAD, _AHEAD * counts.sum() / len(here))) * len(here))
    random = np.random.default_rng(state.sequence)  # noqa: TID251 - seeded with what is stored
    drawn = random.multinomial(ahead, random.dirichlet(counts + 0.5))
    limits = state.limit[here]
    room = np.where(limits < UNLIMITED, np.maximum(0, limits - state.used[here]) / MILLI, np.inf)
    q = state.qualification[here]
    work = drawn * weights / counts
    solved = fair_share(eligible[work > 0], work[work > 0], q, np.maximum(0, state.level[here]) / MILLI, room)
    ends = prices(eligible[work > 0], solved, q, room)
    return ends - float(ends.mean())


def _held_back(state: PoolState, here: IntArray, ends: FloatArray, circles: IntArray) -> Outlook | None:
    """Each executor's expected end above the lowest of their circle; None where all end alike."""
    lowest = np.full(len(here), np.inf)
    np.minimum.at(lowest, circles, ends)
    held = _STEEP * (ends - lowest[circles]) * state.qualification[here]
    if held.max() < 1 / MILLI:
        return None
    prospects = [Prospect(round(back, 3)) for back in held.tolist()]
    return Outlook(dict(zip(state.ids[here].tolist(), prospects, strict=True)))


def _circles(eligible: BoolArray) -> IntArray:
    """Circles of executors linked by shared work, directly or through others: equal numbers, shape (n,)."""
    circles = np.arange(eligible.shape[1])
    for row in eligible:
        linked = np.unique(circles[row])
        circles[np.isin(circles, linked)] = linked[0]
    return circles
