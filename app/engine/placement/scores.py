"""The board: everybody's score, laid out so that the next executor is one addition and one argmin.

A score is the sum of two whole numbers: what depends on the executor alone (`base`, changed by each
assignment) and what depends on the class and the weight (`layer`, computed once). Executors stand in tie
order (`Classes.order`), so the first minimum is the right one. Measured for 1,000 executors: 0.5 us for the
addition, 0.2 us for the argmin of int64 (0.3 of float64), which no heap matched where classes overlap. Of 10,000 it is
the memory that takes time: scores near the lowest are kept in half of it as well (`View.near`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.engine.placement.eligibility import EligibilityClass
from app.engine.placement.state import MILLI, PoolState
from app.engine.types import BoolArray, ClassKey, ExecutorId, FloatArray, IntArray, Policy

GRID = 1e9
"""Score units per day load: scores are compared as whole numbers, so a tie on paper is a tie here."""
BLOCKED = 1 << 61
"""Added to the score of an executor who cannot take the task. Two of them still fit into 64 bits."""
OUT = BLOCKED >> 1
"""A sum from here on is somebody blocked, whatever a preference took off it."""
BUSY = 1 << 56
"""Added in `longest_idle` to the score of an executor who has open work: more than any instant in microseconds."""
FAR = (1 << 30) - 1
"""Scores this far from the lowest, or farther, are clipped; two of them still fit into 32 bits."""
_MANY = 2_000
"""People from whom on 32 bits are quicker than 64."""
_MOST_BYTES = 64 << 20
_MOST_VIEWS = 20_000


@dataclass(frozen=True, slots=True)
class View:
    """A class as the board sees it.

    `layers` are the addends, highest preference first; `plain` when one addition and one argmin choose. `near` is the
    first layer in 32 bits, as what it adds to its lowest addend `least` (FAR at most); None in small teams.
    """

    found: EligibilityClass
    digest: str
    layers: tuple[IntArray, ...]
    plain: bool
    near: NDArray[np.int32] | None
    least: int


class ScoreBoard:
    """Scores and what they follow from, all in tie order ("rank"), for one batch at a time.

    `load` copies the state's columns in, `store` writes them back; in between the board is the truth. `room` is
    what is left of the daily limit and `slots` of the open tasks. `floor` is the smallest weight in the batch:
    who has not even room for that is blocked. All weights are in thousandths.

    Layers are tried one after another until somebody can take the task; only `best_match` has several.
    """

    def __init__(self, state: PoolState) -> None:
        self.state = state
        self._made_of = (state.classes.version, state.roster_version, state.settings, state.outlook)
        self.views: dict[ClassKey, View] = {}
        self.order = state.classes.order
        self.executor_ids: list[ExecutorId] = state.ids[self.order].tolist()
        self.levelled = state.settings.policy in (Policy.FAIR, Policy.BEST_MATCH)
        self._scales = self._scales_of_state()
        self.scale: list[float] = self._scales[self.order].tolist()
        self._held = state.held()
        self.uniform = len(set(self.scale)) <= 1
        self._layers: dict[tuple[bytes, int], tuple[tuple[IntArray, ...], NDArray[np.int32] | None, int]] = {}
        self.many = self.levelled and len(self.scale) >= _MANY
        self.near_sum = np.empty(len(state), dtype=np.int32)
        self.near_sum_at = self.near_sum.data
        self._ranks: list[int] | None = None
        self.sum: IntArray = np.empty(len(state), dtype=np.int64)
        self.sum_at = self.sum.data

    def current(self) -> bool:
        """Whether classes, people and settings are still those that the board was made of."""
        state = self.state
        now = (state.classes.version, state.roster_version, state.settings, state.outlook)
        return self._made_of == now

    def load(self, floor: int) -> None:
        """Take the state's columns over."""
        state, order = self.state, self.order
        self.floor, self.sequence = floor, state.sequence
        level, last = state.level[order], state.last[order]
        room, slots = (state.limit - state.used)[order], (state.max_open - state.open)[order]
        here = (state.here & state.active)[order] & (slots > 0) & (room >= floor)
        self.base = np.where(here, self._base_of(level, last), BLOCKED)
        self._columns = (level, last, room, slots)
        self.origin = int(self.base.min(initial=BLOCKED)) if self.many else 0
        self.near_base = _near(self.base, self.origin) if self.many else self.near_sum
        self.near_base_at = self.near_base.data
        self.base_at, self.level = self.base.data, level.data
        self.room, self.slots = room.data, slots.data

    def store(self) -> None:
        """Give the columns back to the state."""
        state, order = self.state, self.order
        level, last, room, slots = self._columns
        state.sequence = self.sequence
        state.level[order], state.last[order] = level, last
        state.used[order], state.open[order] = state.limit[order] - room, state.max_open[order] - slots

    def _base_of(self, level: IntArray, last: IntArray) -> IntArray:
        if self.levelled:
            return np.rint(level * self._scales[self.order]).astype(np.int64)
        if self.state.settings.policy is not Policy.LONGEST_IDLE:
            return last
        return np.where(self.state.open[self.order] > 0, last + BUSY, self.state.ended[self.order])

    def choose(self, layers: tuple[IntArray, ...], weight: int, barred: Sequence[int] = ()) -> int:
        """The rank of the best executor with room for `weight`, or -1; `barred` ranks are passed over."""
        scores, room = self.sum_at, self.room
        for layer in layers if len(scores) else ():
            np.add(self.base, layer, self.sum)
            for rank in barred:
                scores[rank] = BLOCKED
            rank = int(self.sum.argmin())
            while scores[rank] < OUT:
                if room[rank] >= weight:
                    return rank
                scores[rank] = BLOCKED
                rank = int(self.sum.argmin())
        return -1

    def in_day_loads(self, scores: Sequence[int], weights: Sequence[int]) -> list[float]:
        """Compared sums as scores; half the weight is added where it is not in the layers already."""
        if not self.levelled:
            return [float(score % BUSY) for score in scores]
        halves = {weight: self.half(weight) for weight in set(weights)}
        return [(score + halves[weight]) / GRID for score, weight in zip(scores, weights, strict=True)]

    def half(self, weight: int) -> int:
        """The term of half the weight in all scores, where the layers leave it out."""
        return round(weight / 2 * self.scale[0]) if self.uniform and self.scale else 0

    def give(self, rank: int, weight: int, routed: bool) -> int:
        """Count an assignment; returns the level before."""
        before = self.level[rank]
        self.level[rank] = before + weight
        self.slots[rank] -= 1
        if routed:
            self.room[rank] -= weight
        self.note_order([rank])
        if self.base_at[rank] < BLOCKED:
            base = self.base_at[rank] = self.new_base(rank)
            if self.many:
                self.near_base_at[rank] = min(base - self.origin, FAR)
        return before

    def note_order(self, ranks: Sequence[int]) -> None:
        """These received something, in this order."""
        first = self.sequence + 1
        self.sequence += len(ranks)
        # NumPy assigns repeated indices in turn: the last one stays.
        self._columns[1][ranks] = np.arange(first, self.sequence + 1)

    def new_base(self, rank: int) -> int:
        """The score of somebody who has just received something."""
        if self.slots[rank] <= 0 or self.room[rank] < self.floor:
            return BLOCKED
        if self.levelled:
            return round(self.level[rank] * self.scale[rank])
        return self.sequence + (BUSY if self.state.settings.policy is Policy.LONGEST_IDLE else 0)

    def rank_of(self, position: int) -> int:
        """Where the executor in this position stands in tie order."""
        if self._ranks is None:
            ranks = np.empty(len(self.order), dtype=np.int64)
            ranks[self.order] = np.arange(len(self.order))
            self._ranks = ranks.tolist()
        return self._ranks[position]

    def name(self, key: ClassKey, weight: int) -> ClassKey:
        """The key of `views`: the weight matters only where qualifications differ."""
        return key if self.uniform else (key, weight)

    def view(self, found: EligibilityClass, weight: int) -> View:
        """The class as seen from here, remembered until the board is out of date."""
        too_large = len(self._layers) * len(self.order) * 12 > _MOST_BYTES
        if too_large or len(self.views) >= _MOST_VIEWS:
            self._layers.clear()
            self.views.clear()
        kind = (found.content, 0 if self.uniform else weight)
        known = self._layers.get(kind)
        if known is None:
            layers = self._build(found, kind[1])
            shortened = self.many and len(layers) == 1
            least = int(layers[0].min()) if shortened else 0
            known = self._layers[kind] = (layers, _near(layers[0], least) if shortened else None, least)
        layers, near, least = known
        view = View(
            found,
            self.state.digest_of(found),
            layers,
            self.levelled and len(layers) == 1 and bool(self.scale),
            near,
            least,
        )
        self.views[self.name(found.key, weight)] = view
        return view

    def _build(self, found: EligibilityClass, weight: int) -> tuple[IntArray, ...]:
        settings = self.state.settings
        half = np.rint(weight / 2 * self._scales).astype(np.int64)
        if self._held is not None:
            half += np.rint(self._held * self._scales).astype(np.int64)
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


def _near(values: IntArray, least: int) -> NDArray[np.int32]:
    """How far values lie from the lowest one, FAR at most."""
    return np.minimum(values - least, FAR).astype(np.int32)
