"""How many placements a second the engine makes in one process, and what the explanation costs of it.

    python benchmarks/kernel.py [--executors 1000] [--classes 300] [--tasks 30000] [--batch 500] [--runs 5]

Each structure is run several times, with and without the trail, in turn; medians are reported. Times include
everything from the tasks to the decisions: ordering, classes, limits, the choice, the loads.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from app.engine.allocate import place
from app.engine.matrix import MatrixRules
from app.engine.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Policy, Task, TaskId

Structure = Callable[[np.random.Generator, int, int], list[set[ExecutorId]]]


def everybody(rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
    return [{ExecutorId(i) for i in range(1, n + 1)} for _ in range(classes)]


def nested(rng: np.random.Generator, n: int, classes: int) -> list[set[ExecutorId]]:
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


def a_pool(structure: str, args: argparse.Namespace, variant: str) -> tuple[PoolState, list[Task]]:
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
    weights = [1.0, 3.0, 0.5] if "weights" in variant else [1.0]
    classes = rng.integers(0, args.classes, args.tasks).tolist()
    tasks = [
        Task(TaskId(k), {"activity": str(c)}, weight=weights[k % len(weights)]) for k, c in enumerate(classes)
    ]
    return state, tasks


def run(state: PoolState, tasks: list[Task], batch: int, explain: bool) -> float:
    """Placements a second over all batches."""
    gc.collect()
    started = time.perf_counter()
    for number, first in enumerate(range(0, len(tasks), batch)):
        if explain:
            state.trail.begin(state, number)
        outcome = place(state, tasks[first : first + batch])
        if explain:
            frame = state.trail.end()
            explanations = [decision.explanation for decision in outcome.decisions]
            assert frame and explanations is not None
    return len(tasks) / (time.perf_counter() - started)


def measure(structure: str, variant: str, args: argparse.Namespace) -> dict[str, object]:
    plain, explained = [], []
    for _ in range(args.runs):
        plain.append(run(*a_pool(structure, args, variant), args.batch, explain=False))
        explained.append(run(*a_pool(structure, args, variant), args.batch, explain=True))
    median, with_trail = statistics.median(plain), statistics.median(explained)
    return {
        "structure": structure,
        "variant": variant or "plain",
        "placements_per_second": round(median),
        "explained_per_second": round(with_trail),
        "explanation_share": round(1 - with_trail / median, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--executors", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=300)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--policy", default="fair", choices=[policy.value for policy in Policy])
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    args = parser.parse_args()
    variants = ["", "limits", "preferences", "weights qualification"]
    cases = [(structure, "") for structure in STRUCTURES] + [("random 0.3", v) for v in variants[1:]]
    if not args.json:
        print(f"{'structure':12} {'variant':22} {'placements/s':>12} {'explained/s':>12} {'share':>7}")
    for structure, variant in cases:
        found = measure(structure, variant, args)
        if args.json:
            print(json.dumps(found))
        else:
            print(
                f"{structure:12} {found['variant']:22} {found['placements_per_second']:>12,} "
                f"{found['explained_per_second']:>12,} {found['explanation_share']:>7.1%}"
            )


if __name__ == "__main__":
    main()
