"""Pools apart: one that floods does not starve the others, and each decides its own."""

import asyncio

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.queue import SilentDoorbell
from app.services.audit import find_violations
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks

FLOOD = 12_000


async def _assigned(database: Database, pool_ids: list[PoolId]) -> int:
    async with database.hot.acquire() as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM tasks WHERE pool_id = ANY($1::bigint[]) AND status = 'assigned'",
                pool_ids,
            )
        )


async def test_one_flooding_pool_among_ten_does_not_starve_the_others(
    settings: Settings, database: Database
) -> None:
    pools = [await add_pool(database, code=f"pool-{number}") for number in range(10)]
    for pool_id in pools:
        await add_executors(database, pool_id, 3)
    flooding, *others = pools
    await add_tasks(database, flooding, FLOOD)
    for pool_id in others:
        await add_tasks(database, pool_id, 5)
    worker = Worker(settings, database, SilentDoorbell())
    working = asyncio.create_task(worker.run())
    async with asyncio.timeout(120):
        while await _assigned(database, others) < 45:  # noqa: ASYNC110 - a state of the database
            await asyncio.sleep(0.01)
        ahead = await _assigned(database, [flooding])
    worker.stop()
    await working
    assert ahead < FLOOD, "the others had to wait for the whole flood"
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []
