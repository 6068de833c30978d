"""A system to play on: a real server with a worker beside it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.worker import Worker
from tests.api.conftest import serving
from tests.builders import add_pool


@pytest.fixture
async def stage(settings: Settings, database: Database) -> AsyncIterator[str]:
    """Address of an API whose work is done."""
    await add_pool(database)
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    running = asyncio.create_task(worker.run())
    with serving(settings) as address:
        yield address
    worker.stop()
    await running
    await doorbell.close()
