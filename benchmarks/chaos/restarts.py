"""R7: PostgreSQL stops at once, as in a crash, again and again under load; what was answered with 2xx is there."""

import asyncio
import os
import random
import signal
import time

from app.local.embedded import EmbeddedServers
from benchmarks.chaos.load import Load, start_api
from benchmarks.chaos.stage import Report, Stage, of_its_own, quantiles
from benchmarks.results import Cell

SHORT = {"restarts": 2, "clients": 6, "between": (0.4, 1.0)}
FULL = {"restarts": 60, "clients": 12, "between": (2.0, 8.0)}
DEFECT = "answer_before_commit"
LONGEST_DOWN = 2.0
DEADLINE = 60.0
"""Far more than any request may take; R8 looks at that closely."""


async def run(
    stage: Stage, *, seed: int, restarts: int, clients: int, between: tuple[float, float]
) -> Report:
    """API and worker are started once and never again: their connections must come back by themselves."""
    report = Report("R7", "PostgreSQL restarts", seed, restarts)
    rng = random.Random(seed)
    async with of_its_own(stage) as broken, broken.open() as play:
        assert broken.servers is not None
        await play.people(5)
        api, port = await start_api(play)
        worker = broken.start()
        load = Load(port, f"R7-{seed}")
        load.start(clients)
        ups = [await _restart(broken.servers, rng, between) for _ in range(restarts)]
        firsts = [await _first_success(load, up, play.stage.patience) for up in ups]
        await asyncio.sleep(between[0])
        await load.stop()
        found = await load.lost(play, report)
        load.judge(report, deadline=DEADLINE)
        if not (api.running and worker.running):
            report.violations.append("a process ended")
        if None in firsts:
            report.violations.append("after a restart nothing is answered with 2xx any more")
        report.figures = _figures(load, found, [first for first in firsts if first is not None])
        async with play.database.hot.acquire() as connection:
            there = await connection.fetchval("SELECT count(*) FROM tasks")
        return await play.reckon(report, tasks=there)


async def _restart(servers: EmbeddedServers, rng: random.Random, between: tuple[float, float]) -> float:
    """Stop it immediately after a while, start it again after another; when it answered again."""
    await asyncio.sleep(rng.uniform(*between))
    if servers.postgres.pid is not None:
        os.kill(servers.postgres.pid, signal.SIGQUIT)
    while servers.postgres.pid is not None:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    await asyncio.to_thread(servers.postgres.kill)  # forget it
    await asyncio.sleep(rng.uniform(0, LONGEST_DOWN))
    await asyncio.to_thread(servers.revive)
    return time.monotonic()


async def _first_success(load: Load, up: float, seconds: float) -> float | None:
    """Seconds from the server's return to the first new task that was accepted after it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [one.ended for one in load.answers if one.method == "POST" and one.good and one.ended > up]
        if found:
            return max(0.0, min(found) - up)
        await asyncio.sleep(0.05)
    return None


def _figures(load: Load, found: int, firsts: list[float]) -> dict[str, Cell]:
    failed = sum(one.status >= 500 for one in load.answers)
    return {
        "2xx issued": len(load.accepted),
        "of them found": found,
        "answers": len(load.answers),
        "5xx": f"{100 * failed / max(1, len(load.answers)):.1f} %",
        "to the first success p50/p99/max": quantiles(firsts),
    }
