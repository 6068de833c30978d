"""The data directory of the embedded servers: where it is, who may use it, what is kept beside the data.

    lock         held while the servers run; says by whom
    secret       the password of both servers, readable by its owner alone
    ports.json   the ports of the last start, taken again where they are free
    postgres/    the cluster                  postgres.log
    redis/       configuration, append log    redis.log
    programs/    copies of the servers, where the installed ones cannot be reached

PostgreSQL refuses to run as root, so there the servers run as the owner of the data that exists, else as
`nobody`. That user must be able to reach the directory; the modes of the directories above it are never
changed.
"""

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.local.keeper import RunAs
from app.local.rotation import append_to, trim

NAME = "executor-balancer"
LOCK_PATIENCE = 30.0
"""Seconds that servers of a dead process may take to end before their data is called busy."""
LOG_LIMIT = 16 * 1024 * 1024
"""Bytes after which a log is set aside at the next start."""


class EmbeddedError(RuntimeError):
    """The embedded servers cannot run; the message says why and what to do."""


def default_data_directory() -> Path:
    """Where data lives unless somebody says otherwise: `~/.local/share/executor-balancer`.

    Root's home is usually closed to the user that the servers are dropped to; then a place outside it is
    taken, one for each home, so that two of them never share data.
    """
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    wanted = Path(base).expanduser() / NAME
    if os.geteuid() != 0 or reaches(server_user(wanted), wanted):
        return wanted
    if Path.home() == Path(pwd.getpwuid(0).pw_dir) and os.access("/var/lib", os.W_OK):
        return Path("/var/lib") / NAME
    mark = hashlib.sha256(bytes(wanted)).hexdigest()[:8]
    return Path("/var/tmp") / f"{NAME}-{mark}"  # noqa: S108 - whose it is, is checked before use


def server_user(directory: Path) -> RunAs | None:
    """User the servers run as: None (the current user) unless that is root."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError, PermissionError):
        owner = (directory / "postgres").stat()
        if owner.st_uid != 0:
            return RunAs(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return RunAs(nobody.pw_uid, nobody.pw_gid)


def reaches(user: RunAs | None, path: Path) -> bool:
    """Whether the user can enter the directory, or the nearest one above it that exists.

    The kernel is asked, in the user's name: access lists and mounts count too.
    """
    while not path.is_dir():
        path = path.parent
    if user is None:
        return os.access(path, os.X_OK)
    try:
        entered = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(path)],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except PermissionError as error:
        raise EmbeddedError(
            "this root may not become another user (no CAP_SETUID), and PostgreSQL refuses to run as root: "
            "run as an ordinary user, or set DATABASE_URL and REDIS_URL"
        ) from error
    return entered.returncode == 0


def temporary_directory(prefix: str) -> Path:
    """Make a fresh directory that the server user can enter: the usual one for temporary files may be closed."""
    places = map(Path, (tempfile.gettempdir(), "/var/tmp", "/tmp"))  # noqa: S108 - mkdtemp is safe there
    user = server_user(Path("/"))
    base = next((place for place in places if place.is_dir() and reaches(user, place)), None)
    if base is None:
        raise EmbeddedError("no directory for temporary files that the servers' user can enter: set TMPDIR")
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    directory.chmod(0o711 if user else 0o700)
    return directory


class DataDirectory:
    """A data directory that this process alone uses, from construction to `release`.

    Raises
    ------
    EmbeddedError
        If another process uses it, or if it cannot be used at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.user = server_user(self.path)
        self._create()
        self._lock = self._acquire()
        self.secret = self._secret()

    @property
    def lock_descriptor(self) -> int:
        """To be held by the keepers: the lock is free when the last server has ended."""
        return self._lock.fileno()

    def release(self) -> None:
        """Let others use the directory as soon as no keeper holds the lock any more."""
        self._lock.close()

    def server_directory(self, name: str) -> Path:
        """Return a directory that only the server user can read, created where it is missing."""
        directory = self.path / name
        directory.mkdir(mode=0o700, exist_ok=True)
        self.give(directory)
        return directory

    def give(self, path: Path) -> None:
        """Make the server user the owner."""
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)

    def open_log(self, server: str) -> IO[bytes]:
        """Open a server's log at its end; an overgrown one is set aside first."""
        path = self.path / f"{server}.log"
        with suppress(FileNotFoundError):
            if path.stat().st_size > LOG_LIMIT:
                path.replace(path.with_suffix(".log.1"))
        return append_to(path)

    def trim_log(self, server: str) -> None:
        """Set an overgrown log of a running server aside."""
        trim(self.path / f"{server}.log", LOG_LIMIT)

    def log_tail(self, server: str, lines: int = 12) -> str:
        """Return the end of a server's log, for an error message."""
        with suppress(FileNotFoundError):
            text = (self.path / f"{server}.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def port(self, server: str) -> int:
        """Return the port of the last start where it is free, else any free one, and remember it.

        Another process may take it before the server does; the caller then asks again.
        """
        file = self.path / "ports.json"
        ports: dict[str, int] = {}
        with suppress(FileNotFoundError, ValueError):
            ports = json.loads(file.read_text())
        ports[server] = free_port(ports.get(server, 0))
        file.write_text(json.dumps(ports))
        return ports[server]

    def _create(self) -> None:
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                self.path.chmod(0o711 if self.user else 0o700)
            owner = self.path.stat().st_uid
        except OSError as error:
            raise EmbeddedError(
                f"cannot use {self.path} for data ({error.strerror}): choose another"
            ) from error
        # In a directory that any user can write to, another user may have been there first.
        if owner not in {os.geteuid(), self.user.uid if self.user else -1}:
            raise EmbeddedError(f"{self.path} belongs to another user: choose another data directory")
        if not reaches(self.user, self.path):
            raise EmbeddedError(
                f"the servers run as an unprivileged user, who cannot enter {self.path}: "
                f"choose a directory that everybody can enter, for instance /var/lib/{NAME}"
            )

    def _acquire(self) -> IO[str]:
        """Take the lock; wait for it only while the servers of a process that died are ending."""
        lock = (self.path / "lock").open("a+")
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip()
                if is_alive(owner) or time.monotonic() > deadline:
                    lock.close()
                    raise EmbeddedError(
                        f"{self.path} is used by process {owner or '?'}: stop it or choose another directory"
                    ) from None
                time.sleep(0.05)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _secret(self) -> str:
        file = self.path / "secret"
        with (
            suppress(FileExistsError),
            open(file, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as new,
        ):
            new.write(secrets.token_hex(24))
        secret = file.read_text().strip()
        if not secret:
            raise EmbeddedError(f"{file} is empty: restore it, or remove {self.path} to begin anew")
        return secret


def free_port(wanted: int = 0) -> int:
    """Return the wanted loopback port where it can be bound, else one that the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise EmbeddedError("no free port on 127.0.0.1")


def is_locked(directory: Path) -> bool:
    """Whether a process uses a data directory; the process id in the lock may be that of a process long gone.

    Raises OSError where there is no lock, or it may not be read.
    """
    with (directory / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_alive(pid: str) -> bool:
    """Whether a process runs; one of another user counts."""
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_arguments(pid: int) -> str:
    """Return the command line of a process, empty where there is no such process."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    ps = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout
