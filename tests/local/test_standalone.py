"""`executor-balancer run`: one command starts everything, keeps it running, and leaves nothing behind."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import pytest

from app.local.embedded import temporary_directory
from app.local.embedded.data import free_port, process_arguments
from tests.servers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("standalone")]


class System:
    """A system started by the command line, as its user sees it."""

    def __init__(self, data: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.data = data
        arguments = ["--data", data, "--port", str(self.port), "--no-dashboard", "--no-ais", *options]
        self.output = data.with_suffix(f".{self.port}.out")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "run", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"COLUMNS": "200", **(environment or {})},
            )

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        return "Ctrl-C stops everything" in self.output.read_text()

    def get(self, path: str) -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status

    def processes(self) -> dict[int, str]:
        """Everything started for this system: its data or port is in the arguments or the environment."""
        listing = {}
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            with suppress(OSError):
                words = process_arguments(pid) + (entry / "environ").read_bytes().decode(errors="replace")
                if str(self.data) in words or f"PORT={self.port}\0" in words:
                    listing[pid] = process_arguments(pid)
        return listing

    def worker(self) -> int | None:
        found = (
            pid for pid, args in self.processes().items() if "worker.py" in args and "keeper" not in args
        )
        return next(found, None)


def eventually(condition: Callable[[], object], seconds: float = 180.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    directory = temporary_directory("executor-balancer-standalone-")
    yield directory
    subprocess.run(["rm", "-rf", directory], check=True)


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[System]:
    """A system that several tests look at: starting one takes seconds."""
    system = System(place / "shared")
    assert eventually(system.is_ready)
    yield system
    system.process.terminate()
    system.process.wait(120)


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., System]]:
    """Start another system; if it still runs after the test it is stopped."""
    systems = []

    def start_system(*options: str, **settings: str) -> System:
        system = System(place / f"own-{len(list(place.iterdir()))}", *options, environment=settings)
        systems.append(system)
        return system

    yield start_system
    for system in systems:
        system.process.terminate()
        system.process.wait(120)


def test_one_command_starts_everything(running):
    assert running.get("/v1/health/ready") == 200
    assert running.worker()


def test_a_killed_worker_is_replaced(running):
    assert eventually(running.worker)
    first = running.worker()

    os.kill(first or 0, signal.SIGKILL)

    assert eventually(lambda: running.worker() not in {None, first})


def test_a_second_run_on_the_same_data_is_told_in_one_line(running):
    second = System(running.data)

    assert second.process.wait(120) == 1
    said = second.output.read_text()
    assert f"is used by process {running.process.pid}: stop it or choose another directory" in said


def test_nothing_is_left_when_the_command_itself_is_killed(start):
    system = start()
    assert eventually(system.is_ready)

    system.process.kill()
    system.process.wait(120)

    assert eventually(lambda: not system.processes())


def test_named_servers_are_used_and_ctrl_c_ends_the_rest(start, database_url, redis_url):
    system = start(DATABASE_URL=database_url, REDIS_URL=redis_url)
    assert eventually(system.is_ready)

    assert system.get("/v1/health/ready") == 200
    assert not (system.data / "postgres").exists()

    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(120) == 0
    assert eventually(lambda: not system.processes())


def test_a_port_in_use_is_told_in_one_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        system = start("--port", str(port))

        assert system.process.wait(120) == 1

    said = system.output.read_text().strip()
    assert (
        said
        == f"Cannot start: cannot listen on 127.0.0.1:{port} (Address already in use): choose another --port"
    )
