"""R5: each ring comes one to five times, shuffled, to different workers; each task is sent more than once too."""

import asyncio
import random
import time

from app.doorbell.doorbell import STREAM, Doorbell
from app.engine.types import PoolId
from app.services.intake.intake import NewTask, Receipt, write_tasks
from benchmarks.chaos.stage import Report, Stage

SHORT = {"tasks": 400, "workers": 2}
FULL = {"tasks": 20_000, "workers": 4}
DEFECT = "no_state_check"


async def run(stage: Stage, *, seed: int, tasks: int, workers: int) -> Report:
    """Tasks in groups of ten, every group sent again by chance, every ring repeated."""
    report = Report("R5", "duplicates and disorder", seed, 0)
    rng = random.Random(seed)
    async with stage.open() as play:
        pool_id = await play.people(9)
        for _ in range(workers):
            stage.start(WORKER_BATCH="50")
        groups = [range(at, at + 10) for at in range(0, tasks, 10)]
        deliveries = [group for group in groups for _ in range(rng.randint(1, 5))]
        rng.shuffle(deliveries)
        duplicates = 0
        started = time.monotonic()
        for chunk in [deliveries[at : at + 8] for at in range(0, len(deliveries), 8)]:
            ends = await asyncio.gather(
                *(
                    write_tasks(play.database.hot, [NewTask(pool_id, external_id=f"D-{n}") for n in group])
                    for group in chunk
                )
            )
            duplicates += sum(isinstance(one, Receipt) and one.duplicate for end in ends for one in end)
            await _ring_often(play.doorbell, pool_id, rng)
        report.n = len(deliveries) * 10
        report.figures = {
            "duplicates delivered": duplicates,
            "us a delivery": round(1e6 * (time.monotonic() - started) / report.n),
        }
        return await play.reckon(report, tasks=tasks)


async def _ring_often(doorbell: Doorbell, pool_id: PoolId, rng: random.Random) -> None:
    redis = getattr(doorbell, "_redis", None)
    if redis is not None:
        for _ in range(rng.randint(1, 5)):
            await redis.xadd(STREAM, {b"p": str(pool_id)})
