"""Completions beside intake, over HTTP, one request for each task.

A team of 500 is sent tasks by single POSTs from 32 clients; when all are assigned, as many clients complete them, one
request each. Moves that come together share a transaction, in which the figures of all who had the work are counted by
one statement, so that completing is as fast as sending. Both rates count answers, each sent after its commit, in the
same run on the same system.
"""

import asyncio
import time
from collections.abc import Sequence
from statistics import median

import asyncpg

from benchmarks import scene
from benchmarks.bare_http import BareClient, encoded
from benchmarks.end_to_end import send, warm_up
from benchmarks.results import Result, Table, Target
from benchmarks.system import System, running_servers

_CLIENTS = 32
_PEOPLE = 500


def run(*, short: bool) -> Result:
    """Some rounds, each on a database of its own."""
    rounds = asyncio.run(_rounds(400 if short else 10_000, 1 if short else 3))
    shares = median(100 * completed / sent for sent, completed in rounds)
    return Result(
        "completions",
        "Completions beside intake",
        __doc__ or "",
        tables=[
            Table(
                f"Answers a second, {_CLIENTS} clients, {_PEOPLE} people, 1 worker",
                ["round", "POST /v1/tasks", "POST /v1/tasks/{task_id}/complete"],
                [
                    [number, round(sent), round(completed)]
                    for number, (sent, completed) in enumerate(rounds, 1)
                ],
            )
        ],
        targets=[Target("completions beside single POSTs", "%", round(shares, 1), 100)],
    )


async def _rounds(tasks: int, rounds: int) -> list[tuple[float, float]]:
    with running_servers() as system:
        return [await _round(system, tasks) for _ in range(rounds)]


async def _round(system: System, tasks: int) -> tuple[float, float]:
    """Answers a second to what was sent, and to what was completed."""
    await system.fresh()
    await scene.build(system.dsn, executors=_PEOPLE, rules=0)
    await system.start(workers=1)
    try:
        await warm_up(system, scene.requests(200, seed=9))
        bodies = [encoded(body) for body in scene.requests(tasks)]
        started = time.perf_counter()
        await send(system, "/v1/tasks", bodies, _CLIENTS)
        sent = tasks / (time.perf_counter() - started)
        await system.settle()
        ids = await _assigned(system.dsn)
        started = time.perf_counter()
        await _complete(system, ids)
        return sent, len(ids) / (time.perf_counter() - started)
    finally:
        system.stop()


async def _assigned(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id FROM tasks WHERE status = 'assigned' ORDER BY id")
        return [row["id"] for row in rows]
    finally:
        await connection.close()


async def _complete(system: System, ids: Sequence[int]) -> None:
    left = iter(ids)

    async def one_client() -> None:
        async with BareClient("127.0.0.1", system.api_port) as client:
            for task_id in left:
                status, answer = await client.post(f"/v1/tasks/{task_id}/complete", b"{}")
                if status != 200:
                    raise RuntimeError(f"task {task_id}: {status} {answer[:500]!r}")

    await asyncio.gather(*(one_client() for _ in range(_CLIENTS)))
