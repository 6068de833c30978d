"""The fair share: what each executor should have received, and how far from it what they received is.

Work of eligibility classes is spread over the executors that each class allows, so that ``sum (f_i + y_i)^2 / q_i`` is
least: the max-min fair allocation per unit of qualification (Megiddo 1974; Fujishige 1980). ``f`` is work that had no
choice (parent, rework, manual), ``q`` the qualification; a daily limit bounds what is routed, ``y_i <= limit_i``.

Solved exactly by decomposition (Groenevelt 1991): at one common level everybody would take
``c_i(level) = clip(level * q_i - f_i, 0, limit_i)``. Where a maximum flow shows that the classes cannot fill this, the
minimum cut parts those whose work presses on too few people (a higher level) from the rest (a lower one), and both
parts are solved alone. A bound per person is just another c_i, so limits need no other solver.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np

from app.engine.types import BoolArray, FloatArray, IntArray

_SCALE = 1_000_000
"""Flow units per task unit: capacities are whole numbers."""


@dataclass(frozen=True, slots=True)
class FairShare:
    """The fair allocation.

    Attributes
    ----------
    shares
        Shape (n,): fixed load and routed work of each executor, in task units.
    routed
        Shape (n,): the routed part of it.
    unplaced
        Shape (k,): work of each class that the limits leave over, or that nobody may take.
    """

    shares: FloatArray
    routed: FloatArray
    unplaced: FloatArray


def fair_share(
    eligible: BoolArray,
    weights: FloatArray,
    qualifications: FloatArray,
    fixed: FloatArray | None = None,
    limits: FloatArray | None = None,
) -> FairShare:
    """Solve one span in which nobody comes or goes; add the shares of several spans up.

    Parameters
    ----------
    eligible
        Shape (k, n): which executor may take work of which class.
    weights
        Shape (k,): work of each class, in task units, not negative.
    qualifications
        Shape (n,): positive.
    fixed, limits
        Shape (n,), in task units: load without choice (default 0), most routed work (default unlimited).

    Raises
    ------
    ValueError
        If shapes do not match, a weight is negative or a qualification is not positive.
    """
    k, n = eligible.shape
    fixed = np.zeros(n) if fixed is None else np.asarray(fixed, dtype=np.float64)
    limits = np.full(n, np.inf) if limits is None else np.asarray(limits, dtype=np.float64)
    _check(k, n, weights, qualifications, fixed, limits)
    problem = _Problem(eligible, qualifications, fixed, limits)
    placed = problem.placeable(np.asarray(weights, dtype=np.float64))
    routed = np.zeros(n)
    classes = np.flatnonzero(placed > 0)
    if len(classes):
        people = np.flatnonzero(eligible[classes].any(axis=0))
        problem.solve(classes, people, placed, routed)
    return FairShare(fixed + routed, routed, np.asarray(weights) - placed)


def _check(
    k: int, n: int, weights: FloatArray, qualifications: FloatArray, fixed: FloatArray, limits: FloatArray
) -> None:
    if weights.shape != (k,) or any(each.shape != (n,) for each in (qualifications, fixed, limits)):
        raise ValueError("shapes: eligible is (k, n), weights (k,), all others (n,)")
    if (weights < 0).any() or (fixed < 0).any() or (limits < 0).any() or (qualifications <= 0).any():
        raise ValueError("weights, fixed and limits must not be negative, qualifications must be positive")


class _Problem:
    def __init__(
        self, eligible: BoolArray, qualifications: FloatArray, fixed: FloatArray, limits: FloatArray
    ) -> None:
        self._eligible = eligible
        self._q = qualifications
        self._fixed = fixed
        self._limits = limits

    def placeable(self, weights: FloatArray) -> FloatArray:
        """How much of each class fits under the limits at all."""
        total = float(weights.sum())
        classes, people = np.arange(len(weights)), np.arange(len(self._q))
        if np.isinf(self._limits).all():
            reachable: FloatArray = weights * self._eligible.any(axis=1)
            return reachable
        capacity = np.minimum(self._limits, total)
        flow = _Flow(self._eligible, classes, people, weights, capacity)
        placed: FloatArray = np.minimum(flow.by_class / _SCALE, weights)
        return placed

    def solve(self, classes: IntArray, people: IntArray, weights: FloatArray, routed: FloatArray) -> None:
        """Fill `routed` for these people with the work of these classes, which fits them."""
        parts = [(classes, people)]
        while parts:
            inside, members = parts.pop()
            level = self._level(members, float(weights[inside].sum()))
            capacity = self._capacity(members, level)
            flow = _Flow(self._eligible, inside, members, weights[inside], capacity)
            pressed = flow.pressed_classes()
            high = np.flatnonzero(self._eligible[np.ix_(inside[pressed], members)].any(axis=0))
            if flow.complete or not pressed.any() or pressed.all() or len(high) == len(members):
                routed[members] = capacity
                continue
            parts.append((inside[pressed], members[high]))
            parts.append((inside[~pressed], np.delete(members, high)))

    def _capacity(self, members: IntArray, level: float) -> FloatArray:
        wanted = level * self._q[members] - self._fixed[members]
        bounded: FloatArray = np.clip(wanted, 0.0, self._limits[members])
        return bounded

    def _level(self, members: IntArray, work: float) -> float:
        """The level at which these people take just this much; capacities grow piecewise linearly with it."""
        q, fixed, limits = self._q[members], self._fixed[members], self._limits[members]
        starts, ends = fixed / q, (fixed + limits) / q
        edges = np.concatenate([starts, ends[np.isfinite(ends)]])
        slopes = np.concatenate([q, -q[np.isfinite(ends)]])
        order = np.argsort(edges, kind="stable")
        edges, slopes = edges[order], np.cumsum(slopes[order])
        taken = np.concatenate([[0.0], np.cumsum(np.diff(edges) * slopes[:-1])])
        at = int(np.searchsorted(taken, work, side="right")) - 1
        slope = slopes[at]
        return float(edges[at] + (work - taken[at]) / slope) if slope > 1e-12 else float(edges[at])


class _Flow:
    """A maximum flow from classes to people; nodes: 0 source, 1 sink, then classes, then people."""

    def __init__(
        self,
        eligible: BoolArray,
        classes: IntArray,
        people: IntArray,
        weights: FloatArray,
        capacity: FloatArray,
    ) -> None:
        from ortools.graph.python import max_flow  # 17 MB that only who solves a day needs

        k, n = len(classes), len(people)
        self._k = k
        supply = np.floor(weights * _SCALE).astype(np.int64)
        room = np.ceil(capacity * _SCALE).astype(np.int64)
        which, who = np.nonzero(eligible[np.ix_(classes, people)])
        tails = np.concatenate([np.zeros(k, np.int64), 2 + which, 2 + k + np.arange(n)])
        heads = np.concatenate([2 + np.arange(k), 2 + k + who, np.ones(n, np.int64)])
        self._flow: Any = max_flow.SimpleMaxFlow()
        arcs = self._flow.add_arcs_with_capacity(tails, heads, np.concatenate([supply, supply[which], room]))
        if self._flow.solve(0, 1) != self._flow.OPTIMAL:
            raise ArithmeticError("the flow solver found no optimum")
        self.by_class = self._flow.flows(arcs[:k]).astype(np.float64)
        # Allowance for rounding: one unit for each executor.
        self.complete = int(supply.sum()) - self._flow.optimal_flow() <= n + k

    def pressed_classes(self) -> BoolArray:
        """Which classes lie on the source's side of the minimum cut: more work than their people take at this level."""
        pressed = np.zeros(self._k, dtype=np.bool_)
        side = np.asarray(self._flow.get_source_side_min_cut(), dtype=np.int64)
        inside = side[(side >= 2) & (side < 2 + self._k)]
        pressed[inside - 2] = True
        return pressed


@dataclass(frozen=True, slots=True)
class Member:
    """An executor present in a span; `limit` is the daily limit in task units, None without one."""

    id: int
    qualification: float
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one business day in which nobody came or went: who was there, and what was routed to whom.

    `work` gives for each eligibility class the ids that the rules allowed and the weight that was placed; ids as an
    array take a tenth of the memory of a set.
    """

    members: Sequence[Member]
    work: Sequence[tuple[frozenset[int] | IntArray, float]]


Memo: TypeAlias = dict[bytes, FloatArray]
"""Solved spans by the digest of what they were solved of: asked again with more work at the end, a day costs only its
last span. Not by that itself: a large team's classes are megabytes, and each look at the day would keep them."""


def fair_share_of_spans(
    spans: Sequence[Span], fixed: Mapping[int, float], memo: Memo | None = None
) -> dict[int, float]:
    """Fair share per executor id over the spans of one business day, in their order, in task units.

    Each span is solved alone, so that nobody has to catch up for hours when they were not there. A daily limit
    binds what all spans give together. `fixed` is the day's work without choice per executor; it is spread over the
    spans in which the executor was present in proportion to the work of each span.
    """
    fair: dict[int, float] = defaultdict(float)
    for executor_id, weight in fixed.items():
        fair[executor_id] += weight
    routed: dict[int, float] = defaultdict(float)
    totals = _work_while_present(spans)
    for span in spans:
        bounds = _bounds(span, routed, fixed, totals)
        eligible = _eligible(span)
        key = b"" if memo is None else _digest(span, eligible, *bounds)
        shares = None if memo is None else memo.get(key)
        if shares is None:
            shares = _routed_share(span, eligible, *bounds)
            if memo is not None:
                memo[key] = shares
        for member, share in zip(span.members, shares.tolist(), strict=True):
            routed[member.id] += share
            fair[member.id] += share
    return dict(fair)


def even_share_of_spans(spans: Sequence[Span]) -> dict[int, float]:
    """An equal share per unit of qualification of all work while each executor was present, eligible or not."""
    even: dict[int, float] = defaultdict(float)
    for span in spans:
        work = sum(weight for _, weight in span.work)
        total = sum(member.qualification for member in span.members)
        for member in span.members:
            even[member.id] += work * member.qualification / total
    return dict(even)


def _work_while_present(spans: Sequence[Span]) -> dict[int, float]:
    totals: dict[int, float] = defaultdict(float)
    for span in spans:
        work = sum(weight for _, weight in span.work)
        for member in span.members:
            totals[member.id] += work
    return totals


def _bounds(
    span: Span, routed: Mapping[int, float], fixed: Mapping[int, float], totals: Mapping[int, float]
) -> tuple[FloatArray, FloatArray]:
    """Per member of the span: load without choice in it, and what is left of the daily limit."""
    work = sum(weight for _, weight in span.work)
    loads = [
        fixed.get(each.id, 0.0) * work / totals[each.id] if totals[each.id] else 0.0 for each in span.members
    ]
    limits = [
        np.inf if each.limit is None else max(0.0, each.limit - routed.get(each.id, 0.0))
        for each in span.members
    ]
    return np.array(loads), np.array(limits)


def _eligible(span: Span) -> BoolArray:
    """Shape (classes, members): which member may take work of which class."""
    ids = np.array([member.id for member in span.members], dtype=np.int64)
    eligible = np.zeros((len(span.work), len(ids)), dtype=np.bool_)
    for row, (allowed, _) in enumerate(span.work):
        given = allowed if isinstance(allowed, np.ndarray) else np.fromiter(allowed, np.int64, len(allowed))
        eligible[row] = np.isin(ids, given)
    return eligible


def _digest(span: Span, eligible: BoolArray, loads: FloatArray, limits: FloatArray) -> bytes:
    words = repr([(each.id, each.qualification) for each in span.members])
    digest = blake2b(words.encode(), digest_size=16)
    weights = np.array([weight for _, weight in span.work], dtype=np.float64)
    for part in (np.packbits(eligible), weights, loads, limits):
        digest.update(part.tobytes())
        digest.update(b"|")
    return digest.digest()


def _routed_share(span: Span, eligible: BoolArray, loads: FloatArray, limits: FloatArray) -> FloatArray:
    if not span.members:
        return np.zeros(0)
    return fair_share(
        eligible,
        np.array([weight for _, weight in span.work], dtype=np.float64),
        np.array([each.qualification for each in span.members], dtype=np.float64),
        loads,
        limits,
    ).routed


def fairness_gap(received: FloatArray, fair: FloatArray) -> float:
    """Sum of |received - fair| over the sum of fair; 0 where nothing was to be had."""
    total = float(fair.sum())
    return float(np.abs(received - fair).sum()) / total if total > 0 else 0.0


def mean_absolute_deviation(utilisations: FloatArray) -> float:
    """The classic MAE: mean of |u_i - mean u|. Misleads where specialists exist: show the optimum's beside it."""
    return float(np.abs(utilisations - utilisations.mean()).mean()) if len(utilisations) else 0.0


def utilisations(
    received: FloatArray, qualifications: FloatArray, limits: FloatArray | None = None
) -> FloatArray:
    """Received over the daily limit; without a limit, over qualification times the mean per unit of qualification."""
    mean = received.sum() / qualifications.sum() if len(received) else 0.0
    expected = qualifications * mean
    whole = expected if limits is None else np.where(np.isfinite(limits), limits, expected)
    return np.divide(received, whole, out=np.zeros_like(received, dtype=np.float64), where=whole > 0)
