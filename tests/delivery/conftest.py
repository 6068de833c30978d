"""The emulated external system on a socket of its own, and senders that report to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.services.delivery import delivery
from app.services.delivery.delivery import Delivery
from benchmarks.chaos.external import External, external_system
from tests.api.conftest import client, pool_id, working
from tests.lifecycle.conftest import Story, story, until

__all__ = ["client", "pool_id", "story", "until", "working"]


@pytest.fixture
def emulator() -> Iterator[External]:
    """A quick and faithful external system; `behave` makes it worse."""
    with external_system(seed=1) as external:
        yield external


@pytest.fixture
def settings(
    database_url: str, redis_url: str, emulator: External, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of a system that reports to the emulator, impatiently."""
    monkeypatch.setattr(delivery, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(delivery, "_LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(delivery, "_LEFT_ALONE", 0.02)
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        ais_url=emulator.url,
        ais_sync_seconds=0,
        delivery_lease_seconds=60.0,
        delivery_attempts=2,
        reconcile_seconds=0.2,
        reconcile_settle_seconds=0.2,
    )


@asynccontextmanager
async def sending(settings: Settings, database: Database) -> AsyncIterator[Delivery]:
    """A sender beside others."""
    sender = Delivery(settings, database)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        sender.stop()
        await task


async def outbox(database: Database) -> dict[str, int]:
    """How many messages there are, by what became of them."""
    async with database.hot.acquire() as connection:
        row = await connection.fetchrow("""
            SELECT count(*) AS all, count(delivered_at) AS delivered, count(dead_at) AS dead FROM outbox
            """)
    return dict(row or {})


async def all_delivered(database: Database) -> bool:
    found = await outbox(database)
    return found["all"] == found["delivered"] > 0


async def write_lives(database: Database, pool_id: PoolId, tasks: int, steps: int) -> None:
    """Messages as lives of tasks write them: `steps` for each task, in the order of time."""
    async with database.hot.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO outbox (pool_id, task_id, sequence, event, payload)
            SELECT $1, task, step, 'start', jsonb_build_object('executor_id', NULL, 'status', 'step ' || step)
            FROM generate_series(1, $3::int) step, generate_series(1, $2::int) task ORDER BY step, task
            """,
            pool_id,
            tasks,
            steps,
        )


__all__ += ["External", "Story"]
