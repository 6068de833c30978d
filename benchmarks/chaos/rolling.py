"""R13: all parts are replaced one by one under load, as an upgrade does, half of them told twice to stop."""

import asyncio
import random
import signal
import time

from app.local.embedded import free_port
from benchmarks.chaos.load import Load, is_ready
from benchmarks.chaos.stage import Play, Report, Stage, quantiles
from benchmarks.chaos.zygote import Child

SHORT = {"rounds": 1, "clients": 6}
FULL = {"rounds": 20, "clients": 12}
DEFECT = "no_drain"
DEADLINE = 60.0
ENDED_WELL = {0, -signal.SIGTERM}  # uvicorn ends by the signal that it was told by, when all is done


async def run(stage: Stage, *, seed: int, rounds: int, clients: int) -> Report:
    """Two APIs on one listening socket and two workers; each round starts a new one of each before it stops the old.

    A client repeats what was cut off on a connection that the API had just closed, as a proxy does (RFC 9112, 9.3.1);
    what an API had begun to answer when it was told to stop must be answered.
    """
    report = Report("R13", "rolling restart", seed, 4 * rounds)
    rng = random.Random(seed)
    shared = free_port()
    async with stage.open() as play:
        await play.people(5)
        apis = [await _api(play, shared) for _ in range(2)]
        workers = [_worker(stage) for _ in range(2)]
        load = Load(shared, f"R13-{seed}")
        load.start(clients)
        drains: dict[str, list[float]] = {"API": [], "worker": []}
        told: list[float] = []
        for _ in range(rounds):
            for place in range(2):
                await asyncio.sleep(rng.uniform(0.1, 0.4))
                old, apis[place] = apis[place], await _api(play, shared)
                drains["API"].append(await _stop(old, rng, told, report))
                old, workers[place] = workers[place], _worker(stage)
                await asyncio.sleep(rng.uniform(0.1, 0.4))
                drains["worker"].append(await _stop(old, rng, told, report))
        await load.stop()
        load.judge(report, deadline=DEADLINE, cut_off=True)
        at_hand, lost = _at_hand(load, told)
        if lost:
            report.violations.append(f"{lost} requests that an API had at hand were not answered")
        failed = sum(one.status >= 400 for one in load.answers)
        if load.refused or failed:
            report.violations.append(f"{load.refused} connections were refused, {failed} requests failed")
        report.figures = {
            "requests": len(load.answers),
            "refused or failed": load.refused + failed,
            "at hand when told to stop": at_hand,
            "of them finished": at_hand - lost,
            "repeated on a closed connection": load.reopened,
            **{f"{part} stops p50/p99/max": quantiles(spent) for part, spent in drains.items()},
        }
        await load.lost(play, report)
        return await play.reckon(report, tasks=len(load.accepted))


async def _api(play: Play, shared: int) -> Child:
    """One more API on the shared socket, once it answers on the port that is its own."""
    own = free_port()
    child = play.stage.start("api", HOST="127.0.0.1", PORT=str(own), SHARED_PORT=str(shared))
    await play.until(lambda: is_ready(own))
    return child


def _worker(stage: Stage) -> Child:
    return stage.start(WORKER_BATCH="50", WORKER_CLAIM_SECONDS="60")  # nothing may have to be claimed


async def _stop(child: Child, rng: random.Random, told: list[float], report: Report) -> float:
    """Tell it to stop, half of the time twice; seconds until it has ended."""
    began = time.monotonic()
    told.append(began)
    child.signal(signal.SIGTERM)
    if rng.random() < 0.5:
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        child.signal(signal.SIGTERM)
    if await child.wait() not in ENDED_WELL:
        report.violations.append(f"a process ended with {child.code}")
        await child.kill()
    return time.monotonic() - began


def _at_hand(load: Load, told: list[float]) -> tuple[int, int]:
    """Requests that were under way when something was told to stop, and those of them without an answer."""
    under_way = [one for one in load.answers if any(one.began < at < one.ended for at in told)]
    return len(under_way), sum(one.status == 0 for one in under_way)
