"""A request has an answer in time, however what it waits for hangs."""

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from app.config import Settings
from app.database import Database
from benchmarks.chaos.proxy import Proxy, Toxic
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool
from tests.servers import owner_of

GENEROUS = 60.0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/tasks", {"external_id": "a"}),
        ("POST", "/v1/tasks?wait=0.1", {"external_id": "b"}),
        ("POST", "/v1/tasks/batch", {"tasks": [{"external_id": "c"}]}),
        ("GET", "/v1/executors", None),
    ],
)
async def test_a_hanging_database_is_answered_with_503_and_when_to_come_back(
    settings: Settings, database: Database, method: str, path: str, body: object
) -> None:
    await add_executors(database, await add_pool(database), 1)
    address = urlsplit(settings.dsn)
    async with Proxy(str(address.hostname), int(address.port or 0)) as proxy:
        hung = settings.model_copy(
            update={
                "database_url": settings.database_url.replace(f":{address.port}/", f":{proxy.port}/"),
                "request_seconds": 0.5,
                "wait_limit": 0.5,
                "database_timeout": 3.0,  # what was begun is ended within it
            }
        )
        async with client_of(hung) as client:
            await _until_served(client, method, path, body)
            proxy.toxic = Toxic(hang=True)
            async with asyncio.timeout(GENEROUS):
                answer = await client.request(method, path, json=body)
            proxy.toxic = Toxic()
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"
            assert "No answer within" in answer.json()["detail"]
            assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
            await _until_served(client, method, path, body)  # it heals by itself


async def _until_served(client: httpx.AsyncClient, method: str, path: str, body: object) -> None:
    """The first request opens connections too, which may take longer than any later one may."""
    async with asyncio.timeout(GENEROUS):
        while not (await client.request(method, path, json=body)).is_success:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_database_that_dies_under_an_answered_request_spoils_nothing(
    settings: Settings, database: Database
) -> None:
    """The session is closed when the answer is out: a failure there used to end the client's connection."""
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with owner_of(settings) as connection:
            await connection.execute("SELECT pg_terminate_backend($1, 10000)", pid)
    async with database.session() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
