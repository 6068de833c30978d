"""How many placements a second the engine makes in one process, and what the explanation costs of it.

    python benchmarks/kernel.py [--executors 1000] [--classes 300] [--tasks 50000] [--batch 500] [--runs 3]

Each structure is run several times, with and without explanation (trail and what is stored with each decision),
in turn; medians are reported. Times include everything from a batch of tasks to its decisions: ordering,
classes, limits, the choice, the loads. The reference of the same run is the bare NumPy addition and argmin.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from app.engine.allocate import place
from app.engine.matrix import MatrixRules
from app.engine.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Policy, Task, TaskId

Structure = Callable[[np.random.Generator, int, int], list[set[ExecutorId]]]


def everybody(_rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
    return [{ExecutorId(i) for i in range(1, n + 1)} for _ in range(classes)]


def nested(_rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
    return [{ExecutorId(i) for i in range(1, 1 + max(1, n * (c + 1) // classes))} for c in range(classes)]


def random_30(rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
    return [{ExecutorId(int(i) + 1) for i in np.flatnonzero(rng.random(n) < 0.3)} for _ in range(classes)]


def departments(rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
    size = max(1, n // 10)
    return [
        {ExecutorId(int(i)) for i in 1 + (c % 10) * size + rng.permutation(size)[: max(1, size * 3 // 10)]}
        for c in range(classes)
    ]


STRUCTURES: dict[str, Structure] = {
    "all": everybody,
    "nested": nested,
    "random 0.3": random_30,
    "departments": departments,
}


def a_pool(structure: str, variant: str, args: argparse.Namespace) -> PoolState:
    rng = np.random.default_rng(7)
    allowed = STRUCTURES[structure](rng, args.executors, args.classes)
    liked = {ExecutorId(i): 2.0 for i in range(1, args.executors + 1, 3)} if "preferences" in variant else {}
    rules = MatrixRules(
        {str(c): members for c, members in enumerate(allowed)},
        preferred={str(c): liked for c in range(args.classes)},
    )
    state = PoolState(rules, PoolSettings(policy=Policy(args.policy), day_load=100.0))
    qualifications = [1.0, 1.5, 0.8] if "qualification" in variant else [1.0]
    limit = args.tasks / args.executors * 1.05 if "limits" in variant else None
    state.upsert(
        [
            Executor(ExecutorId(i), qualification=qualifications[i % len(qualifications)], daily_limit=limit)
            for i in range(1, args.executors + 1)
        ]
    )
    return state


def batches(variant: str, args: argparse.Namespace) -> Iterator[list[Task]]:
    """Each batch is made when it is asked for, as a worker makes it from its rows."""
    rng = np.random.default_rng(8)
    weights = [1.0, 3.0, 0.5] if "weights" in variant else [1.0]
    for first in range(0, args.tasks, args.batch):
        classes = rng.integers(0, args.classes, min(args.batch, args.tasks - first)).tolist()
        yield [
            Task(TaskId(first + k), {"activity": str(c)}, weight=weights[k % len(weights)])
            for k, c in enumerate(classes)
        ]


def seconds_a_placement(state: PoolState, variant: str, args: argparse.Namespace, explain: bool) -> float:
    """Median over the batches, after a first one has met every class."""
    place(state, [Task(TaskId(c), {"activity": str(c)}) for c in range(args.classes)])
    spent = []
    for number, tasks in enumerate(batches(variant, args)):
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


def seconds_bare(state: PoolState, args: argparse.Namespace) -> float:
    """The reference: nothing but one NumPy addition and one argmin for each task of a batch."""
    board = state.board
    assert board is not None
    board.load(1)
    views = list(board.views.values())
    chosen = np.random.default_rng(9).integers(0, len(views), args.batch).tolist()
    layers = [view.layers[0] if view.layers else board.base for view in (views[c] for c in chosen)]
    spent = []
    for _ in range(50):
        started = time.perf_counter()
        for layer in layers:
            np.add(board.base, layer, board.sum)
            board.sum.argmin()
        spent.append((time.perf_counter() - started) / len(layers))
    return statistics.median(spent)


def measure(structure: str, variant: str, args: argparse.Namespace) -> dict[str, object]:
    plain, explained, bare = [], [], []
    for _ in range(args.runs):
        state = a_pool(structure, variant, args)
        plain.append(seconds_a_placement(state, variant, args, explain=False))
        bare.append(seconds_bare(state, args))
        explained.append(seconds_a_placement(a_pool(structure, variant, args), variant, args, explain=True))
    once, told, least = (statistics.median(runs) for runs in (plain, explained, bare))
    return {
        "structure": structure,
        "variant": variant or "plain",
        "placements_per_second": round(1 / once),
        "of_bare_numpy": round(least / once, 3),
        "explained_per_second": round(1 / told),
        "explanation_share": round(1 - once / told, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--executors", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=300)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--policy", default="fair", choices=[policy.value for policy in Policy])
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    args = parser.parse_args()
    variants = ["", "limits", "preferences", "weights qualification"]
    cases = [(structure, "") for structure in STRUCTURES] + [("random 0.3", v) for v in variants[1:]]
    if not args.json:
        print(
            f"{'structure':12} {'variant':22} {'placements/s':>12} {'of bare':>8} {'explained/s':>12} {'share':>7}"
        )
    for structure, variant in cases:
        found = measure(structure, variant, args)
        if args.json:
            print(json.dumps(found))
        else:
            print(
                f"{structure:12} {found['variant']:22} {found['placements_per_second']:>12,} "
                f"{found['of_bare_numpy']:>8.0%} "
                f"{found['explained_per_second']:>12,} {found['explanation_share']:>7.1%}"
            )


if __name__ == "__main__":
    main()
