"""The service `postgres`: deploy/postgres/start.sh on a real data directory, and settings that ALTER SYSTEM changes."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from app.local.embedded.data import DataDirectory, free_port, temporary_directory
from app.local.embedded.postgresql import PostgresServer
from tests.deploy.compose import ROOT, compose
from tests.deploy.stack import first_start, given
from tests.lifecycle.conftest import until

OLD_PASSWORD = "of an older checkout"
UNREADY = (OSError, asyncpg.CannotConnectNowError)


@dataclass(frozen=True)
class OldVolume:
    """The volume of an older checkout, whose superuser is `balancer`, and the files that compose mounts beside it."""

    place: Path
    cluster: Path
    programs: Path
    user: int | None
    port: int

    @property
    def command(self) -> list[str]:
        """The command of compose, its paths turned to those of this test."""
        program, script = compose()["services"]["postgres"]["command"]
        return [program, script.replace("/etc/executor-balancer", f"{self.place}/mounted")]

    def run(self, *command: object, **environment: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [str(part) for part in command],
            env={
                "PATH": f"{self.place}/image:{self.programs}:{os.environ['PATH']}",
                "LC_ALL": "C",
                **environment,
            },
            cwd=self.cluster.parent,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
        )

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """The service while it runs; it ends in order, as by `docker-compose stop`."""
        process = self.run(*self.command, PGDATA=str(self.cluster))
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)

    async def fetch(self, *statements: str) -> str:
        """The last statement's answer, each a transaction of its own, as several `-c` of psql are."""
        password = given(self.place / "secrets" / "stack.env")["POSTGRES_PASSWORD"]

        async def connected() -> asyncpg.Connection | None:
            with contextlib.suppress(*UNREADY):
                return await asyncpg.connect(
                    user="postgres", password=password, host="127.0.0.1", port=self.port, database="postgres"
                )
            return None

        connection = await until(connected)
        try:
            for statement in statements:
                answer = await connection.fetchval(statement)
            return str(answer)
        finally:
            await connection.close()


@pytest.fixture
def volume() -> Iterator[OldVolume]:
    place = temporary_directory("executor-balancer-volume-")
    first_start(place, {"POSTGRES_SHARED_BUFFERS": "64MB"})
    data = DataDirectory(place / "data")
    cluster, programs = data.server_directory("old") / "cluster", PostgresServer(data)._programs
    old = OldVolume(place, cluster, programs, data.user.uid if data.user else None, free_port())
    (place / "image").mkdir()
    (place / "image" / "docker-entrypoint.sh").write_text('#!/bin/sh\nexec "$@"\n')
    (place / "image" / "docker-entrypoint.sh").chmod(0o755)
    old.cluster.parent.joinpath("password").write_text(OLD_PASSWORD)
    initialise = ["initdb", "-D", old.cluster, "-U", "balancer", "--pwfile", old.cluster.parent / "password"]
    assert old.run(*initialise, "--auth=scram-sha-256", "--no-instructions").wait(120) == 0
    with (old.cluster / "postgresql.conf").open("a") as file:
        file.write(f"port = {old.port}\nunix_socket_directories = ''\nfsync = off\n")
    mount(old)
    yield old
    data.release()
    shutil.rmtree(place)


def mount(volume: OldVolume) -> None:
    """What compose mounts, with the paths of this test in place of those of the container."""
    (volume.place / "mounted").mkdir()
    paths = {
        "/var/lib/postgresql/data": str(volume.cluster),
        "/docker-entrypoint-initdb.d": f"{volume.place}/volumes/postgres",
        "/etc/executor-balancer": f"{volume.place}/mounted",
        "/tmp/superuser.log": f"{volume.cluster.parent}/superuser.log",  # noqa: S108 - of the container
    }
    for name in ("start.sh", "postgresql.conf"):
        text = (ROOT / "deploy" / "postgres" / name).read_text()
        for path, here in paths.items():
            text = text.replace(path, here)
        (volume.place / "mounted" / name).write_text(text)
    open_to_the_server(volume)


def open_to_the_server(volume: OldVolume) -> None:
    """The server of this test is not the user 999 of the image."""
    for path in (volume.place / "volumes" / "postgres", *(volume.place / "volumes" / "postgres").iterdir()):
        path.chmod(0o755)


async def test_a_volume_of_an_older_checkout_gets_the_role_postgres(volume: OldVolume):
    async with volume.started():
        assert await volume.fetch("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "True"
        assert await volume.fetch("SELECT count(*) FROM pg_roles WHERE rolname = 'balancer'") == "1"


async def test_alter_system_changes_the_tuned_values(volume: OldVolume):
    """As README has it: three `-c`, then `restart postgres`, then SHOW."""
    async with volume.started():
        assert await volume.fetch("SHOW shared_buffers") == "64MB"
        assert await volume.fetch("SHOW max_wal_size") == "4GB"
        await volume.fetch(
            "ALTER SYSTEM SET max_connections = 150",
            "ALTER SYSTEM SET shared_buffers = '256MB'",
            "SELECT pg_reload_conf()",
        )
    async with volume.started():
        assert await volume.fetch("SHOW shared_buffers") == "256MB"
        assert await volume.fetch("SHOW max_connections") == "150"


async def test_new_secrets_reach_an_existing_volume(volume: OldVolume):
    async with volume.started():
        assert await volume.fetch("SELECT 1") == "1"
    first_start(volume.place, {"POSTGRES_PASSWORD": "chosen later"})
    open_to_the_server(volume)
    async with volume.started():
        assert await volume.fetch("SELECT 1") == "1"


def test_a_damaged_directory_ends_the_start_with_the_reason(
    volume: OldVolume, capfd: pytest.CaptureFixture[str]
):
    (volume.cluster / "global" / "pg_control").unlink()
    process = volume.run(*volume.command, PGDATA=str(volume.cluster))
    assert process.wait(60) == 1
    assert "The role postgres cannot be prepared" in capfd.readouterr().err


def test_no_tuned_value_stands_on_the_command_line():
    """The command line wins over ALTER SYSTEM: only the file that is read may be named there."""
    script = (ROOT / "deploy" / "postgres" / "start.sh").read_text()
    assert script.count(" -c ") == 1 and " -c config_file=/etc/executor-balancer/postgresql.conf" in script
    assert not [part for part in compose()["services"]["postgres"]["command"] if part.startswith("-")]
