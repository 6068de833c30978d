"""Readiness and doctor tell a system that answers and cannot write, or in which no worker decides."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.commands.doctor import newest_schema
from app.config import Settings
from app.database import Database
from app.integrations.postgresql import read_address
from app.local.embedded.data import server_user, temporary_directory
from app.services.audit.doctor import State, Symptom, examine
from app.services.common.worker_reports import WorkerReporter
from app.services.placement.poison import Attempts
from tests.api.conftest import client_of
from tests.builders import add_pool, add_tasks
from tests.servers import RunServers

SMALL = 64 * 1024 * 1024


async def detail_of(client: httpx.AsyncClient) -> str:
    """Why the system is not ready; empty where it is."""
    answer = await client.get("/v1/health/ready")
    return "" if answer.status_code == 200 else str(answer.json()["detail"])


async def symptom(database: Database, name: str) -> Symptom:
    symptoms = await examine(database.hot, None, schema=newest_schema(), repair=False)
    return next(each for each in symptoms if each.name == name)


@asynccontextmanager
async def a_reporter(
    settings: Settings, database: Database, name: str, **session: str
) -> AsyncIterator[WorkerReporter]:
    """The reports of a worker whose connections for decisions have these settings of the session."""
    attempts = Attempts(settings.direct_dsn)
    pool = await asyncpg.create_pool(settings.dsn, min_size=0, server_settings=session)
    reporter = WorkerReporter(pool, attempts.execute, name)
    await reporter.report()
    yield reporter
    await pool.close()
    await attempts.close()


@pytest.mark.parametrize(
    ("setting", "said"),
    [("default_transaction_read_only = on", "read-only"), ("temp_file_limit = 0", "temporary file size")],
)
async def test_a_database_that_takes_no_writes_is_not_ready(
    servers: RunServers, settings: Settings, setting: str, said: str
) -> None:
    name = read_address(settings.database_url).database
    servers.execute(f"ALTER DATABASE {name} SET {setting}")
    database = await Database.open(settings)
    async with client_of(settings) as client:
        assert said in await detail_of(client)
    writes = await symptom(database, "Writes")
    assert writes.state is State.BROKEN and said in writes.found
    await database.close()


async def test_a_worker_that_cannot_write_is_told_of_by_name(settings: Settings, database: Database) -> None:
    async with (
        client_of(settings) as client,
        a_reporter(settings, database, "worker-7", default_transaction_read_only="on"),
    ):
        assert "worker-7: the database is read-only" in await detail_of(client)
        assert (await symptom(database, "Workers")).state is State.BROKEN
        async with a_reporter(settings, database, "worker-8") as well:
            health = (await client.get("/v1/health/ready")).json()
            assert health["parts"]["background"]["status"] == "down", "one of two: served, and told"
            await well.close()
        assert "worker-7" in await detail_of(client)


async def test_a_worker_without_its_way_past_the_pooler_is_told_of(
    settings: Settings, database: Database
) -> None:
    lost = settings.model_copy(update={"database_direct_url": "postgresql+asyncpg://nobody@127.0.0.1:9/x"})
    async with client_of(settings) as client, a_reporter(lost, database, "worker-7"):
        assert "DATABASE_DIRECT_URL" in await detail_of(client)


async def test_work_that_no_worker_looks_at_is_not_ready(settings: Settings, database: Database) -> None:
    pool_id = await add_pool(database)
    await add_tasks(database, pool_id, 1)
    async with client_of(settings) as client:
        assert await detail_of(client) == "", "a worker may be on its way"
        async with database.hot.acquire() as connection:
            await connection.execute("UPDATE tasks SET updated_at = now() - interval '1 minute'")
        assert "no worker has reported" in await detail_of(client)
        async with a_reporter(settings, database, "worker-7"):
            health = (await client.get("/v1/health/ready")).json()
            assert "no worker has decided" in health["parts"]["background"]["detail"]
            workers = await symptom(database, "Workers")
            assert workers.state is State.WORTH_KNOWING


@pytest.fixture
def small_disk(servers: RunServers, settings: Settings) -> Iterator[Path]:
    """The directory of a small file system on which this test's database lies."""
    directory = temporary_directory("executor-balancer-small-")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        directory.rmdir()
        pytest.skip("mounting a small file system needs root")
    name = read_address(settings.database_url).database
    user = server_user(directory)
    data = directory / "data"
    data.mkdir()
    if user:
        os.chown(data, user.uid, user.gid)
    directory.chmod(0o755)
    servers.execute(f"CREATE TABLESPACE small_{name} LOCATION '{data}'")
    servers.execute(f"ALTER DATABASE {name} SET TABLESPACE small_{name}")
    yield directory
    servers.execute(f"ALTER DATABASE {name} SET TABLESPACE pg_default")
    servers.execute(f"DROP TABLESPACE small_{name}")
    subprocess.run(["umount", str(directory)], check=True)
    shutil.rmtree(directory)


async def test_a_full_disk_is_not_ready_until_there_is_room_again(
    small_disk: Path, settings: Settings
) -> None:
    batch = {"tasks": [{"parameters": {"text": f"{n:0500d}"}} for n in range(2000)]}
    async with client_of(settings) as client:
        await client.post("/v1/pools", json={"code": "default", "name": "Default"})
        assert await detail_of(client) == ""
        with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))
        assert "No space left" in await detail_of(client)
        statuses = [(await client.post("/v1/tasks/batch", json=batch)).status_code for _ in range(20)]
        assert 503 in statuses
        (small_disk / "ballast").unlink()
        assert await detail_of(client) == ""
        assert (await client.post("/v1/tasks/batch", json=batch)).status_code == 202
