"""A process that hangs loses its pool wherever in a transaction it hangs, also between two messages of a statement."""

import asyncio
from typing import Any

import asyncpg
import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import SilentDoorbell
from app.services.common.pool_lock import raise_epoch
from app.services.placement.sql import TAKE_POOL
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks


@pytest.mark.parametrize("kind", ["worker", "request"])
async def test_whoever_hangs_between_preparing_and_executing_a_statement_loses_the_pool(
    settings: Settings, database: Database, kind: str
) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 1)
    worker = Worker(settings, database, SilentDoorbell())
    async with database.session() as session, database.hot.acquire() as hot:
        driver: Any = hot
        if kind == "worker":
            await driver.execute("BEGIN")
            assert await driver.fetchrow(TAKE_POOL, pool_id)
        else:
            await raise_epoch(session, pool_id)
            driver = (await (await session.connection()).get_raw_connection()).driver_connection
        await driver.prepare("SELECT 'and here it hangs'")
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(60):
            while await database.hot.fetchval("SELECT status FROM tasks") != "assigned":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        worker.stop()
        await working
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError, OSError)):
            await driver.execute("COMMIT")
