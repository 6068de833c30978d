"""How fair the engine is against the best that hindsight could do, for teams, structures and days of all kinds.

python -m benchmarks fairness [--short]
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from app.engine.fairness.fair import Member, Memo, Span, fair_share, fair_share_of_spans
from app.engine.matrix import MatrixRules
from app.engine.placement.allocate import place
from app.engine.placement.reserve_draw import Reserve, lasts, people_in
from app.engine.placement.settle import settle
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Policy, Task, TaskId
from benchmarks.results import Chart, Result, Series, Table, Target
from benchmarks.solvers import by_clarabel, by_highs
from benchmarks.structures import Eligible, Rng, Structure, departments, everybody, nested, random_share

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Rejoin: TypeAlias = Literal["settled", "in level", "from zero"]

CLASSES = {15: 10, 100: 50, 1000: 300}
PER_PERSON = 100
EPOCHS = 20
BATCH = 100
POLICIES = (Policy.FAIR, Policy.BEST_MATCH, Policy.LONGEST_IDLE, Policy.ROUND_ROBIN)


@dataclass(frozen=True)
class Day:
    """What one benchmark day is like."""

    name: str
    structure: Structure
    shifts: bool = False
    limits: bool = False
    heavy: bool = False
    drift: bool = False
    burst: bool = False


DAYS = (
    Day("all", everybody),
    Day("nested", nested),
    Day("random 0.1", random_share(0.1)),
    Day("random 0.3", random_share(0.3)),
    Day("heavy tails", random_share(0.3), heavy=True),
    Day("departments", departments),
    Day("limits", random_share(0.3), limits=True),
    Day("shifts, nested", nested, shifts=True),
    Day("shifts, departments", departments, shifts=True),
    Day("drift", nested, drift=True),
    Day("burst", random_share(0.3), burst=True),
)


@dataclass(frozen=True)
class Played:
    """A day played: shares of one. `worst` is the largest deviation over the mean fair share."""

    gap: float
    worst: float
    unplaced: float


@dataclass
class World:
    """A team, its work of one day, and who is there when."""

    eligible: Eligible
    stream: "np.ndarray[Any, np.dtype[np.int64]]"
    weights: Floats
    present: "np.ndarray[Any, np.dtype[np.bool_]]"
    limits: Floats

    @classmethod
    def of(cls, day: Day, n: int, seed: int) -> "World":
        """The same seed makes the same world."""
        rng = np.random.default_rng(seed)
        k, total = CLASSES[n], n * PER_PERSON
        eligible = day.structure(rng, n, k)
        stream = _stream(rng, day, eligible, total)
        weights = np.round(np.minimum(rng.pareto(1.5, total) + 0.5, 20.0), 1) if day.heavy else np.ones(total)
        present = _shifts(rng, n) if day.shifts else np.ones((EPOCHS, n), dtype=np.bool_)
        limits = np.full(n, np.inf)
        if day.limits:
            limits = np.floor(PER_PERSON * rng.uniform(0.7, 1.5, n))
        return cls(eligible, stream, weights, present, limits)

    def epochs(
        self,
    ) -> Iterator[tuple["np.ndarray[Any, np.dtype[np.bool_]]", "np.ndarray[Any, np.dtype[np.int64]]"]]:
        """Who is there, and the numbers of the tasks that come in meanwhile; what nobody there may do stays away."""
        bounds = np.linspace(0, len(self.stream), EPOCHS + 1).astype(int)
        for number, here in enumerate(self.present):
            tasks = np.arange(bounds[number], bounds[number + 1])
            possible = (self.eligible & here).any(axis=1)
            yield here, tasks[possible[self.stream[tasks]]]


def _stream(rng: Rng, day: Day, eligible: Eligible, total: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    k = len(eligible)
    mix = 1.0 / (np.arange(k) + 1.0) if day.heavy else rng.dirichlet(np.full(k, 2.0))
    rng.shuffle(mix)
    stream = rng.choice(k, size=total, p=mix / mix.sum())
    if (
        day.drift
    ):  # what many may do comes in the morning, what few may do in the afternoon, with some overlap
        when = (stream < k // 2) + rng.normal(0.0, 0.25, total)
        stream = stream[np.argsort(when, kind="stable")]
    if day.burst:  # a third of the day at once, of one class
        first = total // 3
        stream[first : first + total // 3] = rng.integers(0, k)
    return stream


def _shifts(rng: Rng, n: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Everybody is there for four fifths of the day, and begins when they like."""
    long = EPOCHS * 4 // 5
    starts = rng.integers(0, EPOCHS - long + 1, n)
    steps = np.arange(EPOCHS)[:, None]
    return (steps >= starts) & (steps < starts + long)


def play(
    world: World, policy: Policy, rejoin: Rejoin = "settled", seed: int = 0, *, reserves: bool = True
) -> Played:
    """One day through the engine, and its optimum; tasks come in small batches, as on a day that is no peak."""
    state, people = _pool(world, policy)
    reserve = Reserve()
    spans: list[Span] = []
    memo: Memo = {}
    n = world.eligible.shape[1]
    speed = np.random.default_rng(seed).uniform(0.5, 2.0, n)
    received, waiting, here_before = np.zeros(n), 0.0, np.zeros(n, dtype=np.bool_)
    for here, tasks in world.epochs():
        if (here != here_before).any():
            owed = _owed(received, spans, memo) if rejoin == "settled" else {}
            _turn(state, people, here, here_before, rejoin, owed)
        here_before = here
        step = min(BATCH, lasts(people_in(state)))
        for first in range(0, len(tasks), step):
            batch = tasks[first : first + step]
            if reserves:
                state.outlook = reserve.outlook_for(state, len(batch))
            outcome = place(state, [_task(world, number) for number in batch.tolist()])
            reserve.note(state, outcome.decisions)
            for decision in outcome.decisions:
                received[decision.executor_id - 1] += decision.weight
            waiting += sum(one.weight for one in outcome.waiting)
            if policy is Policy.LONGEST_IDLE:
                before = state.open.copy()
                state.open[:] = np.maximum(0, state.open - np.ceil(speed * len(batch) / n).astype(np.int64))
                state.ended[state.open < before] = state.sequence
        spans.append(_span(world, here, tasks))
    fair = np.zeros(n)
    for executor_id, share in fair_share_of_spans(_merged(spans), {}).items():
        fair[executor_id - 1] = share
    total = float(fair.sum())
    off = np.abs(received - fair)
    return Played(float(off.sum()) / total, float(off.max()) / float(fair.mean()), waiting / total)


def _pool(world: World, policy: Policy) -> tuple[PoolState, list[Executor]]:
    allowed = {
        str(c): {ExecutorId(int(i) + 1) for i in np.flatnonzero(row)} for c, row in enumerate(world.eligible)
    }
    state = PoolState(MatrixRules(allowed), PoolSettings(policy, day_load=float(PER_PERSON)))
    people = [
        Executor(ExecutorId(i + 1), daily_limit=None if np.isinf(limit) else float(limit), available=False)
        for i, limit in enumerate(world.limits)
    ]
    state.upsert(people)
    return state, people


def _task(world: World, number: int) -> Task:
    return Task(TaskId(number), {"activity": str(world.stream[number])}, weight=float(world.weights[number]))


def _turn(
    state: PoolState,
    people: list[Executor],
    here: Any,
    before: Any,
    rejoin: Rejoin,
    owed: dict[ExecutorId, float],
) -> None:
    changed = np.flatnonzero(here != before)
    state.upsert([replace(people[i], available=bool(here[i])) for i in changed.tolist()])
    if rejoin == "from zero":
        state.level[:] = 0
    elif rejoin == "settled":
        settle(state, owed, 1.0)
    else:
        came = [people[i].id for i in np.flatnonzero(here & ~before).tolist()]
        for executor_id, level in (state.join_levels(came) if came else {}).items():
            state.set_level(executor_id, level)


def _owed(received: Floats, spans: list[Span], memo: Memo) -> dict[ExecutorId, float]:
    fair = fair_share_of_spans(_merged(spans), {}, memo)
    return {ExecutorId(i + 1): float(got) - fair.get(i + 1, 0.0) for i, got in enumerate(received)}


def _span(world: World, here: Any, tasks: Any) -> Span:
    members = [
        Member(int(i) + 1, 1.0, None if np.isinf(world.limits[i]) else float(world.limits[i]))
        for i in np.flatnonzero(here)
    ]
    sums = np.bincount(world.stream[tasks], world.weights[tasks], minlength=len(world.eligible))
    work: dict[frozenset[int], float] = {}
    for c in np.flatnonzero(sums).tolist():
        who = frozenset((np.flatnonzero(world.eligible[c] & here) + 1).tolist())
        work[who] = work.get(who, 0.0) + float(sums[c])
    return Span(members, list(work.items()))


def _merged(spans: list[Span]) -> list[Span]:
    """Neighbouring spans with the same people are one."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].members == span.members:
            work = dict(merged[-1].work)
            for who, weight in span.work:
                work[who] = work.get(who, 0.0) + weight
            merged[-1] = Span(span.members, list(work.items()))
        else:
            merged.append(span)
    return merged


def mean_of(
    day: Day, n: int, policy: Policy, seeds: int, rejoin: Rejoin = "settled", *, reserves: bool = True
) -> Played:
    """The mean over worlds; of the worst, the worst."""
    played = [
        play(World.of(day, n, seed), policy, rejoin, seed, reserves=reserves) for seed in range(1, seeds + 1)
    ]
    return Played(
        statistics.fmean(one.gap for one in played),
        max(one.worst for one in played),
        statistics.fmean(one.unplaced for one in played),
    )


def run(*, short: bool) -> Result:
    """All days, sizes and policies; the short form leaves out the large team and most worlds."""
    sizes = (15, 100) if short else (15, 100, 1000)
    seeds = {15: 2, 100: 1} if short else {15: 10, 100: 5, 1000: 2}
    # Worlds of small teams differ by more than the targets are off; of other policies nothing is that near.
    fairly = seeds if short else {**seeds, 15: 20, 100: 20}
    found = {
        (day.name, n, policy): mean_of(day, n, policy, (fairly if policy is Policy.FAIR else seeds)[n])
        for n in sizes
        for day in DAYS
        for policy in POLICIES
    }
    return Result(
        "fairness",
        "Fairness against the best of hindsight",
        ABOUT,
        targets=_targets(found, sizes),
        tables=[
            *(_table(found, n) for n in sizes),
            _reserve_table(found, fairly),
            _rejoin_table(sizes, seeds),
            _solver_table(short),
        ],
        charts=[_chart(found, sizes[-1])],
        notes=[
            "`unplaced` counts work that found nobody with room left in the daily limit.",
            f"Worlds: {seeds}; of `fair` {fairly}.",
            "Work comes in whole tasks: of the gap of nested teams that alone makes "
            + ", ".join(f"{100 * _of_whole_tasks(n, fairly[n]):.2f} % for {n} people" for n in sizes)
            + ".",
        ],
    )


ABOUT = f"""
The gap is the sum of |received - fair share| over all fair shares, where the fair share is the exact optimum that only
hindsight knows: the whole day's work at once, span by span of people present, within rules and limits. {PER_PERSON}
tasks an executor; the engine sees one task at a time. `worst` is the largest deviation of one person, over the mean
share. Days: *shifts* are {EPOCHS} changes of who is there; in *drift* what many may do comes in the morning and what
few may do in the afternoon; in *burst* a third of the day is one kind of work at once. Teams of up to 300 keep room by
the mix of the day, as in the product (batches of half a task a person: no peak).
"""

_LIMITS = {
    ("nested", 15): 0.006, ("random 0.3", 15): 0.006,
    ("all", 15): 0.006, ("all", 100): 0.006, ("all", 1000): 0.006,
    ("nested", 1000): 0.006, ("random 0.3", 100): 0.006, ("random 0.3", 1000): 0.006,
    ("nested", 100): 0.006, ("departments", 100): 0.03, ("departments", 1000): 0.012,
    ("limits", 100): 0.03, ("limits", 1000): 0.012,
    ("shifts, nested", 1000): 0.01, ("shifts, departments", 1000): 0.03, ("shifts, departments", 100): 0.03,
}  # fmt: skip


def _of_whole_tasks(n: int, worlds: int) -> float:
    """What of a nested day's gap nobody could take away: the best is a part of a task more than whole ones."""
    gaps = []
    for seed in range(1, worlds + 1):
        world = World.of(DAYS[1], n, seed)
        work = np.bincount(world.stream, minlength=len(world.eligible)).astype(np.float64)
        shares = fair_share(world.eligible, work, np.ones(n)).shares
        parts = np.round(shares, 4) % 1.0
        gaps.append(float((2 * parts * (1 - parts)).sum() / shares.sum()))
    return statistics.fmean(gaps)


def _targets(found: dict[Any, Played], sizes: tuple[int, ...]) -> list[Target]:
    return [
        Target(
            f"gap of `fair`: {day}, {n} people",
            "%",
            round(100 * found[day, n, Policy.FAIR].gap, 3),
            100 * limit,
            50 * limit,
            better="lower",
        )
        for (day, n), limit in _LIMITS.items()
        if n in sizes
    ]


def _table(found: dict[Any, Played], n: int) -> Table:
    columns = ["day", *(f"{policy.value} gap %" for policy in POLICIES)]
    columns += ["fair worst %", "round_robin worst %", "fair unplaced %"]
    rows: list[list[str | int | float | bool | None]] = []
    for day in DAYS:
        gaps: list[str | int | float | bool | None] = [
            round(100 * found[day.name, n, policy].gap, 2) for policy in POLICIES
        ]
        fair, turns = found[day.name, n, Policy.FAIR], found[day.name, n, Policy.ROUND_ROBIN]
        rows.append(
            [day.name, *gaps, *(round(100 * one, 2) for one in (fair.worst, turns.worst, fair.unplaced))]
        )
    return Table(f"{n} people, {CLASSES[n]} kinds of work", columns, rows)


def _reserve_table(found: dict[Any, Played], worlds: dict[int, int]) -> Table:
    """What room by the mix of the day is worth; large teams go without."""
    rows: list[list[str | int | float | bool | None]] = []
    for n in (15, 100):
        for day in DAYS:
            without, kept = (
                mean_of(day, n, Policy.FAIR, worlds[n], reserves=False),
                found[day.name, n, Policy.FAIR],
            )
            gaps = [round(100 * gap, 2) for gap in (without.gap, kept.gap, without.worst, kept.worst)]
            rows.append([day.name, n, *gaps])
    return Table(
        "Room by the mix of the day: `fair` without it and with it",
        ["day", "people", "gap without %", "gap with %", "worst without %", "worst with %"],
        rows,
    )


def _rejoin_table(sizes: tuple[int, ...], seeds: dict[int, int]) -> Table:
    """What to do with levels when people come and go: why the engine settles."""
    ways: tuple[Rejoin, ...] = ("settled", "in level", "from zero")
    rows: list[list[str | int | float | bool | None]] = []
    for day in DAYS:
        if not day.shifts:
            continue
        for n in sizes:
            gaps = [mean_of(day, n, Policy.FAIR, seeds[n], way) for way in ways]
            rows.append(
                [day.name, n, *(round(100 * one.gap, 2) for one in gaps), round(100 * gaps[0].worst, 2)]
            )
    return Table(
        "When people come and go: levels settled by what is owed, joining in level, or all from zero",
        ["day", "people", *(f"{way} gap %" for way in ways), "settled worst %"],
        rows,
    )


def _solver_table(short: bool) -> Table:
    """Seconds for one fair share of a day, by our flows and by two general solvers; all three agree (tests)."""
    rows: list[list[str | int | float | bool | None]] = []
    for n in (15, 100) if short else (15, 100, 1000):
        for limited in (False, True):
            problem = _problem(n, limited)
            ours, theirs = (
                _timed(lambda given: fair_share(*given).shares, problem),
                _timed(_clarabel, problem),
            )
            # HiGHS cycles where limits bind, and takes minutes for a hundred people.
            highs = None if limited or n > 15 else round(_timed(_highs, problem)[0], 4)
            apart = float(np.abs(ours[1] - theirs[1]).max())
            rows.append([n, "yes" if limited else "no", round(ours[0], 4), round(theirs[0], 4), highs, apart])
    columns = ["people", "limits", "flows s", "Clarabel s", "HiGHS s", "largest difference, tasks"]
    return Table("Solving the fair share of a whole day at once", columns, rows)


Problem: TypeAlias = "tuple[Any, Floats, Floats, Floats, Floats]"


def _problem(n: int, limited: bool) -> Problem:
    rng = np.random.default_rng(1)
    eligible = random_share(0.3)(rng, n, CLASSES[n])
    weights = np.bincount(rng.integers(0, CLASSES[n], n * PER_PERSON), minlength=CLASSES[n]).astype(
        np.float64
    )
    limits = np.floor(PER_PERSON * rng.uniform(0.9, 1.6, n)) if limited else np.full(n, np.inf)
    unplaced = fair_share(eligible, weights, np.ones(n), np.zeros(n), limits).unplaced
    return eligible, np.maximum(weights - unplaced, 0.0), np.ones(n), np.zeros(n), limits


def _clarabel(problem: Problem) -> Floats:
    return by_clarabel(*problem)


def _highs(problem: Problem) -> Floats:
    return by_highs(*problem)


def _timed(solve: Callable[[Problem], Floats], problem: Problem) -> tuple[float, Floats]:
    """The median of three."""
    spent, shares = [], np.zeros(0)
    for _ in range(3):
        started = time.perf_counter()
        shares = solve(problem)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent), shares


def _chart(found: dict[Any, Played], n: int) -> Chart:
    series = [
        Series(policy.value, [[day.name, round(100 * found[day.name, n, policy].gap, 3)] for day in DAYS])
        for policy in (Policy.FAIR, Policy.LONGEST_IDLE, Policy.ROUND_ROBIN)
    ]
    return Chart(f"Gap by kind of day, {n} people", "bar", "day", "gap, %", series)
