"""Pools apart: one that floods does not starve the others, and each decides its own."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.queue import Doorbell, SilentDoorbell, open_doorbell
from app.services.audit import find_violations
from app.services.listening import Listener
from app.services.statements import SERVING_CHANNEL
from app.serving import HOT_SECONDS, Serving
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks
from tests.test_worker import worker_process

FLOOD = 12_000
PATIENCE = 240.0
WAITING = "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending')"
SEEN_NOW = "UPDATE tasks SET updated_at = now() WHERE status = 'pending'"
"""What waits here waits on purpose; the audit would call it forgotten after half a minute."""


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
    await database.hot.execute(SEEN_NOW)
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@dataclass(slots=True)
class Team:
    """Three worker processes and four pools; what the workers say is heard."""

    database: Database
    pools: list[PoolId]
    bell: Doorbell
    workers: list[subprocess.Popen[bytes]]
    serving: Serving = field(default_factory=Serving)
    since: dict[PoolId, float] = field(default_factory=dict)
    relieved: int = 0
    """How often a pool that was long heard to be served, without a break, went to a worker with fewer pools.

    A worker gives its own to one that has more; one that hangs is not heard.
    """

    def heard(self, said: Mapping[str, Any]) -> None:
        if "by" in said:
            pool_id, worker, now = PoolId(said["pool"]), said["by"], time.monotonic()
            before, is_hot = self.serving.of(pool_id), self.serving.leaves(pool_id, "anybody else")
            if is_hot and self.servers.count(worker) < self.servers.count(before):
                self.relieved += now - self.since[pool_id] > 2 * HOT_SECONDS
            if worker != before or not is_hot:
                self.since[pool_id] = now
        self.serving.heard(said)

    @property
    def servers(self) -> list[str | None]:
        return [self.serving.of(pool_id) for pool_id in self.pools]

    @property
    def is_of_one(self) -> bool:
        return len(set(self.servers)) == 1 and None not in self.servers

    @property
    def chosen(self) -> subprocess.Popen[bytes]:
        """The worker with the most pools."""
        return max(self.workers, key=self._count)

    @property
    def is_uneven(self) -> bool:
        """Whether somebody could take a pool of the chosen and still have fewer than it had."""
        return self._count(self.chosen) > min(map(self._count, self.workers)) + 1

    def _count(self, worker: subprocess.Popen[bytes]) -> int:
        return sum(str(server).endswith(f"-{worker.pid}") for server in self.servers)

    async def work_until(self, done: Callable[[], bool]) -> None:
        """A few tasks for each pool at a time, each time until all are placed; who was late stays apart a minute."""
        while not done():
            await self.work(2, lambda: False)

    async def work(self, count: int, enough: Callable[[], bool]) -> None:
        """So many more tasks for each pool, until none is left or that is enough."""
        for pool_id in self.pools:
            await add_tasks(self.database, pool_id, count)
            self.bell.ring(pool_id)
        while not enough() and await self.database.hot.fetchval(WAITING):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _team(settings: Settings, database: Database, **own: str) -> AsyncIterator[Team]:
    """Once all pools are of one; afterwards nothing is lost, double or over a limit."""
    pools = [await add_pool(database, code=f"pool-{number}") for number in range(4)]
    for pool_id in pools:
        await add_executors(database, pool_id, 3)
    async with contextlib.AsyncExitStack() as stack:
        workers = [stack.enter_context(worker_process(settings, **own)) for _ in range(3)]
        team = Team(database, pools, open_doorbell(settings.redis_url), workers)
        stack.push_async_callback(team.bell.close)
        listener = Listener(settings.dsn, {SERVING_CHANNEL: team.heard})
        listener.start()
        stack.push_async_callback(listener.stop)
        await team.work_until(lambda: team.is_of_one)
        yield team
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_workers_with_time_to_spare_put_their_pools_together_and_one_that_dies_or_hangs_is_replaced(
    settings: Settings, database: Database, blow: signal.Signals
) -> None:
    async with asyncio.timeout(PATIENCE), _team(settings, database) as team:
        [one] = set(team.servers)
        team.chosen.send_signal(blow)
        await team.work_until(lambda: one not in team.servers)
        await team.work_until(lambda: team.is_of_one)


@contextlib.asynccontextmanager
async def _slowed(worker: subprocess.Popen[bytes]) -> AsyncIterator[None]:
    """To a tenth and in so small steps that it is heard all the while: it never seems to hang."""

    async def slow_down() -> None:
        while True:
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.045)
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.005)

    slowing = asyncio.create_task(slow_down())
    try:
        yield
    finally:
        slowing.cancel()
        worker.send_signal(signal.SIGCONT)


async def test_a_worker_that_is_too_slow_for_its_pools_is_relieved(
    settings: Settings, database: Database
) -> None:
    # Other tests use this machine's processors: were idle ones needed, these decided what is played here. Short
    # batches, so that a slow worker does not seem to hang.
    own = {"WORKER_SPARE_CORES": "0", "WORKER_BATCH": "100"}
    async with asyncio.timeout(PATIENCE), _team(settings, database, **own) as team:
        count, team.relieved = 2_000, 0
        while not team.relieved:
            await team.work_until(lambda: team.is_uneven)
            async with _slowed(team.chosen):
                await team.work(count, lambda: team.relieved > 0)
            count *= 2
        await database.hot.execute(SEEN_NOW)
        await team.work(1, lambda: False)
        assert all(worker.poll() is None for worker in team.workers)
