"""The embedded servers: they start, keep data, refuse to share it, and never outlive whoever started them."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis as redis_client

from app.local.embedded import (
    Durability,
    EmbeddedError,
    EmbeddedServers,
    data,
    default_data_directory,
    redis_server,
    temporary_directory,
)
from app.local.embedded.data import process_arguments, reaches, server_user
from tests.servers import ROOT

HOLDER = """
import json, sys, time
from pathlib import Path
from app.local.embedded import Durability, EmbeddedServers
with EmbeddedServers(Path(sys.argv[1]), Durability.FAST) as servers:
    address = servers.addresses
    pids = [server.pid for server in (servers.postgres, servers.redis) if server]
    print(json.dumps([address.database_url, address.redis_url, pids]), flush=True)
    time.sleep(60)
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that does not exist yet, where the server user can go."""
    directory = temporary_directory("executor-balancer-embedded-")
    yield directory / "data"
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def first_run() -> Iterator[Path]:
    """Data of servers that have run once: creating it takes most of a first start."""
    directory = temporary_directory("executor-balancer-embedded-")
    with EmbeddedServers(directory / "data", Durability.FAST):
        pass
    yield directory / "data"
    shutil.rmtree(directory)


@pytest.fixture
def used_place(place: Path, first_run: Path) -> Path:
    """The place with data of an earlier run in it."""
    subprocess.run(["cp", "-a", first_run, place], check=True)
    return place


@pytest.fixture
def start(place: Path) -> Iterator[Callable[[], EmbeddedServers]]:
    """Start servers on the place; they are stopped after the test."""
    started = []

    def start_servers() -> EmbeddedServers:
        servers = EmbeddedServers(place, Durability.FAST)
        started.append(servers)
        servers.start()
        return servers

    yield start_servers
    for servers in started:
        servers.stop()


def start_holder(place: Path, **options: object) -> tuple[subprocess.Popen[str], str, str | None, list[int]]:
    """Start a process that starts the servers; returns it, their addresses and their process ids."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,  # type: ignore[call-overload]
    )
    assert holder.stdout
    with holder.stdout:
        database_url, redis_url, pids = json.loads(holder.stdout.readline())
    return holder, database_url, redis_url, pids


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def none_runs(pids: list[int]) -> bool:
    return not any(process_arguments(pid) for pid in pids)


async def fetch(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_both_servers_answer_once_started(start):
    addresses = start().addresses

    assert await fetch(addresses.database_url, "SELECT 1") == 1
    assert await fetch(addresses.database_url, "SHOW server_encoding") == "UTF8"
    if addresses.redis_url:
        with redis_client.Redis.from_url(addresses.redis_url) as client:
            assert client.ping()


async def test_a_wrong_password_is_refused(start, used_place):
    url = start().addresses.database_url
    secret = url.split(":")[2].split("@")[0]

    with pytest.raises(asyncpg.InvalidPasswordError):
        await fetch(url.replace(secret, "guess"), "SELECT 1")


async def test_data_and_ports_survive_a_restart(start, used_place):
    first = start()
    await fetch(first.addresses.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    before = first.addresses
    first.stop()

    after = start().addresses

    assert after == before
    assert await fetch(after.database_url, "SELECT answer FROM kept") == 42


async def test_a_port_that_was_taken_meanwhile_is_changed(start, used_place):
    first = start()
    port = int(first.addresses.database_url.rpartition(":")[2].partition("/")[0])
    first.stop()

    with socket.create_server(("127.0.0.1", port)):
        url = start().addresses.database_url

    assert f":{port}/" not in url
    assert await fetch(url, "SELECT 1") == 1


def test_two_runs_on_the_same_data_are_refused_by_name(start, used_place):
    start()

    with pytest.raises(EmbeddedError, match=f"used by process {os.getpid()}: stop it or choose another"):
        EmbeddedServers(used_place)


async def test_a_killed_server_comes_back_on_its_port_with_its_data(start, used_place):
    servers = start()
    url = servers.addresses.database_url
    await fetch(url, "CREATE TABLE kept AS SELECT 42 AS answer")

    servers.postgres.kill()

    assert servers.revive() == ["postgres"]
    assert servers.addresses.database_url == url
    assert await fetch(url, "SELECT answer FROM kept") == 42
    assert servers.revive() == []


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_servers_end_with_their_starter_however_it_ends(used_place, start, fatal):
    holder, database_url, _, pids = start_holder(used_place)
    await fetch(database_url, "CREATE TABLE kept AS SELECT 42 AS answer")

    holder.send_signal(fatal)
    holder.wait(20)

    assert eventually(lambda: none_runs(pids))
    assert await fetch(start().addresses.database_url, "SELECT answer FROM kept") == 42


async def test_a_start_right_after_a_kill_waits_for_the_old_servers(used_place, start):
    holder, *_ = start_holder(used_place)

    holder.kill()
    holder.wait(20)

    assert await fetch(start().addresses.database_url, "SELECT 1") == 1


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux can tell a child of its parent's death"
)
def test_servers_end_when_even_their_keepers_are_killed(used_place):
    holder, _, _, pids = start_holder(used_place)
    keepers = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in pids]

    for pid in keepers:
        os.kill(pid, signal.SIGKILL)

    assert eventually(lambda: none_runs(pids))
    holder.kill()
    holder.wait(20)


async def test_a_process_number_that_was_given_to_another_process_does_not_block_the_start(start, used_place):
    start().stop()
    shown = used_place / "postgres" / "postmaster.pid"
    shown.write_text(f"{os.getpid()}\n{used_place / 'postgres'}\n1\n1\n\n127.0.0.1\n1 1\nready\n")

    assert await fetch(start().addresses.database_url, "SELECT 1") == 1


async def test_an_interrupted_creation_is_done_again(start, place):
    EmbeddedServers(place).stop()
    half = place / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    assert await fetch(start().addresses.database_url, "SELECT 1") == 1


def test_the_password_is_for_the_owner_only(start, used_place):
    start()

    assert (used_place / "secret").stat().st_mode & 0o077 == 0
    secret = (used_place / "secret").read_text()
    assert not any(secret in process_arguments(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))


def test_data_of_another_version_is_refused_with_the_remedy(start, used_place):
    start().stop()
    (used_place / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedError, match=r"is of PostgreSQL 9, installed is .*18.*: dump it"):
        EmbeddedServers(used_place)


def test_without_the_wheel_the_remedy_is_named(place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(EmbeddedError, match=r"executor-balancer\[embedded\].*or set DATABASE_URL"):
        EmbeddedServers(place)


def test_without_any_redis_there_is_none(used_place, monkeypatch):
    monkeypatch.setattr("app.local.embedded.redis_server._candidates", lambda: iter(()))

    with EmbeddedServers(used_place, Durability.FAST) as servers:
        assert servers.addresses.redis_url is None


def test_an_overgrown_log_of_a_server_is_set_aside_while_it_runs(used_place, monkeypatch):
    monkeypatch.setattr(data, "LOG_LIMIT", 1000)
    file = used_place / "postgres.log"
    with EmbeddedServers(used_place, Durability.FAST) as servers:
        with file.open("a") as log:
            log.write("old " * 1000)
        servers.revive()
        assert "old " in file.with_suffix(".log.1").read_text()
        address = urlsplit(servers.addresses.database_url)
        with socket.create_connection(("127.0.0.1", address.port or 0)) as stranger:
            stranger.sendall(
                bytes([0, 0, 0, 9, 9, 9, 9, 9, 9])
            )  # a protocol that there is not: a line in the log
        assert eventually(lambda: "protocol" in file.read_text())
        assert "old " not in file.read_text()


def test_redis_on_the_path_is_preferred_even_as_a_link_to_its_checker(place, monkeypatch):
    program = redis_server.find_redis()
    if program is None:
        pytest.skip("no Redis program on this machine")
    place.mkdir()
    shutil.copy2(program, place / "redis-check-rdb")
    (place / "redis-server").symlink_to("redis-check-rdb")
    monkeypatch.setenv("PATH", str(place))

    assert redis_server.find_redis() == place / "redis-server"


def test_a_redis_that_is_too_old_is_passed_over(place, monkeypatch):
    place.mkdir()
    old = place / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    assert redis_server.find_redis() != old


def test_data_lives_in_the_home_of_an_ordinary_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    assert default_data_directory() == Path("/home/somebody/.local/share/executor-balancer")


@as_root
class TestAsRoot:
    def test_the_servers_run_as_somebody_else(self, start, used_place):
        servers = start()

        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid

    def test_a_closed_home_is_left_alone_and_another_place_taken(self, monkeypatch, tmp_path):
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)

        place = default_data_directory()

        assert not place.is_relative_to(home)
        assert reaches(server_user(place), place)
        assert home.stat().st_mode & 0o777 == 0o700

    def test_a_closed_directory_is_refused_with_the_remedy(self, tmp_path):
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)

        with pytest.raises(
            EmbeddedError, match=r"cannot enter .*: choose a directory that everybody can enter"
        ):
            EmbeddedServers(closed / "data")
        assert closed.stat().st_mode & 0o777 == 0o700

    async def test_programs_of_a_closed_environment_are_copied(self, start, used_place, monkeypatch):
        monkeypatch.setattr("app.local.embedded.postgresql.reaches", lambda user, path: False)
        monkeypatch.setattr("app.local.embedded.redis_server.reaches", lambda user, path: False)

        servers = start()

        assert str(used_place / "programs") in process_arguments(servers.postgres.pid or 0)
        assert await fetch(servers.addresses.database_url, "SELECT 1") == 1

    def test_an_ordinary_user_needs_no_root(self, place):
        nobody = pwd.getpwnam("nobody")
        user = data.RunAs(nobody.pw_uid, nobody.pw_gid)
        python = Path(sys.executable)
        if not all(reaches(user, place) for place in (ROOT, python.parent, python.resolve().parent)):
            pytest.skip("the environment is closed to others")
        os.chown(place.parent, user.uid, user.gid)

        options = {
            "user": user.uid,
            "group": user.gid,
            "extra_groups": [],
            "env": {"HOME": str(place.parent)},
        }
        holder, _, _, pids = start_holder(place, **options)

        assert not none_runs(pids)
        holder.kill()
        holder.wait(20)
        assert eventually(lambda: none_runs(pids))
