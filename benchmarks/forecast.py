"""What a forecast of the rest of the day is worth, when it is right, wrong, or off in its amount.

python -m benchmarks forecast [--short]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from app.engine.fairness.fair import fair_share
from app.engine.fairness.forecast import WEEKS, outlook_of
from app.engine.placement.allocate import place
from app.engine.placement.reserve_draw import Reserve
from app.engine.placement.state import PoolState, present_in
from app.engine.types import Policy
from benchmarks.fairness import CLASSES, DAYS, PER_PERSON, Day, Floats, World, _pool, _task
from benchmarks.results import Result, Table, Target

Stream: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Kind: TypeAlias = Literal["none", "right", "half as much", "wrong"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MEASURED = ("nested", "departments", "random 0.3", "drift", "burst")
HALVES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Forecasted:
    """A day and what is expected of it: the same weekdays before, as streams of as many tasks."""

    world: World
    past: Sequence[Stream]


def _streams(day: Day, n: int, seed: int, kind: Kind) -> Forecasted:
    """Days of one kind share their mix of classes, not their draws; a wrong one has another, and is turned round."""
    world = World.of(day, n, seed)
    rng = np.random.default_rng(seed)
    k, total = CLASSES[n], n * PER_PERSON
    mix = rng.dirichlet(np.full(k, 2.0))
    other = rng.dirichlet(np.full(k, 2.0))
    burst = int(rng.integers(0, k))
    today = _drawn(day, total, mix, burst, seed * 1000)
    past = [_drawn(day, total, mix, burst, seed * 1000 + 1 + week) for week in range(WEEKS)]
    if kind == "wrong":
        past = [
            _drawn(day, total, other, k - 1 - burst, seed * 1000 + 1 + week)[::-1] for week in range(WEEKS)
        ]
    return Forecasted(replace(world, stream=today), past if kind != "none" else [])


def _drawn(day: Day, total: int, mix: Floats, burst: int, seed: int) -> Stream:
    rng = np.random.default_rng(seed)
    k = len(mix)
    stream = rng.choice(k, size=total, p=mix)
    if day.drift:
        stream = stream[np.argsort((stream < k // 2) + rng.normal(0.0, 0.25, total), kind="stable")]
    if day.burst:
        first = total // 3
        stream[first : first + total // 3] = burst
    return stream


def play(day: Day, n: int, seed: int, kind: Kind) -> list[float]:
    """Gaps after a quarter and a half of the day, and in the end."""
    told = _streams(day, n, seed, kind)
    world, total = told.world, len(told.world.stream)
    state, people = _pool(world, Policy.FAIR)
    state.upsert([replace(one, available=True) for one in people])
    received = np.zeros(n)
    edges = {round(total * share) for share in HALVES}
    step, gaps, reserve = max(1, n // 2), [], Reserve()
    first = 0
    while first < total:
        last = min([first + step, *(edge for edge in edges if edge > first)])
        if told.past:
            _look_ahead(state, told, first, 0.5 if kind == "half as much" else 1.0)
        else:
            state.outlook = reserve.outlook_for(state, last - first)
        decisions = place(state, [_task(world, number) for number in range(first, last)]).decisions
        reserve.note(state, decisions)
        for decision in decisions:
            received[decision.executor_id - 1] += decision.weight
        first = last
        if first in edges:
            gaps.append(_gap(world, first, received))
    return gaps


def _look_ahead(state: PoolState, told: Forecasted, done: int, share: float) -> None:
    k = len(told.world.eligible)
    rests = [
        {
            str(c): share * count
            for c, count in enumerate(np.bincount(past[done:], minlength=k).tolist())
            if count
        }
        for past in told.past
    ]
    eligible = {
        str(c): frozenset((np.flatnonzero(row) + 1).tolist()) for c, row in enumerate(told.world.eligible)
    }
    state.outlook = outlook_of(rests, eligible, present_in(state))


def _gap(world: World, done: int, received: Floats) -> float:
    n = len(received)
    work = np.bincount(world.stream[:done], minlength=len(world.eligible)).astype(np.float64)
    fair = fair_share(world.eligible, work, np.ones(n)).shares
    return float(np.abs(received - fair).sum()) / done


def run(*, short: bool) -> Result:
    """All kinds of day and forecast; the short form only a small team."""
    seeds = {15: 2} if short else {15: 10, 100: 5}
    found = {
        (day.name, n, kind): np.mean([play(day, n, seed, kind) for seed in range(1, seeds[n] + 1)], axis=0)
        for n in seeds
        for day in DAYS
        if day.name in MEASURED
        for kind in KINDS
    }
    tables = []
    for n, worlds in seeds.items():
        rows: list[list[str | int | float | bool | None]] = [
            [name, kind, *(round(100 * gap, 2) for gap in gaps.tolist())]
            for (name, size, kind), gaps in found.items()
            if size == n
        ]
        columns = ["day", "forecast", "gap at 1/4 %", "gap at 1/2 %", "gap of the day %"]
        tables.append(Table(f"{n} people, {worlds} worlds", columns, rows))
    n = 15 if short else 100
    steady, plain = (float(found["nested", n, kind][-1]) for kind in ("right", "none"))
    return Result(
        "forecast",
        "What a forecast of the rest of the day is worth",
        ABOUT,
        targets=[
            Target(
                f"drift with a right forecast, {n} people",
                "%",
                round(100 * float(found["drift", n, "right"][-1]), 3),
                2.0,
                1.0,
                better="lower",
            ),
            Target(
                f"nested with a right forecast, {n} people",
                "%",
                round(100 * steady, 3),
                0.6,
                0.3,
                better="lower",
            ),
            Target(
                f"what a right forecast costs a steady day (nested), {n} people",
                "points",
                round(100 * (steady - plain), 3),
                0.2,
                0.0,
                better="lower",
            ),
        ],
        tables=tables,
        notes=[
            "With a forecast people are kept apart while the day goes on, as far as what is to come demands it."
        ],
    )


ABOUT = f"""
Days of a kind share their mix of classes and their course, not their draws; the forecast is the {WEEKS} days before.
*None*: room is kept by the mix of the day alone. *Half as much*: it expects half the work that comes. *Wrong*: another
mix, and the afternoon's work in the morning. Made anew whenever half a task a person was placed; gaps are against the
exact optimum of what had come by then.
"""
