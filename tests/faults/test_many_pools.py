"""Pools apart: one that floods does not starve the others, and each decides its own."""

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import Doorbell, SilentDoorbell, open_doorbell
from app.doorbell.pool_owners import Serving
from app.engine.types import PoolId
from app.services.audit.invariants import find_violations
from app.services.live.listen import Listener
from app.services.placement.sql import SERVING_CHANNEL
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks
from tests.placement.test_worker import worker_process

FLOOD = 12_000
PATIENCE = 240.0
WAITING = "SELECT EXISTS (SELECT FROM tasks WHERE status = 'pending')"


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
    async with asyncio.timeout(PATIENCE):
        while await database.hot.fetchval(WAITING):  # noqa: ASYNC110 - a state of the database
            await asyncio.sleep(0.05)
    worker.stop()
    await working
    ended = {
        row["pool_id"]: row["at"]
        for row in await database.hot.fetch(
            "SELECT pool_id, max(decided_at) AS at FROM assignments GROUP BY 1"
        )
    }
    last = max(ended[pool_id] for pool_id in others)
    assert last < ended[flooding], "the others waited for the whole flood"
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@dataclass(slots=True)
class Team:
    """Three worker processes and four pools; what the workers say is heard and what they log is read."""

    database: Database
    pools: list[PoolId]
    bell: Doorbell
    workers: list[subprocess.Popen[bytes]]
    log: Path
    serving: Serving = field(default_factory=Serving)

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
        return None not in self.servers and self._count(self.chosen) > min(map(self._count, self.workers)) + 1

    def _count(self, worker: subprocess.Popen[bytes]) -> int:
        return sum(_is(server, worker) for server in self.servers)

    def has_relieved(self, worker: subprocess.Popen[bytes]) -> bool:
        """Whether another worker said that it relieves this one of a pool, and serves it now."""
        *lines, _half_written = self.log.read_text().split("\n")
        said = [json.loads(line) for line in lines if "pool.relieved" in line]
        return any(
            _is(each["of"], worker) and not _is(self.serving.of(PoolId(each["pool"])), worker)
            for each in said
        )

    async def work_until(self, done: Callable[[], bool]) -> None:
        """A few tasks for each pool at a time, each time until all are placed."""
        while not done():
            await self.work(2)

    async def work(self, count: int, enough: Callable[[], bool] = lambda: False) -> None:
        """So many more tasks for each pool, until none is left or that is enough."""
        for pool_id in self.pools:
            await add_tasks(self.database, pool_id, count)
            self.bell.ring(pool_id)
        while not enough() and await self.database.hot.fetchval(WAITING):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _is(server: str | None, worker: subprocess.Popen[bytes]) -> bool:
    return str(server).endswith(f"-{worker.pid}")


@contextlib.asynccontextmanager
async def _team(settings: Settings, database: Database, log: Path, **own: str) -> AsyncIterator[Team]:
    """Afterwards nothing is lost, double or over a limit."""
    pools = [await add_pool(database, code=f"pool-{number}") for number in range(4)]
    for pool_id in pools:
        await add_executors(database, pool_id, 3)
    async with contextlib.AsyncExitStack() as stack:
        output = stack.enter_context(log.open("wb"))
        workers = [stack.enter_context(worker_process(settings, output, **own)) for _ in range(3)]
        team = Team(database, pools, open_doorbell(settings.redis_url), workers, log)
        stack.push_async_callback(team.bell.close)
        listener = Listener(settings.dsn, {SERVING_CHANNEL: team.serving.heard})
        listener.start()
        stack.push_async_callback(listener.stop)
        yield team
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
async def test_workers_with_time_to_spare_put_their_pools_together_and_one_that_dies_or_hangs_is_replaced(
    settings: Settings, database: Database, blow: signal.Signals, tmp_path: Path
) -> None:
    async with asyncio.timeout(PATIENCE), _team(settings, database, tmp_path / "log") as team:
        await team.work_until(lambda: team.is_of_one)
        [one] = set(team.servers)
        team.chosen.send_signal(blow)
        await team.work_until(lambda: one not in team.servers)
        await team.work_until(lambda: team.is_of_one)


@contextlib.asynccontextmanager
async def _slowed(worker: subprocess.Popen[bytes]) -> AsyncIterator[None]:
    """To a tenth, in steps so small that it is heard meanwhile and does not seem to hang."""

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
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    # Other tests use this machine's processors: were idle ones needed, these decided what is played here. Short
    # batches, so that a slow worker does not seem to hang.
    own = {"WORKER_SPARE_CORES": "0", "WORKER_BATCH": "100", "LOG_LEVEL": "info", "LOG_FORMAT": "json"}
    async with asyncio.timeout(PATIENCE), _team(settings, database, tmp_path / "log", **own) as team:
        count, relieved = 2_000, False
        while not relieved:
            await team.work_until(lambda: team.is_uneven)
            is_relieved = partial(team.has_relieved, slow := team.chosen)
            async with _slowed(slow):
                await team.work(count, is_relieved)
            relieved, count = is_relieved(), 2 * count
        await team.work(1)
        assert all(worker.poll() is None for worker in team.workers)
