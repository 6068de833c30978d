"""R14: one task among many ends its worker each time; it is set aside after k deaths, and the others go on."""

from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.poison import MOST
from benchmarks.chaos.planted import POISON
from benchmarks.chaos.stage import Play, Report, Stage
from benchmarks.chaos.zygote import Child

SHORT = {"poisons": 1, "tasks": 300}
FULL = {"poisons": 10, "tasks": 2000}
DEFECT = "no_attempt_counter"


async def run(stage: Stage, *, seed: int, poisons: int, tasks: int) -> Report:
    """A worker is started again whenever it died, until nothing is left to look at."""
    report = Report("R14", "poison", seed, poisons)
    async with stage.open() as play:
        pool_id = await play.people(7)
        deaths = 0
        for number in range(poisons):
            await play.send(pool_id, tasks // 2)
            poison = NewTask(pool_id, external_id=f"poison-{number}", parameters={POISON: True})
            await write_tasks(play.database.hot, [poison])
            await play.send(pool_id, tasks // 2)
            for _ in range(3 * MOST):
                worker = stage.start(world="poisoned")
                await play.until(lambda child=worker: _over(play, child))  # type: ignore[misc]
                if worker.running:
                    await worker.kill()
                    break
                deaths += 1
        aside = await play.count("set_aside")
        report.figures = {"deaths until set aside": deaths / poisons, "promised": MOST, "set aside": aside}
        if aside != poisons or deaths != MOST * poisons:
            report.violations.append(f"{aside} of {poisons} set aside after {deaths} deaths")
        return await play.reckon(report, tasks=play.sent + poisons)


async def _over(play: Play, child: Child) -> bool:
    return not child.running or await play.count("pending") == 0
