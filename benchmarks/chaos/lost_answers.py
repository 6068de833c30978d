"""R3: the commit is reached and its answer lost: the connection is cut between COMMIT and the reply."""

import asyncio
import contextlib

import asyncpg

from app.database import HotPool, prepare_connection
from app.engine.types import PoolId
from app.errors import Unavailable
from app.services.intake.intake import NewTask, Receipt, write_tasks
from app.services.placement import assignment
from app.services.placement.pool_snapshot import PoolSnapshot
from benchmarks.chaos.proxy import Proxy, Toxic
from benchmarks.chaos.stage import Play, Report, Stage

SHORT = {"answers": 24}
FULL = {"answers": 500}
DEFECT = "no_unique_index"


async def run(stage: Stage, *, seed: int, answers: int) -> Report:
    """Half of the cuts hit intake, which the client repeats; half hit a worker, which looks again."""
    report = Report("R3", "commit reached, answer lost", seed, 0)
    async with stage.open() as play:
        pool_id = await play.people(5)
        url = stage.settings().dsn
        address = url.rpartition("@")[2].partition("/")[0]
        host, _, port = address.partition(":")
        async with Proxy(host, int(port), seed) as proxy:
            hot = await asyncpg.create_pool(
                url.replace(address, f"127.0.0.1:{proxy.port}"),
                min_size=0,
                max_size=2,
                init=prepare_connection,
                timeout=5,
                command_timeout=5,
            )
            recognised = await _cut_intake(hot, proxy, pool_id, answers // 2)
            cut = proxy.cuts
            await _cut_workers(play, hot, proxy, pool_id, answers - answers // 2)
            hot.terminate()
            report.n = proxy.cuts
        report.figures = {
            "cut at intake": cut,
            "cut at workers": report.n - cut,
            "repeats answered as duplicates": f"{recognised} of {cut}",
        }
        stage.start()
        return await play.reckon(report, tasks=answers // 2 * 3 + play.sent)


async def _cut_intake(hot: HotPool, proxy: Proxy, pool_id: PoolId, count: int) -> int:
    recognised = 0
    for number in range(count):
        tasks = [NewTask(pool_id, external_id=f"L-{number}-{place}") for place in range(3)]
        async with hot.acquire() as connection:  # a connection that is ready, and the statement prepared
            await connection.fetchval("SELECT 1")
        proxy.toxic = Toxic(cut_after=lambda chunk: b"E" in chunk and len(chunk) > 300)
        with contextlib.suppress(Unavailable):
            await write_tasks(hot, tasks)
        proxy.toxic = Toxic()
        await asyncio.sleep(0.12)
        for _ in range(5):
            try:
                outcomes = await write_tasks(hot, tasks)
                break
            except Unavailable:
                continue
        recognised += all(isinstance(one, Receipt) and one.duplicate for one in outcomes)
    return recognised


async def _cut_workers(play: Play, hot: HotPool, proxy: Proxy, pool_id: PoolId, count: int) -> None:
    picture = PoolSnapshot(pool_id)
    for _ in range(count):
        await play.send(pool_id, 3, ring=False)
        proxy.toxic = Toxic(cut_after=lambda chunk: b"COMMIT;" in chunk)
        for _ in range(10):
            try:
                await assignment.place_batch(hot, picture, limit=10, deliver=True)
                break
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                proxy.toxic = Toxic()
                await asyncio.sleep(0.1)
        proxy.toxic = Toxic()
