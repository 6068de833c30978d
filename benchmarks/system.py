"""A whole system for a benchmark: durable servers, API and workers as their users start them, all on this machine."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import psutil

from app.local.embedded import Durability, EmbeddedServers
from app.local.embedded.data import free_port, reaches, server_user
from app.local.keeper import KeptProcess
from benchmarks.bare_http import BareClient

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0
"""Seconds that anything may take before the benchmark gives up."""
_SETTLING_SECONDS = 1.0
_RESTING = 0.15
"""Share of a core that a system at rest uses at most: workers sweep once a second."""


class System:
    """Servers in a directory of their own; `fresh` gives each scenario an empty database, `start` its processes."""

    def __init__(self, directory: Path, servers: EmbeddedServers) -> None:
        self.directory = directory
        self.servers = servers
        self.api_port = 0
        self.database_url = ""
        self._number = 0
        self._running: dict[str, KeptProcess] = {}

    @property
    def dsn(self) -> str:
        """The current database, as the bare driver wants it."""
        return self.database_url

    async def fresh(self, name: str = "") -> str:
        """Make an empty, migrated database the current one."""
        self._number += 1
        name = name or f"bench_{self._number}"
        admin = await asyncpg.connect(self.servers.addresses.database_url)
        try:
            await admin.execute(f"CREATE DATABASE {name}")
        finally:
            await admin.close()
        self.database_url = f"{self.servers.addresses.database_url.rpartition('/')[0]}/{name}"
        self._run("init_db.py")
        return self.database_url

    async def start(
        self, *, workers: int = 1, profile: Sequence[str] = (), serve: Sequence[str] = (), **settings: str
    ) -> None:
        """Start an API and so many workers on the current database; those named in `profile` under pyinstrument.

        `serve` are further arguments of uvicorn.
        """
        self.api_port = free_port()
        uvicorn = ["uvicorn", "app.main:app", "--port", str(self.api_port), "--no-access-log"]
        uvicorn += ["--http", "app.api.edge.http_protocol:BoundedProtocol"]  # as `run` starts it
        uvicorn += serve
        await self._clear_redis()
        self._launch("api", ["-m", *uvicorn], profile, settings)
        for number in range(1, workers + 1):
            self._launch(f"worker-{number}", ["app/worker.py"], profile, settings)
        await self._until_ready()

    async def settle(self) -> None:
        """Wait until all of them rest: what starting up and a first look at a team cost is then behind them."""
        deadline, before = time.monotonic() + PATIENCE, self._busy_seconds()
        while True:
            await asyncio.sleep(_SETTLING_SECONDS)
            before, used = self._busy_seconds(), self._busy_seconds() - before
            if used < _RESTING * _SETTLING_SECONDS:
                return
            if time.monotonic() > deadline:
                raise RuntimeError("the system did not come to rest")

    def _busy_seconds(self) -> float:
        parts = self.cpu_seconds()
        return sum(seconds for part, seconds in parts.items() if part != "load generator")

    def stop(self) -> None:
        """End the processes in order; the servers stay."""
        while self._running:
            _, process = self._running.popitem()
            process.stop()

    def profile_of(self, name: str) -> str:
        """What pyinstrument wrote of a process that has ended; it names files as the repository does."""
        file = self.directory / f"{name}.profile"
        return file.read_text().replace(f"{ROOT}/", "") if file.exists() else "no profile was written"

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far by part: api, workers, postgres, redis, and this process (the load)."""
        parts = {"load generator": _cpu(psutil.Process())}
        for name, process in self._running.items():
            part = "api" if name == "api" else "workers"
            parts[part] = parts.get(part, 0.0) + _family(process.pid)
        parts["postgresql"] = _family(self.servers.postgres.pid)
        parts["redis"] = _family(self.servers.redis.pid if self.servers.redis else None)
        return parts

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of API and workers, MB."""
        return {
            name: max(one.memory_info().rss for one in _tree(process.pid)) / 2**20
            for name, process in self._running.items()
        }

    def _launch(
        self, name: str, command: list[str], profile: Sequence[str], settings: dict[str, str]
    ) -> None:
        if name in profile:
            command = ["-m", "benchmarks.profiled", str(self.directory / f"{name}.profile"), *command]
        with (self.directory / f"{name}.log").open("ab") as log:
            self._running[name] = KeptProcess(
                [sys.executable, *command], log=log, env=self._environment(settings), cwd=ROOT, grace=30.0
            )

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.servers.addresses.redis_url or "",
            "METRICS_PORT": "0",
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "json",
            **settings,
        }

    async def _clear_redis(self) -> None:
        from redis.asyncio import Redis

        if url := self.servers.addresses.redis_url:
            async with Redis.from_url(url) as redis:
                await redis.flushall()

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                async with BareClient("127.0.0.1", self.api_port) as client:
                    status, _ = await client.request("GET", "/v1/health/ready")
                    if status == 200:
                        return
            except OSError:
                pass
            if self._running["api"].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the API did not start:\n{(self.directory / 'api.log').read_text()[-2000:]}"
                )
            time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs here

    def _run(self, *command: str) -> None:
        subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self._environment({}), check=True, capture_output=True
        )


@contextmanager
def running_servers(durability: Durability = Durability.SAFE, **postgres_settings: str) -> Iterator[System]:
    """Servers that end with the block, and everything that was started on them."""
    candidates = map(Path, (tempfile.gettempdir(), "/var/tmp"))  # noqa: S108 - mkdtemp is safe there
    place = next(one for one in candidates if reaches(server_user(one), one))
    directory = Path(tempfile.mkdtemp(prefix="executor-balancer-bench-", dir=place))
    directory.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        servers = EmbeddedServers(directory / "data", durability)
        servers.postgres.settings.update(postgres_settings)
        stack.enter_context(servers)
        system = System(directory, servers)
        stack.callback(system.stop)
        yield system


def _tree(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _family(pid: int | None) -> float:
    """Processor time of a process and all its children, those that ended included."""
    return sum(_cpu(process) for process in _tree(pid))


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
