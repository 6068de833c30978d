"""How many placements a second the engine makes in one process, and what the explanation costs of it.

python -m benchmarks kernel [--short]
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.engine.matrix import MatrixRules
from app.engine.placement.allocate import place
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Policy, Task, TaskId
from benchmarks.results import Result, Table, Target
from benchmarks.structures import Structure, departments, everybody, nested, random_share

STRUCTURES: dict[str, Structure] = {
    "all": everybody,
    "nested": nested,
    "random 0.3": random_share(0.3),
    "departments": departments,
}
VARIANTS = ("", "limits", "preferences", "weights qualification")


@dataclass(frozen=True)
class Size:
    """What is measured."""

    executors: int = 1000
    classes: int = 300
    tasks: int = 50_000
    batch: int = 500
    runs: int = 5


@dataclass(frozen=True)
class Speed:
    """Medians over the runs; `bare` is the share that the bare NumPy addition and argmin would take of `plain`."""

    plain: float
    explained: float
    bare: float

    @property
    def explanation(self) -> float:
        """The share of a placement that the explanation costs."""
        return 1 - self.plain / self.explained


def a_pool(structure: str, variant: str, size: Size, policy: Policy = Policy.FAIR) -> PoolState:
    rng = np.random.default_rng(7)
    eligible = STRUCTURES[structure](rng, size.executors, size.classes)
    allowed = {
        str(c): {ExecutorId(int(i) + 1) for i in np.flatnonzero(row)} for c, row in enumerate(eligible)
    }
    liked = {ExecutorId(i): 2.0 for i in range(1, size.executors + 1, 3)} if "preferences" in variant else {}
    rules = MatrixRules(allowed, preferred=dict.fromkeys(allowed, liked))
    state = PoolState(rules, PoolSettings(policy=policy, day_load=100.0))
    qualifications = [1.0, 1.5, 0.8] if "qualification" in variant else [1.0]
    limit = size.tasks / size.executors * 1.05 if "limits" in variant else None
    state.upsert(
        [
            Executor(ExecutorId(i), qualification=qualifications[i % len(qualifications)], daily_limit=limit)
            for i in range(1, size.executors + 1)
        ]
    )
    return state


def batches(variant: str, size: Size) -> Iterator[list[Task]]:
    """Each batch is made when it is asked for, as a worker makes it from its rows."""
    rng = np.random.default_rng(8)
    weights = [1.0, 3.0, 0.5] if "weights" in variant else [1.0]
    for first in range(0, size.tasks, size.batch):
        classes = rng.integers(0, size.classes, min(size.batch, size.tasks - first)).tolist()
        yield [
            Task(TaskId(first + k), {"activity": str(c)}, weight=weights[k % len(weights)])
            for k, c in enumerate(classes)
        ]


def seconds_a_placement(state: PoolState, variant: str, size: Size, explain: bool) -> float:
    """Median over the batches, after a first one has met every class."""
    place(state, [Task(TaskId(c), {"activity": str(c)}) for c in range(size.classes)])
    spent = []
    for number, tasks in enumerate(batches(variant, size)):
        started = time.perf_counter()
        if explain:
            state.trail.begin(state, number)
        outcome = place(state, tasks)
        if explain:
            state.trail.end()
            for decision in outcome.decisions:
                decision.explanation  # noqa: B018
        spent.append((time.perf_counter() - started) / len(tasks))
    return statistics.median(spent)


def seconds_bare(state: PoolState, size: Size) -> float:
    """The reference: nothing but one NumPy addition and one argmin for each task of a batch."""
    board = state.board
    assert board is not None
    board.load(1)
    views = list(board.views.values())
    chosen = np.random.default_rng(9).integers(0, len(views), size.batch).tolist()
    layers = [view.layers[0] if view.layers else board.base for view in (views[c] for c in chosen)]
    spent = []
    for _ in range(50):
        started = time.perf_counter()
        for layer in layers:
            np.add(board.base, layer, board.sum)
            board.sum.argmin()
        spent.append((time.perf_counter() - started) / len(layers))
    return statistics.median(spent)


def measure(structure: str, variant: str, size: Size) -> Speed:
    """With and without explanation, in turn."""
    plain, explained, bare = [], [], []
    for _ in range(size.runs):
        state = a_pool(structure, variant, size)
        plain.append(seconds_a_placement(state, variant, size, explain=False))
        bare.append(seconds_bare(state, size))
        explained.append(seconds_a_placement(a_pool(structure, variant, size), variant, size, explain=True))
    once, told, least = (statistics.median(runs) for runs in (plain, explained, bare))
    return Speed(once, told, least)


def run(*, short: bool) -> Result:
    """All structures plain, and one of them with what costs more."""
    size = Size(tasks=5_000, runs=1) if short else Size()
    cases = [(structure, "") for structure in STRUCTURES] + [("random 0.3", v) for v in VARIANTS[1:]]
    found = {case: measure(*case, size) for case in cases}
    slowest = max(found[structure, ""].plain for structure in STRUCTURES)
    dearest = statistics.median(speed.explanation for speed in found.values())
    return Result(
        "kernel",
        "The engine alone",
        f"{ABOUT}\n{size.executors:,} executors, {size.classes} classes, batches of {size.batch}.",
        targets=[
            Target(
                "placements, slowest of the plain structures",
                "per second",
                round(1 / slowest),
                300_000,
                500_000,
            ),
            Target(
                "explanation, median over all cases", "% of a placement", 100 * dearest, 10.0, better="lower"
            ),
        ],
        tables=[
            Table(
                "Placements a second in one process",
                ["structure", "variant", "plain", "explained", "explanation %", "bare NumPy % of plain"],
                [
                    [
                        structure,
                        variant or "plain",
                        round(1 / speed.plain),
                        round(1 / speed.explained),
                        round(100 * speed.explanation, 1),
                        round(100 * speed.bare / speed.plain, 1),
                    ]
                    for (structure, variant), speed in found.items()
                ],
            )
        ],
    )


ABOUT = """
From a batch of tasks to its decisions: ordering, classes, limits, the choice, the loads. *Explained* adds the trail and
what is stored with each decision; runs with and without it take turns, medians are reported. The reference of the same
run is the bare NumPy addition and argmin that each choice needs at the least.
"""
