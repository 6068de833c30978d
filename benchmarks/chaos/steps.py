"""R2: a worker dies at each named step; whoever comes next ends in the same state as without a death."""

from benchmarks.chaos.external import External, external_system
from benchmarks.chaos.stage import Play, Report, Stage
from benchmarks.chaos.zygote import Child
from benchmarks.results import Cell, Table

DECIDING = ("heard", "locked", "decided", "before_commit", "after_commit", "after_ack")
DELIVERING = ("outbox_read", "ais_called", "outbox_marked")
POINTS = (*DECIDING, *DELIVERING)
SHORT = {"passes": (1,)}
FULL = {"passes": tuple(range(1, 31))}
DEFECT = "no_sweep"
DIED = 70
ENDS = """
SELECT count(*) FILTER (WHERE task.status = 'assigned') AS assigned,
       count(held.id) AS current,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL) AS delivered,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL) AS undelivered,
       (SELECT max(received) - min(received) FROM
            (SELECT count(*) AS received FROM assignments GROUP BY executor_id) people) AS spread
FROM tasks task LEFT JOIN assignments held ON held.task_id = task.id AND held.released_at IS NULL
"""
"""What an end is told by: with alike people and alike tasks each number but the total is the same every time."""


async def run(stage: Stage, *, seed: int, passes: tuple[int, ...]) -> Report:
    """Each point at each of the given passings; after each death a new worker finds the work with no new ring."""
    report = Report("R2", "death at every step", seed, 0)
    table = Table(
        "R2: end states, each after the last death at that step",
        ["died at", "deaths", "tasks", "assigned", "current", "delivered", "shown by АИС", "spread"],
        [],
    )
    with external_system(seed) as external:
        async with stage.open() as play:
            await play.people(5)
            for point in ("nowhere", *POINTS):
                deaths = 0
                for passing in passes if point != "nowhere" else (1,):
                    deaths += await _die(play, external, point, passing)
                    if not await _inherited(play, external):
                        report.violations.append(f"after death at {point} nobody finds the work")
                        return await play.reckon(report)
                table.rows.append([point, deaths, *await _end(play, external, report, point)])
                report.n += deaths
            report.tables.append(table)
            report.figures = {
                "points": f"{sum(bool(row[1]) for row in table.rows)} of {len(POINTS)}",
                "messages to АИС": len(external.store.log),
                "of them again": external.store.counters.duplicates,
                "in wrong order": external.inversions(),
            }
            if external.inversions():
                report.violations.append(f"{external.inversions()} messages came in wrong order")
            return await play.reckon(report)


def _worker(play: Play, external: External, failpoints: str = "") -> Child:
    return play.stage.start(
        failpoints=failpoints,
        WORKER_BATCH="10",
        WORKER_CLAIM_SECONDS="1",
        AIS_URL=external.url,
        AIS_SYNC_SECONDS="0",
        RECONCILE_SECONDS="0",
        DELIVERY_BATCH="10",
        DELIVERY_PARALLEL="1",
        DELIVERY_LEASE_SECONDS="1",
    )


async def _die(play: Play, external: External, point: str, passing: int) -> bool:
    """Give a worker work until it dies at its point; whether it did."""
    pool_id = await play.people(0)
    dying = _worker(play, external, "" if point == "nowhere" else f"{point}=exit@{passing}")
    for _ in range(passing + 20):
        await play.send(pool_id, 30)

        async def over() -> bool:
            return not dying.running or await _nothing_left(play)

        await play.until(over, play.stage.patience)
        if not dying.running or point == "nowhere":
            break
    await dying.kill()
    return dying.code == DIED


async def _inherited(play: Play, external: External) -> bool:
    heir = _worker(play, external)
    found = await play.until(lambda: _nothing_left(play), min(60.0, play.stage.patience))
    await heir.kill()
    return found


async def _nothing_left(play: Play) -> bool:
    """Nothing to look at, nothing to send."""
    async with play.database.hot.acquire() as connection:
        return not await connection.fetchval("""
            SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending' AND wait_reason IS NULL)
                OR EXISTS (SELECT FROM outbox WHERE delivered_at IS NULL)
            """)


async def _end(play: Play, external: External, report: Report, point: str) -> list[Cell]:
    """The state after a death; a violation where it is not the state that there is without one."""
    async with play.database.hot.acquire() as connection:
        row = await connection.fetchrow(ENDS)
        given = await connection.fetch(
            "SELECT task_id, executor_id FROM assignments WHERE released_at IS NULL"
        )
    shown = sum(
        external.store.assignments.get(held["task_id"], {}).get("executor_id") == held["executor_id"]
        for held in given
    )
    end = [row["assigned"], row["current"], row["delivered"], shown]
    if any(number != play.sent for number in end) or row["undelivered"] or row["spread"] > 1:
        report.violations.append(f"the end after death at {point} differs: {dict(row)}, shown {shown}")
    return [play.sent, *end, row["spread"]]
