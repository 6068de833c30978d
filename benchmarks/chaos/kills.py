"""R1: workers are killed with SIGKILL at any moment, again and again, under load."""

import asyncio
import random
import signal
import time

from benchmarks.chaos.stage import Play, Report, Stage, quantiles
from benchmarks.chaos.zygote import Child

SHORT = {"workers": 2, "kills": 6, "tasks": 1200}
FULL = {"workers": 4, "kills": 220, "tasks": 50_000}
DEFECT = "ack_before_commit"


async def run(stage: Stage, *, seed: int, workers: int, kills: int, tasks: int) -> Report:
    """Tasks come in bursts, one ring each; recovery: from a kill to the next assignment, whoever makes it."""
    report = Report("R1", "kill -9 of random workers", seed, kills)
    rng = random.Random(seed)
    async with stage.open() as play:
        pool_id = await play.people(20, daily_limit=tasks / 20 + 5)
        running = [_worker(stage) for _ in range(workers)]
        recoveries: list[float] = []
        burst = tasks // kills
        for number in range(kills):
            await play.send(pool_id, burst if number < kills - 1 else tasks - burst * (kills - 1))
            await asyncio.sleep(rng.uniform(0.02, 0.15))
            victim = rng.randrange(workers)
            running[victim].signal(signal.SIGKILL)
            killed = time.monotonic()
            await running[victim].wait()
            running[victim] = _worker(stage)
            if (seconds := await _next_assignment(play, killed)) is not None:
                recoveries.append(seconds)
        report.figures["recovery p50/p99/max"] = quantiles(recoveries)
        return await play.reckon(report)


def _worker(stage: Stage) -> Child:
    """Small batches that linger before their commit, so that most kills hit one."""
    return stage.start(failpoints="decided=sleep:0.01@*", WORKER_BATCH="40", WORKER_CLAIM_SECONDS="1")


async def _next_assignment(play: Play, killed: float) -> float | None:
    """Seconds until somebody places something again; None if nothing was left to place."""
    before = await play.count("assigned")

    async def moved() -> bool:
        return await play.count("assigned") > before or await play.count("pending") == 0

    await play.until(moved, min(10.0, play.stage.patience))
    return time.monotonic() - killed if await play.count("assigned") > before else None
