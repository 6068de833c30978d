"""Upgrade without downtime: the code before on the schema after, migrated under load; nothing refused, nothing lost."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.config import Settings
from app.database import Database
from app.local.embedded.data import free_port
from app.services.audit.invariants import find_violations
from tests.conftest import Figure
from tests.lifecycle.conftest import until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
ENOUGH = 20
"""Requests answered in each stage of the upgrade."""


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def code_before(folder: Path) -> Path:
    """The newest code that knew the first migration and no other, from the repository's own history."""
    try:
        for commit in git("rev-list", "HEAD", "--", "alembic/versions").decode().split():
            names = git("ls-tree", "--name-only", commit, "alembic/versions/").decode().split()
            if len([name for name in names if name.endswith(".py")]) == 1:
                with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
                    archive.extractall(folder, filter="data")
                return folder
    except (OSError, subprocess.CalledProcessError):
        pass
    pytest.skip("the code before is in the repository's history, which is not here")


@dataclass
class Load:
    """Clients that never stop: each sends a task, then begins and ends what was assigned. Everything must succeed."""

    ports: list[int] = field(default_factory=list)
    accepted: int = 0
    moved: int = 0
    failed: list[str] = field(default_factory=list)
    _number: Any = field(default_factory=count)
    _at_hand: Counter[int] = field(default_factory=Counter)

    async def forget(self, port: int) -> None:
        """As a load balancer does: no new requests go there, and those that are under way are answered."""
        self.ports.remove(port)

        async def answered() -> bool:
            return not self._at_hand[port]

        await until(answered, 120)

    async def more(self) -> None:
        """Until another stage's requests were answered, or one was refused."""
        enough = self.accepted + ENOUGH

        async def answered() -> bool:
            return self.accepted >= enough or bool(self.failed)

        await until(answered, 120)
        assert self.failed == []

    async def one_client(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while not stop.is_set():
                body = {"external_id": f"T-{next(self._number)}"}
                answer = await self._say(client, "/v1/tasks?wait=30", body, {201, 202})
                if answer is None:
                    return
                self.accepted += 1
                task = f"/v1/tasks/{answer['task_id']}"
                for move in ("start", "complete") if answer["status"] == "assigned" else ():
                    if await self._say(client, f"{task}/{move}", {}, {200}) is None:
                        return
                    self.moved += 1
                await asyncio.sleep(0.05)

    async def _say(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any], good: set[int]
    ) -> dict[str, Any] | None:
        port = self.ports[next(self._number) % len(self.ports)]
        url = f"http://127.0.0.1:{port}{path}"
        self._at_hand[port] += 1
        try:
            answer = await client.post(url, json=body)
        except httpx.TransportError as error:
            self.failed.append(f"{url}: {error!r}")
            return None
        finally:
            self._at_hand[port] -= 1
        if answer.status_code not in good:
            self.failed.append(f"{url}: {answer.status_code} {answer.text}")
            return None
        return dict(answer.json())


@dataclass(frozen=True)
class Release:
    """Code in a folder, and the environment that it is started with."""

    folder: Path
    environment: dict[str, str]

    async def run(self, *command: str) -> None:
        done = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL
        )
        assert await asyncio.wait_for(done.wait(), 120) == 0, command

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """An API and a worker of this code; they end as a rolling restart ends them."""
        port = free_port()
        api = self._start("-m", "uvicorn", "app.main:app", "--port", str(port), "--no-access-log")
        worker = self._start("-m", "app.worker")
        try:
            async with httpx.AsyncClient() as client:
                await until(lambda: ready(client, port), 120)
            yield port
        finally:
            for process in (api, worker):
                process.send_signal(signal.SIGTERM)
            for process in (api, worker):
                assert await asyncio.to_thread(process.wait, 60) in (0, -signal.SIGTERM)

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, *command], cwd=self.folder, env=self.environment)


async def ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/v1/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_code_before_runs_on_the_schema_after_and_nothing_is_refused_on_the_way(
    empty_database_url: str, redis_url: str, tmp_path: Path, figure: Figure
) -> None:
    environment = os.environ | {
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": redis_url,
        "METRICS_PORT": "0",
        "LOG_LEVEL": "error",
    }
    before = Release(code_before(tmp_path), environment | {"PYTHONPATH": str(tmp_path)})
    after = Release(ROOT, environment | {"PYTHONPATH": str(ROOT)})
    await before.run("init_db.py")
    load, stop = Load(), asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as clients:
        stack.callback(stop.set)
        old = await stack.enter_async_context(AsyncExitStack())
        load.ports = [await old.enter_async_context(before.serving())]
        await add_people(load.ports[0])
        for _ in range(2):
            clients.create_task(load.one_client(stop))
        await load.more()
        await after.run("init_db.py")  # expand, under load
        await load.more()  # the code before on the schema after
        new = await stack.enter_async_context(after.serving())
        load.ports.append(new)
        await load.more()  # both
        await load.forget(load.ports[0])
        await old.aclose()
        await load.more()
        back = await stack.enter_async_context(before.serving())
        load.ports.append(back)
        await load.more()  # going back one release needs no migration
        stop.set()
    assert load.failed == []
    figure("requests while migrating and rolling, none refused", load.accepted + load.moved)
    database = await Database.open(Settings(database_url=empty_database_url))
    try:
        async with database.hot.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM tasks") == load.accepted
            assert (
                await connection.fetchval("SELECT count(*) FROM tasks WHERE status = 'completed'")
                == load.moved // 2
            )
            assert await find_violations(connection) == []
    finally:
        await database.close()


async def add_people(port: int) -> None:
    people = [{"name": f"Executor {number}"} for number in range(5)]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.post("/v1/executors/batch", json={"executors": people})
        assert answer.status_code in (200, 201), answer.text


WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tasks'::regclass"


async def test_a_migration_that_has_to_wait_for_a_table_lets_others_pass(empty_database_url: str) -> None:
    """Somebody's long transaction must not become everybody's: without the timeout all would queue behind it."""
    environment = os.environ | {"DATABASE_URL": empty_database_url}
    release = Release(ROOT, environment)
    await release.run("-m", "alembic", "upgrade", "0001")
    dsn = empty_database_url.replace("+asyncpg", "")
    long, other, watching = [await asyncpg.connect(dsn) for _ in range(3)]
    try:
        await other.execute("INSERT INTO pools (code, name, timezone) VALUES ('a', 'a', 'UTC')")
        reading = long.transaction()
        await reading.start()
        await long.fetch("SELECT * FROM tasks")
        migrating = asyncio.create_task(release.run("-m", "alembic", "upgrade", "head"))
        await until(lambda: watching.fetchval(WAITS))
        for _ in range(20):
            await asyncio.wait_for(other.execute("INSERT INTO tasks (pool_id) VALUES (1)"), 60)
        assert not migrating.done(), "it waits for the long transaction still"
        await reading.rollback()
        await migrating
        assert await other.fetchval("SELECT count(*) FROM tasks") == 20
    finally:
        for connection in (long, other, watching):
            await connection.close()
