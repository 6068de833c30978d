"""The real servers of a test run: started once, shared by all its processes, gone afterwards.

Each run has a fresh PostgreSQL and Redis in a directory of its own under the temporary directory. The schema
is migrated once into a template; each test copies that. TEST_DATABASE_URL (a role that may create databases)
and TEST_REDIS_URL name other servers to test against, for instance the lowest supported version.
"""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg

from app.config import Settings
from app.local.embedded import Durability, EmbeddedServers, temporary_directory

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "executor-balancer-test-"
ABANDONED_AFTER = 600.0
"""Seconds after which a run's directory without servers is taken for a killed run's."""
TEMPLATE = "executor_balancer_template"


@dataclass(frozen=True, slots=True)
class RunServers:
    """Where the servers of this run are; plain values, so that they travel to other processes."""

    directory: str
    database_url: str
    redis_url: str | None

    def as_input(self) -> dict[str, str | None]:
        return asdict(self)

    @classmethod
    def from_input(cls, values: dict[str, str | None]) -> Self:
        return cls(**values)  # type: ignore[arg-type]

    @contextmanager
    def new_database(self, *, migrated: bool = True) -> Iterator[str]:
        """Address of a database that nobody else uses; dropped afterwards, whoever is still connected."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if migrated:
            self._ensure_template()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template1'}")
        try:
            yield with_database(self.database_url, name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement on the maintenance database."""
        in_own_loop(_execute(self.database_url, statement))

    def _ensure_template(self) -> None:
        """Migrate the template once a run, whichever process comes first."""
        done = Path(self.directory) / "template.done"
        if done.exists():
            return
        with (Path(self.directory) / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                self.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
                self.execute(f"CREATE DATABASE {TEMPLATE}")
                migrate(with_database(self.database_url, TEMPLATE))
                done.touch()


class OwnedServers:
    """The servers, held by the process that started them: the only one of a run, or the xdist controller."""

    def __init__(self) -> None:
        self._directory = _run_directory()
        self._embedded: EmbeddedServers | None = None
        if url := os.environ.get("TEST_DATABASE_URL"):
            self.run = RunServers(str(self._directory), url, os.environ.get("TEST_REDIS_URL"))
            return
        self._embedded = EmbeddedServers(self._directory / "data", Durability.FAST)
        addresses = self._embedded.start()
        self.run = RunServers(str(self._directory), addresses.database_url, addresses.redis_url)

    def stop(self) -> None:
        if self._embedded:
            self._embedded.stop()
        shutil.rmtree(
            self._directory, ignore_errors=True
        )  # a run that starts now may be clearing it away too


def migrate(database_url: str) -> None:
    """Bring a database to the newest schema, as a user does."""
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        check=True,
        capture_output=True,
    )


def with_database(url: str, name: str) -> str:
    """Return the same server's address with another database (or Redis database number)."""
    return f"{url.rpartition('/')[0]}/{name}"


@asynccontextmanager
async def owner_of(settings: Settings) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection as the owner of the tables, with the rights that the application gives up."""
    connection = await asyncpg.connect(settings.owner_url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


def in_own_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end beside whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run_directory() -> Path:
    """Make the run's directory, and clear away those of runs that were killed."""
    directory = temporary_directory(PREFIX)
    for left in directory.parent.glob(f"{PREFIX}*"):
        if _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    return directory


def _is_abandoned(directory: Path) -> bool:
    """Whether that run is long gone: its servers' lock is old, and can be taken."""
    try:
        with (directory / "data" / "lock").open() as lock:
            if time.time() - os.fstat(lock.fileno()).st_mtime < ABANDONED_AFTER:
                return False
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
