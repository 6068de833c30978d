"""End to end over HTTP: accepted, decided, committed; the load generator runs on the same cores."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import asyncpg

from benchmarks import bare_driver, scene
from benchmarks.bare_http import BareClient, encoded
from benchmarks.results import Chart, Result, Series, Table, Target, Text
from benchmarks.system import PATIENCE, System, running_servers

ABOUT = """
Tasks of about 300 bytes go in over HTTP; a run ends when the last assignment is committed. API, workers, PostgreSQL
(durable: fsync on), Redis and the load generator share the machine's cores. Each task is validated against a catalogue
of parameters, decided by rules with fairness, explained, and written with its assignment and all counters.

The reference is the bare driver: the very rows that the run before left (tasks in their final state, assignments,
loads, days, class counts, the hour's figures, the trail, classes and rosters) written by asyncpg in transactions of
1,000 into an empty database of the same server: no HTTP, no validation, no decision, no lock. Latency is
taken from PostgreSQL's own commit timestamps: from the commit that made a task durable to the commit that made its
assignment durable.
"""


ANSWERS = ["answer p50, ms", "answer p99, ms"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is sent."""

    batch_tasks: int
    single_tasks: int
    latency_seconds: float
    runs: int
    executors: Sequence[int]
    rules: Sequence[int]


FULL = Sizes(40_000, 10_000, 15.0, 3, (10, 100, 1000, 10_000), (0, 5, 13, 50))
SHORT = Sizes(6_000, 1_500, 3.0, 1, (10, 300), (0, 5))


@dataclass(frozen=True, slots=True)
class Throughput:
    """Tasks a second, and processor milliseconds that each part spent on a task."""

    per_second: float
    cpu_ms: dict[str, float]
    answers: list[float]
    memory_mb: dict[str, float] = field(default_factory=dict)

    @property
    def answer_ms(self) -> list[float]:
        """How long a request took to be answered, p50 and p99."""
        return [round(1000 * share(sorted(self.answers), q), 2) for q in (0.5, 0.99)]


class Progress:
    """Counts what commits say; the workers' own NOTIFY, so that watching costs the database nothing."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.assigned = 0
        self._moved = asyncio.Event()

    @classmethod
    async def watch(cls, dsn: str) -> "Progress":
        """Start to count on a connection of its own."""
        progress = cls(await asyncpg.connect(dsn))
        await progress._connection.add_listener("executor_balancer", progress._heard)
        return progress

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        said = json.loads(payload)
        if said["event"] == "assigned":
            self.assigned += said["count"]
            self._moved.set()

    async def reach(self, count: int) -> None:
        """Wait for so many assignments."""
        async with asyncio.timeout(PATIENCE):
            while self.assigned < count:
                self._moved.clear()
                await self._moved.wait()

    async def close(self) -> None:
        """Stop counting."""
        await self._connection.close()


async def send(
    system: System, path: str, bodies: Sequence[bytes], clients: int, headers: str = ""
) -> list[float]:
    """Send all bodies from so many connections, each as soon as the one before is answered; seconds per request."""
    left = iter(bodies)
    spent = []

    async def one_client() -> None:
        async with BareClient("127.0.0.1", system.api_port) as client:
            for number, body in enumerate(left):
                started = time.perf_counter()
                status, answer = await client.post(path, body, headers.format(key=id(body), number=number))
                spent.append(time.perf_counter() - started)
                if status not in {200, 201, 202}:
                    raise RuntimeError(f"{path}: {status} {answer[:500]!r}")

    await asyncio.gather(*(one_client() for _ in range(clients)))
    return spent


def batches(tasks: list[dict[str, Any]], size: int) -> list[bytes]:
    """Bodies for the batch endpoint."""
    return [encoded({"tasks": tasks[at : at + size]}) for at in range(0, len(tasks), size)]


async def warm_up(system: System, tasks: list[dict[str, Any]]) -> None:
    """Let the system see these tasks in two goes: what the first taught its workers is in use in the second."""
    middle = len(tasks) // 2
    for half in (tasks[:middle], tasks[middle:]):
        await throughput(system, "/v1/tasks/batch", batches(half, 500), len(half), 2)
        await system.settle()


async def throughput(
    system: System, path: str, bodies: Sequence[bytes], count: int, clients: int
) -> Throughput:
    """Send everything and wait for the last commit."""
    progress = await Progress.watch(system.dsn)
    before, started = system.cpu_seconds(), time.perf_counter()
    spent = await send(system, path, bodies, clients)
    await progress.reach(count)
    seconds = time.perf_counter() - started
    after = system.cpu_seconds()
    await progress.close()
    cpu = {part: 1000 * (after[part] - before.get(part, 0.0)) / count for part in after}
    return Throughput(count / seconds, cpu, spent)


async def one_batch_run(
    system: System, count: int, *, executors: int, rules: int, workers: int, **options: Any
) -> Throughput:
    """A system that has seen some work, then the measured work in batches of 500 from four clients."""
    await system.fresh()
    await scene.build(system.dsn, executors=executors, rules=rules)
    await system.start(workers=workers, **options)
    try:
        await warm_up(system, scene.requests(1000, seed=9))
        found = await throughput(system, "/v1/tasks/batch", batches(scene.requests(count), 500), count, 4)
        return replace(found, memory_mb=system.memory_mb())
    finally:
        system.stop()


async def single_run(system: System, count: int, *, workers: int) -> Throughput:
    """The same over single POSTs from 32 clients."""
    await system.fresh()
    await scene.build(system.dsn, executors=1000, rules=13)
    await system.start(workers=workers)
    try:
        await warm_up(system, scene.requests(1000, seed=9))
        bodies = [encoded(body) for body in scene.requests(count)]
        return await throughput(system, "/v1/tasks", bodies, count, 32)
    finally:
        system.stop()


async def latency_run(
    system: System, seconds: float, *, pools: int = 1, workers: int = 1, rate: int = 500
) -> list[float]:
    """Single POSTs at a steady rate; seconds from commit to commit by PostgreSQL's clock, sorted.

    The system has seen some work, as in the other runs: what a worker's first look at a team costs is not in it.
    """
    await system.fresh()
    ids = await scene.build(system.dsn, executors=1000, rules=13, pools=pools)
    await system.start(workers=workers)
    await warm_up(system, scene.requests(2000 * pools, pool_ids=ids, seed=9))
    progress = await Progress.watch(system.dsn)
    try:
        bodies = [encoded(body) for body in scene.requests(int(rate * seconds), pool_ids=ids)]
        await _steadily(system, bodies, rate)
        await progress.reach(len(bodies))
        return await _commit_latencies(system.dsn)
    finally:
        await progress.close()
        system.stop()


async def _steadily(system: System, bodies: Sequence[bytes], rate: int) -> None:
    """Open loop: each request leaves at its time, whatever became of the others."""
    due, started = itertools.count(), time.perf_counter()

    async def one_client() -> None:
        async with BareClient("127.0.0.1", system.api_port) as client:
            while (number := next(due)) < len(bodies):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                status, answer = await client.post(
                    "/v1/tasks", bodies[number], f"Idempotency-Key: bench-{number}\r\n"
                )
                if status != 202:
                    raise RuntimeError(f"{status} {answer[:500]!r}")

    await asyncio.gather(*(one_client() for _ in range(64)))


async def _commit_latencies(dsn: str) -> list[float]:
    """The key's row was written by the transaction of intake and never touched again: it keeps that commit's time."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("""
            SELECT extract(epoch FROM pg_xact_commit_timestamp(decided.xmin) - pg_xact_commit_timestamp(used.xmin))
                   ::float8 AS seconds
            FROM idempotency_keys used JOIN assignments decided USING (task_id) ORDER BY 1
            """)
    finally:
        await connection.close()
    return [row["seconds"] for row in rows]


def middle(runs: Sequence[Throughput]) -> Throughput:
    """The run with the median speed (of an even number the slower one)."""
    return sorted(runs, key=lambda one: one.per_second)[(len(runs) - 1) // 2]


def share(values: Sequence[float], quantile: float) -> float:
    """A quantile of sorted values."""
    return values[min(len(values) - 1, int(quantile * len(values)))]


def run(*, short: bool) -> Result:
    """All of it, on servers of its own."""
    return asyncio.run(_run(SHORT if short else FULL))


async def _run(sizes: Sizes) -> Result:
    result = Result("end_to_end", "End to end over HTTP", ABOUT)
    with running_servers() as system:
        best, bare = await _against_the_bare_driver(system, sizes, result)
        single = await _single(system, sizes, result)
        found = {
            (pools, workers): await latency_run(system, sizes.latency_seconds, pools=pools, workers=workers)
            for pools in (1, 8)
            for workers in (1, 3)
        }
        fall = await _growth(system, sizes, result)
        await _rules(system, sizes, result)
        result.texts += await _profiles(system, sizes)
    result.tables.append(
        Table(
            "Assignment latency at 500 single POSTs a second, commit to commit, ms",
            ["pools", "workers", "tasks", "p50", "p90", "p99", "max"],
            [
                [*case, len(times), *(round(1000 * share(times, q), 2) for q in (0.5, 0.9, 0.99, 1.0))]
                for case, times in found.items()
            ],
        )
    )
    latencies = found[1, 1]
    result.targets += [
        Target("end to end over HTTP batches", "tasks/s", round(best), 8000, 12_000),
        Target("end to end over single POSTs, 32 clients", "tasks/s", round(single), 2000, 3000),
        Target("share of the bare driver's bulk write", "%", round(100 * best / bare, 1), 50, 70),
        Target(
            "assignment latency p50 at 500 POSTs/s", "ms", 1000 * share(latencies, 0.5), 10, None, "lower"
        ),
        Target("assignment latency p99 at 500 POSTs/s", "ms", 1000 * share(latencies, 0.99), 50, 25, "lower"),
        Target(
            "fall of throughput from the smallest to the largest team", "%", round(fall, 1), 25, 10, "lower"
        ),
    ]
    return result


async def _against_the_bare_driver(system: System, sizes: Sizes, result: Result) -> tuple[float, float]:
    """One and three workers, each run followed by the bare driver writing the same rows."""
    found: dict[int, list[Throughput]] = {1: [], 3: []}
    references: list[float] = []
    for _ in range(sizes.runs):
        for workers, runs in found.items():
            runs.append(
                await one_batch_run(system, sizes.batch_tasks, executors=1000, rules=13, workers=workers)
            )
            source = system.dsn
            references.append(await bare_driver.rewrite(source, await system.fresh()))
    medians = {workers: middle(runs) for workers, runs in found.items()}
    bare = median(references)
    rows = [
        [workers, round(one.per_second), *one.answer_ms, round(bare), round(100 * one.per_second / bare, 1)]
        for workers, one in medians.items()
    ]
    cpu_rows = [
        [workers, part, round(ms, 4)] for workers, one in medians.items() for part, ms in one.cpu_ms.items()
    ]
    result.tables += [
        Table(
            "Batches of 500 from 4 clients; 1,000 executors, 13 rules",
            ["workers", "tasks/s", *ANSWERS, "bare driver, rows of tasks/s", "share, %"],
            rows,
        ),
        Table("Processor time by part", ["workers", "part", "ms a task"], cpu_rows),
    ]
    bars = [["1 worker", rows[0][1]], ["3 workers", rows[1][1]], ["bare driver", round(bare)]]
    result.charts.append(
        Chart(
            "Accepted, decided, committed", "bar", "", "tasks/s", [Series("tasks/s", [list(b) for b in bars])]
        )
    )
    return max(one.per_second for one in medians.values()), bare


async def _single(system: System, sizes: Sizes, result: Result) -> float:
    found: dict[int, list[Throughput]] = {1: [], 3: []}
    for _ in range(sizes.runs):
        for workers, runs in found.items():
            runs.append(await single_run(system, sizes.single_tasks, workers=workers))
    medians = {workers: middle(runs) for workers, runs in found.items()}
    rows = [[workers, round(one.per_second), *one.answer_ms] for workers, one in medians.items()]
    result.tables.append(
        Table(
            "Single POSTs from 32 clients; 1,000 executors, 13 rules", ["workers", "tasks/s", *ANSWERS], rows
        )
    )
    return max(one.per_second for one in medians.values())


async def _growth(system: System, sizes: Sizes, result: Result) -> float:
    found: dict[int, list[Throughput]] = {executors: [] for executors in sizes.executors}
    for _ in range(sizes.runs):
        for executors, runs in found.items():
            runs.append(
                await one_batch_run(system, sizes.batch_tasks, executors=executors, rules=13, workers=1)
            )
    medians = {executors: middle(runs) for executors, runs in found.items()}
    rows = [[executors, round(one.per_second), *one.answer_ms] for executors, one in medians.items()]
    points = [row[:2] for row in rows]
    memory = found[sizes.executors[-1]][-1].memory_mb
    result.targets += [
        Target(
            f"memory of the API with {sizes.executors[-1]:,} executors",
            "MB",
            memory["api"],
            150,
            None,
            "lower",
        ),
        Target(
            f"memory of a worker with {sizes.executors[-1]:,} executors",
            "MB",
            memory["worker-1"],
            200,
            None,
            "lower",
        ),
    ]
    result.tables.append(
        Table("Growth of the team; 13 rules, 1 worker", ["executors", "tasks/s", *ANSWERS], rows)
    )
    result.charts.append(
        Chart("Growth of the team", "line", "executors", "tasks/s", [Series("13 rules", points)], log_x=True)
    )
    first, last = points[0][1], points[-1][1]
    return max(0.0, 100 * (first - last) / first)


async def _rules(system: System, sizes: Sizes, result: Result) -> None:
    rows = []
    for rules in sizes.rules:
        found = await one_batch_run(system, sizes.batch_tasks, executors=1000, rules=rules, workers=1)
        rows.append([rules, round(found.per_second), *found.answer_ms])
    points = [row[:2] for row in rows]
    result.tables.append(
        Table("Growth of the rules; 1,000 executors, 1 worker", ["rules", "tasks/s", *ANSWERS], rows)
    )
    result.charts.append(
        Chart("Growth of the rules", "line", "rules", "tasks/s", [Series("1,000 executors", points)])
    )


async def _profiles(system: System, sizes: Sizes) -> list[Text]:
    await one_batch_run(
        system, sizes.batch_tasks, executors=1000, rules=13, workers=1, profile=("api", "worker-1")
    )
    return [
        Text(f"Where the time goes: {title}", system.profile_of(name))
        for name, title in (("api", "the API"), ("worker-1", "the worker"))
    ]
