"""A pool where it is morning, with skills, and a client of its API; files with a pool of their own say so."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from tests.api.conftest import client_of
from tests.builders import add_pool
from tests.fairness.test_fairness_watch import with_skills


def zone_where_it_is_morning() -> str:
    """Of the zones with whole hours, one where it is 10 o'clock and some minutes: the day is neither new nor over."""
    ahead = (10 - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    pool_id = await add_pool(database, timezone=zone_where_it_is_morning())
    await with_skills(database, pool_id)
    return pool_id


@pytest.fixture
async def client(settings: Settings, pool_id: PoolId) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings) as client:
        yield client
