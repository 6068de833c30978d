"""The API as its clients reach it: in this process for stories, over a socket for whoever wants a server."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from asgi_lifespan import LifespanManager

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.engine.types import PoolId
from app.main import create_app
from app.worker import Worker
from tests.builders import add_pool


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    """The default pool."""
    return await add_pool(database)


@pytest.fixture
async def client(settings: Settings, pool_id: PoolId) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that has a default pool and nothing else."""
    async with client_of(settings) as client:
        yield client


def client_of(settings: Settings) -> "Client":
    return Client(settings)


class Client:
    """A running application and its client, as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._lifespan = LifespanManager(create_app(settings), startup_timeout=60, shutdown_timeout=60)

    async def __aenter__(self) -> httpx.AsyncClient:
        app = (await self._lifespan.__aenter__()).app
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=30
        )
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)


@pytest.fixture
async def working(settings: Settings, database: Database) -> AsyncIterator[None]:
    """A worker beside the API."""
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    task = asyncio.create_task(worker.run())
    yield
    worker.stop()
    await task
    await doorbell.close()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A real server in a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def problem_in(response: httpx.Response) -> dict[str, Any]:
    """The problem details of an answer, which must be of that form."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "code", "detail"} <= problem.keys()
    return problem
