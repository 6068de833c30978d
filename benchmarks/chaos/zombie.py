"""R4: a worker is stopped with its batch decided, loses the pool, and wakes up; late writes must change nothing."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

from app.engine.types import PoolId
from app.services.placement import assignment, sql as statements
from app.services.placement.pool_snapshot import PoolSnapshot
from benchmarks.chaos.planted import plant
from benchmarks.chaos.stage import Play, Report, Stage, quantiles

SHORT = {"stops": 2, "terminations": 2, "races": 30}
FULL = {"stops": 40, "terminations": 100, "races": 2000}
DEFECT = "no_epoch"
LEASE = "0.5"


async def run(stage: Stage, *, seed: int, stops: int, terminations: int, races: int) -> Report:
    """Stopped processes, ended backends, and the fence on its own, with the pool's lock taken away."""
    report = Report("R4", "zombies", seed, stops + terminations + races)
    async with stage.open() as play:
        pool_id = await play.people(7)
        takeovers = [await _stopped_worker(play, pool_id) for _ in range(stops)]
        await _ended_backends(play, pool_id, terminations)
        await play.drained()
        await stage.zygote.end_all()
        tried, accepted = await _races(play, pool_id, races)
        if accepted:
            report.violations.append(f"{accepted} late writes were accepted")
        report.figures |= {
            "late writes": f"{tried} tried, {accepted} accepted",
            "takeover": quantiles(takeovers),
        }
        stage.start()
        return await play.reckon(report)


async def _stopped_worker(play: Play, pool_id: PoolId) -> float:
    """Seconds until another worker has placed what the stopped one held."""
    hung = play.stage.start(failpoints="before_commit=stop", WORKER_TRANSACTION_SECONDS=LEASE)
    await play.send(pool_id, 30)
    await play.until(lambda: _is_stopped(hung.pid), 20)
    started = time.monotonic()
    other = play.stage.start(WORKER_TRANSACTION_SECONDS=LEASE)
    await play.drained()
    taken = time.monotonic() - started
    hung.signal(signal.SIGCONT)
    await play.send(pool_id, 30)
    await play.drained()
    await hung.kill()
    await other.kill()
    return taken


async def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")  # noqa: ASYNC240


async def _ended_backends(play: Play, pool_id: PoolId, count: int) -> None:
    """The server ends the connection of whoever holds the pool."""
    play.stage.start(failpoints="decided=sleep:0.05@*", WORKER_BATCH="20")
    for _ in range(count):
        await play.send(pool_id, 30)
        await asyncio.sleep(0.03)
        async with play.database.hot.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL ROLE NONE")
            await connection.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND state = 'idle in transaction'
                """)


async def _races(play: Play, pool_id: PoolId, rounds: int) -> tuple[int, int]:
    """Late writes tried and accepted, the pool's lock taken away so that the fence stands alone.

    One place is left. The late worker has decided to give it to a task; before it writes, another worker gives the
    place to a more urgent one. Both tasks are still what they were: only the epoch tells.
    """
    kept = statements.TAKE_POOL, statements.COMMIT_BATCH, assignment.keep_classes
    statements.TAKE_POOL = kept[0].replace("FOR NO KEY UPDATE OF state SKIP LOCKED", "")
    if kept[0] == statements.TAKE_POOL:
        raise RuntimeError("TAKE_POOL no longer locks as this fault expects")
    if play.stage.defect:
        plant(play.stage.defect)
    late, other = PoolSnapshot(pool_id), PoolSnapshot(pool_id)
    accepted = 0

    async def decided_late(*arguments: Any) -> Any:
        assignment.keep_classes = kept[2]
        await play.send(pool_id, 1, ring=False, priority=9)
        await assignment.place_batch(play.database.hot, other, limit=1, deliver=False)
        return await kept[2](*arguments)

    try:
        for _ in range(rounds):
            await _leave_one_place(play, pool_id)
            await play.send(pool_id, 1, ring=False)
            assignment.keep_classes = decided_late
            try:
                await assignment.place_batch(play.database.hot, late, limit=1, deliver=False)
                accepted += 1
            except assignment.EpochMoved:
                pass
    finally:
        statements.TAKE_POOL, statements.COMMIT_BATCH, assignment.keep_classes = kept
    return rounds, accepted


async def _leave_one_place(play: Play, pool_id: PoolId) -> None:
    async with play.database.hot.acquire() as connection, connection.transaction():
        epoch = await connection.fetchval(
            "UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch", pool_id
        )
        await connection.execute("UPDATE tasks SET status = 'cancelled' WHERE status = 'pending'")
        await connection.execute(
            """
            UPDATE executors person SET epoch = $2, updated_at = clock_timestamp(),
                max_open = load.open_count + CASE WHEN person.id = (SELECT min(id) FROM executors) THEN 1 ELSE 0 END
            FROM executor_loads load WHERE load.executor_id = person.id AND person.pool_id = $1
            """,
            pool_id,
            epoch,
        )
