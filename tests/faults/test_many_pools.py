"""Pools apart: one that floods does not starve the others, and each decides its own."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Team:
    """Three worker processes and four pools, of which one of them has all; what they say is heard."""

    database: Database
    pools: list[PoolId]
    serving: Serving
    bell: Doorbell
    chosen: subprocess.Popen[bytes]

    @property
    def servers(self) -> list[str | None]:
        return [self.serving.of(pool_id) for pool_id in self.pools]

    @property
    def is_of_one(self) -> bool:
        return len(set(self.servers)) == 1 and None not in self.servers

    async def work_until(self, done: Callable[[], bool]) -> None:
        """A few tasks for each pool at a time, each time until all are placed; who was late stays apart a minute."""
        async with asyncio.timeout(120):
            while not done():
                before = await _assigned(self.database, self.pools)
                for pool_id in self.pools:
                    await add_tasks(self.database, pool_id, 2)
                    self.bell.ring(pool_id)
                wanted = before + 2 * len(self.pools)
                while await _assigned(self.database, self.pools) < wanted:  # noqa: ASYNC110 - a state
                    await asyncio.sleep(0.01)


@pytest.fixture
async def team(settings: Settings, database: Database) -> AsyncIterator[Team]:
    pools = [await add_pool(database, code=f"pool-{number}") for number in range(4)]
    for pool_id in pools:
        await add_executors(database, pool_id, 3)
    serving, bell = Serving(), open_doorbell(settings.redis_url)
    listener = Listener(settings.dsn, {SERVING_CHANNEL: serving.heard})
    listener.start()
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker_process(settings)) for _ in range(3)]
        team = Team(database, pools, serving, bell, workers[0])
        await team.work_until(lambda: team.is_of_one)
        [chosen] = [worker for worker in workers if str(team.servers[0]).endswith(f"-{worker.pid}")]
        yield replace(team, chosen=chosen)
    await listener.stop()
    await bell.close()
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_workers_with_time_to_spare_put_their_pools_together_and_one_that_dies_or_hangs_is_replaced(
    team: Team, blow: signal.Signals
) -> None:
    [one] = set(team.servers)
    team.chosen.send_signal(blow)
    await team.work_until(lambda: one not in team.servers)
    await team.work_until(lambda: team.is_of_one)


async def test_a_worker_that_is_too_slow_for_its_pools_is_relieved(team: Team) -> None:
    [one] = set(team.servers)

    async def slow_down() -> None:
        while True:
            team.chosen.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.9)
            team.chosen.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.1)

    slowing = asyncio.create_task(slow_down())
    try:
        await team.work_until(lambda: len({*team.servers} - {one}) > 0)
    finally:
        slowing.cancel()
        team.chosen.send_signal(signal.SIGCONT)
    assert team.chosen.poll() is None
