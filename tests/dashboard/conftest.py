"""A running system with people, rules and work, and pages that look at it."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample
from app.worker import Worker
from streamlit_app.parts import live
from tests.api.conftest import serving
from tests.servers import RunServers, in_own_loop

PATIENCE = 60.0

Page = Callable[..., AppTest]


def _show(name: str) -> None:
    import importlib

    from streamlit_app import session, shell

    session.remember_address()
    session.load_pools()
    shell.pages()
    places = {"my_tasks": "tasks.my_tasks"} | {
        room: f"{room}.page" for room in ("analytics", "executors", "rules", "system", "tasks")
    }
    importlib.import_module(f"streamlit_app.views.{places.get(name, name)}").show()


@pytest.fixture(scope="module")
def database_url(servers: RunServers) -> Iterator[str]:
    """A database for the tests of one file."""
    with servers.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def api(database_url: str) -> Iterator[str]:
    """The address of an API with the sample data, all of it assigned, and a worker for what comes."""
    settings = Settings(database_url=database_url, redis_url=None, worker_sweep_seconds_no_redis=0.05)
    in_own_loop(_fill(settings))
    with working(settings), serving(settings) as address:
        _wait_until_decided(address)
        yield address


async def _fill(settings: Settings) -> None:
    database = await Database.open(settings)
    async with database.session() as session:
        await prepare(session, settings=settings)
        await add_sample(session, pool_code=settings.default_pool)
    await database.close()


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker in a thread of its own."""
    started: list[tuple[asyncio.AbstractEventLoop, Worker]] = []
    ready = threading.Event()

    async def work() -> None:
        database = await Database.open(settings)
        doorbell = open_doorbell(settings.redis_url)
        worker = Worker(settings, database, doorbell)
        started.append((asyncio.get_running_loop(), worker))
        ready.set()
        await worker.run()
        await doorbell.close()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    yield
    loop, worker = started[0]
    loop.call_soon_threadsafe(worker.stop)
    thread.join(PATIENCE)


def _wait_until_decided(address: str) -> None:
    pause = threading.Event()
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        for _ in range(int(PATIENCE / 0.1)):
            if client.get("/v1/distribution/overview").json()["undecided"] == 0:
                return
            pause.wait(0.1)
    raise AssertionError("the sample was not decided")


@contextmanager
def asking(api: str) -> Iterator[httpx.Client]:
    """Asks of the pool that pages show: other tests bring newer work into pools of their own."""
    with httpx.Client(base_url=api, timeout=PATIENCE) as client:
        of_a_pool = _paths_of_a_pool(client.get("/openapi.json").json())
        pool_id = client.get("/v1/pools").json()["items"][0]["pool_id"]

        def name_the_pool(request: httpx.Request) -> None:
            takes_one = any(
                request.method == method and path.fullmatch(request.url.path) for method, path in of_a_pool
            )
            if takes_one and "pool_id" not in request.url.params:
                request.url = request.url.copy_merge_params({"pool_id": pool_id})

        client.event_hooks = {"request": [name_the_pool]}
        yield client


def _paths_of_a_pool(document: dict[str, Any]) -> list[tuple[str, re.Pattern[str]]]:
    """The requests that take `pool_id` as a query parameter; any other refuses it."""
    return [
        (method.upper(), re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if any((each["name"], each["in"]) == ("pool_id", "query") for each in operation.get("parameters", ()))
    ]


@pytest.fixture
def client(api: str) -> Iterator[httpx.Client]:
    with asking(api) as client:
        yield client


@pytest.fixture
def page(api: str, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Runs a page of the dashboard as a session of its own: `page("tasks", language="en", task="7")`."""
    monkeypatch.setitem(os.environ, "API_URL", api)
    st.cache_data.clear()  # what another test's API said
    moments = count()  # each look asks anew: the browser's tests hear the stream
    monkeypatch.setattr(live, "revision", lambda _pool_id: (next(moments), 0, True))

    def run(name: str, *, language: str = "ru", **query: str) -> AppTest:
        test = AppTest.from_function(_show, default_timeout=PATIENCE, args=(name,))
        test.query_params["lang"] = language
        for key, value in query.items():
            test.query_params[key] = value
        return test.run()

    return run
