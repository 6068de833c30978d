"""R10: one place is left and many workers want it: never two in it, never nobody.

Also PITFALLS row 4: hard limits hold in a burst with any number of workers.
"""

import asyncio
import random
import time

import asyncpg

from app.database import HotPool, prepare_connection
from app.engine.types import PoolId
from app.services.placement import sql as statements
from app.services.placement.assignment import EpochMoved, Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from benchmarks.chaos.planted import plant
from benchmarks.chaos.stage import Play, Report, Stage, quantiles

SHORT = {"rounds": 25, "workers": 4}
FULL = {"rounds": 1000, "workers": 8}
DEFECT = "read_then_write"


async def run(stage: Stage, *, seed: int, rounds: int, workers: int) -> Report:
    """Each round frees exactly one place of a kind and lets all workers at four tasks, each more urgent."""
    report = Report("R10", "the last free place", seed, rounds)
    rng = random.Random(seed)
    kept = statements.TAKE_POOL, statements.COMMIT_BATCH
    if stage.defect:
        plant(stage.defect)
    try:
        async with stage.open() as play:
            await _rounds(play, report, rng, workers)
            statements.TAKE_POOL, statements.COMMIT_BATCH = kept
            return await play.reckon(report)
    finally:
        statements.TAKE_POOL, statements.COMMIT_BATCH = kept


async def _rounds(play: Play, report: Report, rng: random.Random, workers: int) -> None:
    pool_id = await play.people(1, daily_limit=0.0, max_open=0)
    hot = await asyncpg.create_pool(
        play.stage.settings().dsn, min_size=workers, max_size=workers, init=prepare_connection, timeout=60
    )
    pictures = [PoolSnapshot(pool_id) for _ in range(workers)]
    waits: list[float] = []
    taken = over = unused = retries = 0
    for _ in range(report.n):
        kind = rng.choice(["daily_limit", "max_open"])
        await _leave_one_place(hot, pool_id, kind, taken)
        done = asyncio.Event()
        ends = await asyncio.gather(
            *(_work(hot, picture, waits, done) for picture in pictures), _send_four(play, pool_id, done)
        )
        retries += sum(ends)
        now = await play.count("assigned")
        over += max(0, now - taken - 1)
        unused += max(0, taken + 1 - now)
        taken = now
    await hot.close()
    report.figures = {
        "over": over,
        "unused": unused,
        "decided anew per 1,000": round(1000 * retries / report.n),
        "look p50/p99/max": quantiles(waits),
    }
    if over or unused:
        report.violations.append(f"{over} over the limit, {unused} places unused")


async def _leave_one_place(hot: HotPool, pool_id: PoolId, kind: str, taken: int) -> None:
    """The bound of this kind allows one more; the other bound is away. What still waits is cancelled."""
    limits = (taken + 1, None) if kind == "daily_limit" else (None, taken + 1)
    async with hot.acquire() as connection, connection.transaction():
        epoch = await connection.fetchval(
            "UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch", pool_id
        )
        await connection.execute(
            "UPDATE executors SET daily_limit = $2, max_open = $3, epoch = $4, updated_at = clock_timestamp() "
            "WHERE pool_id = $1",
            pool_id,
            *limits,
            epoch,
        )
        await connection.execute("UPDATE tasks SET status = 'cancelled' WHERE status = 'pending'")


async def _send_four(play: Play, pool_id: PoolId, done: asyncio.Event) -> int:
    for priority in range(4):
        await play.send(pool_id, 1, ring=False, priority=priority)
    done.set()
    return 0


async def _work(hot: HotPool, picture: PoolSnapshot, waits: list[float], done: asyncio.Event) -> int:
    """Work as a worker does until nothing is left to look at; how often a decision was made anew."""
    retries = 0
    while True:
        started = time.monotonic()
        try:
            batch = await place_batch(hot, picture, limit=1, deliver=False)
        except (EpochMoved, asyncpg.PostgresError):
            retries += 1
            if retries > 50:
                return retries
            continue
        waits.append(time.monotonic() - started)
        if batch.found is Found.NOTHING and done.is_set():
            return retries
        if batch.found is not Found.WORK:
            await asyncio.sleep(0.001)
