"""Pools apart: one that floods does not starve the others, and each decides its own."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.queue import Doorbell, SilentDoorbell, open_doorbell
from app.services.audit import find_violations
from app.services.listening import Listener
from app.services.statements import SERVING_CHANNEL
from app.serving import Serving
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks
from tests.test_worker import worker_process

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


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_workers_with_time_to_spare_put_their_pools_together_and_one_that_dies_or_hangs_is_replaced(
    settings: Settings, database: Database, blow: signal.Signals
) -> None:
    pools = [await add_pool(database, code=f"pool-{number}") for number in range(4)]
    for pool_id in pools:
        await add_executors(database, pool_id, 3)
    serving, bell = Serving(), open_doorbell(settings.redis_url)
    listener = Listener(settings.dsn, {SERVING_CHANNEL: serving.heard})
    listener.start()
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker_process(settings)) for _ in range(3)]
        await _work_until(lambda: _of_one(serving, pools), database, bell, pools)
        [one] = {serving.of(pool_id) for pool_id in pools}
        [chosen] = [worker for worker in workers if str(one).endswith(f"-{worker.pid}")]
        chosen.send_signal(blow)
        await _work_until(lambda: serving.of(pools[0]) != one, database, bell, pools)
        await _work_until(lambda: _of_one(serving, pools), database, bell, pools)
    await listener.stop()
    await bell.close()
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


def _of_one(serving: Serving, pools: list[PoolId]) -> bool:
    servers = {serving.of(pool_id) for pool_id in pools}
    return len(servers) == 1 and None not in servers


async def _work_until(
    done: Callable[[], bool], database: Database, bell: Doorbell, pools: list[PoolId]
) -> None:
    """A few tasks for each pool at a time, each time until all are placed; those who were late stay apart a minute."""
    async with asyncio.timeout(120):
        while not done():
            before = await _assigned(database, pools)
            for pool_id in pools:
                await add_tasks(database, pool_id, 2)
                bell.ring(pool_id)
            wanted = before + 2 * len(pools)
            while await _assigned(database, pools) < wanted:  # noqa: ASYNC110 - a state of the database
                await asyncio.sleep(0.01)
