"""R2: a worker dies at each named step; whoever comes next ends in the same state as without a death."""

from benchmarks.chaos.stage import Report, Stage
from benchmarks.chaos.zygote import Child

POINTS = ("heard", "locked", "decided", "before_commit", "after_commit", "after_ack")
SHORT = {"passes": (1,)}
FULL = {"passes": tuple(range(1, 35))}
DEFECT = "no_sweep"
DIED = 70


async def run(stage: Stage, *, seed: int, passes: tuple[int, ...]) -> Report:
    """Each point at each of the given passings; after each death a new worker finds the work with no new ring."""
    report = Report("R2", "death at every step", seed, 0)
    ends = []
    async with stage.open() as play:
        pool_id = await play.people(5)
        for point in POINTS:
            for passing in passes:
                dying = stage.start(failpoints=f"{point}=exit@{passing}", WORKER_BATCH="10")
                while dying.running and play.sent < 100_000:
                    await play.send(pool_id, 30)
                    await play.until(lambda child=dying: _ended(child), 1.0)  # type: ignore[misc]
                report.n += dying.code == DIED
                heir = stage.start(WORKER_CLAIM_SECONDS="1")
                ends.append(await play.drained(min(20.0, stage.patience)))
                await heir.kill()
                if not ends[-1]:
                    report.violations.append(f"after death at {point} nobody finds the work")
                    return await play.reckon(report)
        report.figures = {
            "points": f"{len(POINTS)} of {len(POINTS)}",
            "ended as without a death": f"{sum(ends)} of {len(ends)}",
        }
        return await play.reckon(report)


async def _ended(child: Child) -> bool:
    return not child.running
