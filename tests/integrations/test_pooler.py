"""Behind PgBouncer: API and worker do all of their work, in session and in transaction mode."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.integrations.postgresql import Address, read_address
from app.local.embedded.data import free_port, server_user, temporary_directory
from app.services.audit.invariants import find_violations
from app.worker import Worker
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool
from tests.lifecycle.conftest import until

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="no pgbouncer on this machine: apt-get install pgbouncer"
)


@pytest.fixture(params=["session", "transaction"])
def pooled(request, database_url, redis_url) -> Iterator[Settings]:
    """Settings whose DATABASE_URL is PgBouncer's, with few servers behind it."""
    address, port = read_address(database_url), free_port()
    directory = temporary_directory("executor-balancer-pooler-")
    with pgbouncer(directory, address, port, request.param):
        yield Settings(
            database_url=f"postgresql://{address.user}:{address.password}@127.0.0.1:{port}/{address.database}",
            database_direct_url=database_url,
            database_pooler=request.param,
            request_seconds=60,
            database_timeout=60,
            redis_url=redis_url,
        )
    shutil.rmtree(directory)


@contextlib.contextmanager
def pgbouncer(directory: Path, address: Address, port: int, mode: str) -> Iterator[None]:
    """Run PgBouncer as the user that PostgreSQL runs as; it refuses to run as root."""
    (host, server_port), user = address.hosts[0], server_user(directory)
    (directory / "users.txt").write_text(f'"{address.user}" "{address.password}"\n')
    (directory / "pgbouncer.ini").write_text(f"""
[databases]
* = host={host} port={server_port} user={address.user} password={address.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = trust
auth_file = {directory}/users.txt
pool_mode = {mode}
default_pool_size = {5 if mode == "transaction" else 40}
logfile = {directory}/pgbouncer.log
unix_socket_dir =
""")
    directory.chmod(0o777)
    process = subprocess.Popen(
        [str(PGBOUNCER), "-q", str(directory / "pgbouncer.ini")],
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.asynccontextmanager
async def a_worker(settings: Settings, database: Database) -> AsyncIterator[None]:
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running
        await doorbell.close()


async def test_all_work_is_done_behind_a_pooler(pooled):
    database = await Database.open(pooled)
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    await database.hot.fetchval("SELECT 1")
                    break
        pool_id = await add_pool(database)
        await add_executors(database, pool_id, 3)
        async with client_of(pooled) as client, a_worker(pooled, database):
            tasks = [{"external_id": f"T-{number}", "pool_id": pool_id} for number in range(60)]
            answers = await asyncio.gather(
                *(client.post("/v1/tasks?wait=5", json=task) for task in tasks[:20]),
                client.post("/v1/tasks/batch", json={"tasks": tasks[20:]}),
            )
            assert {answer.status_code for answer in answers} <= {200, 201, 202}
            ids = [answer.json()["task_id"] for answer in answers[:-1]]
            moved = await asyncio.gather(*(client.post(f"/v1/tasks/{one}/complete") for one in ids))
            assert {answer.status_code for answer in moved} == {200}

            async def all_decided() -> bool:
                pending = "SELECT count(*) FROM tasks WHERE status = $1"
                return not await database.hot.fetchval(pending, "pending")

            await until(all_decided)
            assert (await client.get("/v1/health/ready")).status_code == 200
        async with database.hot.acquire() as connection:
            assert await find_violations(connection) == []
        statements = await database.hot.fetchval(
            "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"
        )
        assert statements == 0 or pooled.database_pooler == "session"
    finally:
        await database.close()


def test_transaction_mode_asks_for_the_way_past_the_pooler():
    with pytest.raises(ValidationError, match="DATABASE_DIRECT_URL"):
        Settings(database_pooler="transaction")
