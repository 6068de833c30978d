"""One statement of a request fails: the answer is 503 with Retry-After, nothing is half written, the next one works.

`benchmarks/chaos/every_statement.py` breaks every statement of every route; here are the causes that it found.
"""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from benchmarks.chaos.breaker import Breaker
from tests.api.conftest import client_of, pool_id, problem_in
from tests.builders import add_executors

__all__ = ["pool_id"]


@pytest.fixture
async def breaker(settings: Settings) -> AsyncIterator[Breaker]:
    """A proxy before the database that breaks statements."""
    parts = urlsplit(settings.dsn)
    async with Breaker(str(parts.hostname), int(parts.port or 0), settings.dsn) as breaker:
        yield breaker


def through(breaker: Breaker, settings: Settings) -> Settings:
    """Settings of an application whose database is behind the proxy."""
    parts = urlsplit(settings.database_url)
    url = settings.database_url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{breaker.port}")
    return settings.model_copy(update={"database_url": url, "redis_url": None})


@pytest.mark.parametrize("blow", ["idle_too_long", "cancelled"])
async def test_a_request_is_answered_503_or_as_ever_and_so_is_the_next(
    settings: Settings, database: Database, pool_id: PoolId, breaker: Breaker, blow: str
) -> None:
    [anna] = await add_executors(database, pool_id, 1)
    path, change = f"/v1/executors/{anna}", {"name": "Anna", "daily_limit": 7}
    async with client_of(through(breaker, settings)) as client:
        await client.patch(path, json=change)
        breaker.watch()
        assert (await client.patch(path, json=change)).status_code == 200
        for number in range(1, breaker.seen + 1):
            await database.hot.execute("UPDATE executors SET name = 'before', daily_limit = NULL")
            breaker.arm(number, blow)
            answer = await client.patch(path, json=change)
            person = tuple(await database.hot.fetchrow("SELECT name, daily_limit::int FROM executors") or ())
            if answer.status_code == 200:
                assert person == ("Anna", 7), number
            else:  # whole or not at all: it may have struck after the commit
                assert answer.status_code == 503, (number, answer.text)
                assert person in {("Anna", 7), ("before", None)}, number
                assert "retry-after" in answer.headers and problem_in(answer)["code"] == "unavailable"
            breaker.watch()
            assert (await client.patch(path, json=change)).status_code == 200, number


@pytest.mark.parametrize("blow", ["cancelled", "too_many_connections"])
async def test_a_connection_whose_begin_failed_is_replaced(
    settings: Settings, breaker: Breaker, blow: str
) -> None:
    """Seed 588070588 of R15: a BEGIN was given up, and the next request on its connection was answered 500.

    The driver takes the next transaction for a savepoint of the one that never began.
    """
    behind = await Database.open(through(breaker, settings))

    async def ask() -> object:
        async with behind.session() as session:
            return await session.scalar(text("SELECT 1"))

    try:
        await ask()
        breaker.watch()
        await ask()
        breaker.arm(breaker.seen - 2, blow)  # BEGIN, the query and ROLLBACK come last, after the check
        with pytest.raises(DBAPIError):
            await ask()
        assert breaker.struck
        assert [await ask(), await ask()] == [1, 1]
        breaker.arm(6, blow)  # ROLLBACK
        assert await ask() == 1
        assert breaker.struck and behind.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        assert await ask() == 1
    finally:
        await behind.close()


async def test_a_hot_connection_whose_begin_failed_works_again(settings: Settings, breaker: Breaker) -> None:
    behind = await Database.open(through(breaker, settings))
    try:
        assert await behind.hot.fetchval("SELECT 1") == 1
        breaker.arm(1, "cancelled")
        async with behind.hot.acquire() as connection:
            with pytest.raises(Exception, match="struck on purpose"):
                async with connection.transaction():
                    pass
        async with behind.hot.acquire() as connection, connection.transaction():
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await behind.close()
