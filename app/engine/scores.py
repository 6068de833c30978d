"""The board: everybody's score, laid out so that the next executor is one addition and one argmin.

A score is the sum of two whole numbers: what depends on the executor alone (`base`, changed by each
assignment) and what depends on the class and the weight (`layer`, computed once). Executors stand in tie
order (`Classes.order`), so the first minimum is the right one. Measured for 1,000 executors: 0.5 us for the
addition, 0.2 us for the argmin of int64 (0.3 of float64), which no heap matched where classes overlap.
"""

from dataclasses import dataclass

import numpy as np

from app.engine.eligibility import EligibilityClass
from app.engine.state import MILLI, PoolState
from app.engine.types import BoolArray, ClassKey, ExecutorId, FloatArray, IntArray, Policy

GRID = 1e9
"""Score units per day load: scores are compared as whole numbers, so a tie on paper is a tie here."""
BLOCKED = 1 << 61
"""Added to whoever cannot take the task. Two of them still fit into 64 bits."""
_BUSY = 1 << 40
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class View:
    """A class as the board sees it; `layers` is empty where it depends on the task's weight."""

    found: EligibilityClass
    digest: str
    layers: tuple[IntArray, ...]


class Board:
    """Scores of one batch in progress.

    `floor` is the smallest weight in the batch, in thousandths: who has not even room for that is blocked.
    Layers are tried one after another until somebody can take the task; only `best_match` has several.
    """

    def __init__(self, state: PoolState) -> None:
        self.state = state
        self._made_of = (state.classes.version, state.roster_version, state.settings)
        self.views: dict[ClassKey, View] = {}
        self.order = state.classes.order
        self.positions: list[int] = self.order.tolist()
        self.executor_ids: list[ExecutorId] = [state.executors[at].id for at in self.positions]
        self.levelled = state.settings.policy in (Policy.FAIR, Policy.BEST_MATCH)
        self.unit = GRID if self.levelled else 1.0
        self._scales = self._scales_of_state()
        self.uniform = len(self._scales) == 0 or bool((self._scales == self._scales[0]).all())
        self.half = float(self._scales[0]) / 2 if self.uniform and len(self._scales) else 0.0
        self._layers: dict[tuple[bytes, int], tuple[IntArray, ...]] = {}
        self._ranks: list[int] | None = None
        self._sum: IntArray = np.empty(len(state), dtype=np.int64)
        self._argmin = self._sum.argmin
        self._at = self._sum.data
        self._scale: list[float] = self._scales.tolist()

    def current(self) -> bool:
        """Whether classes, people and settings are still those that the board was made of."""
        state = self.state
        return self._made_of == (state.classes.version, state.roster_version, state.settings)

    def rebase(self, floor: int) -> None:
        """Take everybody's score from the state's columns."""
        state = self.state
        self.floor = floor
        if self.levelled:
            base = np.rint(state.level * self._scales).astype(np.int64)
        elif state.settings.policy is Policy.LONGEST_IDLE:
            base = state.last + np.where(state.open > 0, _BUSY, 0)
        else:
            base = state.last.copy()
        base[~self._with_room()] = BLOCKED
        self._base = base[self.order]
        self._base_at = self._base.data
        self._level, self._used = state.level.data, state.used.data
        self._open, self._last = state.open.data, state.last.data
        self._limit, self._max_open = state.limit.data, state.max_open.data

    def choose(self, layers: tuple[IntArray, ...], weight: int, barred: tuple[int, ...] = ()) -> int:
        """The rank of the best executor with room for `weight`, or -1; `barred` ranks are passed over."""
        scores, positions = self._at, self.positions
        for layer in layers:
            np.add(self._base, layer, self._sum)
            for rank in barred:
                scores[rank] = BLOCKED
            rank = int(self._argmin())
            while scores[rank] < BLOCKED:
                position = positions[rank]
                if self._used[position] + weight <= self._limit[position]:
                    return rank
                scores[rank] = BLOCKED
                rank = int(self._argmin())
        return -1

    def score(self, rank: int, weight: int) -> float:
        """The score that `choose` has just compared, in day loads or as a sequence number."""
        return (self._at[rank] + round(weight * self.half)) / self.unit

    def give(self, rank: int, weight: int, routed: bool) -> int:
        """Count an assignment in the state and on the board; returns the level before, in thousandths."""
        position, state = self.positions[rank], self.state
        before = self._level[position]
        level = self._level[position] = before + weight
        self._open[position] += 1
        if routed:
            self._used[position] += weight
        state.sequence += 1
        self._last[position] = state.sequence
        if self._base_at[rank] < BLOCKED:
            self._base_at[rank] = self._new_base(position, level)
        return before

    def _new_base(self, position: int, level: int) -> int:
        full = self._used[position] + self.floor > self._limit[position]
        if full or self._open[position] >= self._max_open[position]:
            return BLOCKED
        if self.levelled:
            return round(level * self._scale[position])
        busy = _BUSY if self.state.settings.policy is Policy.LONGEST_IDLE else 0
        return self.state.sequence + busy

    def rank_of(self, position: int) -> int:
        """Where the executor in this position stands in tie order."""
        if self._ranks is None:
            ranks = np.empty(len(self.order), dtype=np.int64)
            ranks[self.order] = np.arange(len(self.order))
            self._ranks = ranks.tolist()
        return self._ranks[position]

    def view(self, found: EligibilityClass) -> View:
        """The class as seen from here, remembered until the board is out of date."""
        layers = self.layers_for(found, 0) if self.uniform else ()
        view = View(found, self.state.digest_of(found), layers)
        self.views[found.key] = view
        return view

    def layers_for(self, found: EligibilityClass, weight: int) -> tuple[IntArray, ...]:
        """The addends of a class for tasks of this weight, highest preference first."""
        name = (found.content, weight)
        layers = self._layers.get(name)
        if layers is None:
            if len(self._layers) * len(self.order) * 8 > _MOST_BYTES:
                self._layers.clear()
                self.views.clear()
            layers = self._layers[name] = self._build(found, weight)
        return layers

    def _build(self, found: EligibilityClass, weight: int) -> tuple[IntArray, ...]:
        settings = self.state.settings
        half = np.rint(weight / 2 * self._scales).astype(np.int64)
        if found.preference is None or settings.policy in (Policy.ROUND_ROBIN, Policy.LONGEST_IDLE):
            return (self._masked(half, found.eligible),)
        if settings.policy is Policy.BEST_MATCH:
            groups = np.unique(found.preference[found.eligible])[::-1]
            return tuple(self._masked(half, found.eligible & (found.preference == group)) for group in groups)
        liking = np.rint(settings.theta * found.preference * GRID).astype(np.int64)
        return (self._masked(half - liking, found.eligible),)

    def _masked(self, addend: IntArray, allowed: BoolArray) -> IntArray:
        return np.where(allowed, addend, BLOCKED)[self.order]

    def _scales_of_state(self) -> FloatArray:
        state = self.state
        if not self.levelled:
            return np.zeros(len(state))
        return GRID / (state.qualification * state.settings.day_load * MILLI)

    def _with_room(self) -> BoolArray:
        state = self.state
        room = state.here & state.active & (state.open < state.max_open)
        return room & (state.used + self.floor <= state.limit)
