"""A primary and a streaming standby of their own, to be killed, stopped, promoted and brought back."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.local.embedded.data import DataDirectory, temporary_directory
from app.local.embedded.postgresql import DATABASE, USER, Durability, PostgresServer


class Cluster:
    """Two servers with one password: `first` is the primary at the beginning, `second` streams from it."""

    def __init__(self, directory: Path) -> None:
        self.first_data = DataDirectory(directory / "first")
        self.first = PostgresServer(self.first_data, Durability.FAST)
        self.first.start()
        second = directory / "second"
        second.mkdir()
        (second / "secret").write_text(self.first_data.secret)
        (second / "secret").chmod(0o600)
        self.second_data = DataDirectory(second)
        self.second = PostgresServer(self.second_data, Durability.FAST)
        self._copy()
        self.second.start()

    @property
    def url(self) -> str:
        """Both servers, the first one first, as libpq spells it."""
        hosts = ",".join(f"127.0.0.1:{port_of(server)}" for server in (self.first, self.second))
        return f"postgresql://{USER}:{self.first_data.secret}@{hosts}/{DATABASE}"

    def promote(self) -> None:
        """Make the standby the primary, on a new timeline; returns when it takes writes."""
        self.program(self.second_data, "psql", *_where(self.second), "-c", "SELECT pg_promote(true, 60)")

    def follow_synchronously(self) -> None:
        """Let the primary acknowledge a commit only after the standby has it, from the next commit on."""
        for statement in (
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ):
            self.program(self.first_data, "psql", *_where(self.first), "-c", statement)

    def program(self, data: DataDirectory, name: str, *arguments: object) -> str:
        """Run one of PostgreSQL's programs as the servers' user and return what it printed."""
        user = data.user
        path = self.first._programs / name
        return subprocess.run(
            [path, *map(str, arguments)],
            env=os.environ | {"PGPASSWORD": self.first_data.secret},
            cwd=data.path,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _copy(self) -> None:
        target = self.second_data.server_directory("postgres")
        source = ["-h", "127.0.0.1", "-p", port_of(self.first), "-U", USER]
        self.program(
            self.second_data, "pg_basebackup", "-D", target, "-R", "-X", "stream", "-c", "fast", *source
        )

    def stop(self) -> None:
        """End both servers."""
        for server, data in ((self.first, self.first_data), (self.second, self.second_data)):
            server.kill()
            data.release()


def port_of(server: PostgresServer) -> int:
    """The port that a server listens on."""
    return int(server.url.rpartition(":")[2].partition("/")[0])


def freeze(server: PostgresServer) -> None:
    """Stop every process of a server, as a machine that hangs does; `thaw` lets them go on."""
    _signal(server, signal.SIGSTOP)


def thaw(server: PostgresServer) -> None:
    """Let a frozen server go on."""
    _signal(server, signal.SIGCONT)


def _signal(server: PostgresServer, number: signal.Signals) -> None:
    pids = (server._cluster / "postmaster.pid").read_text().split()
    postmaster = int(pids[0])
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False
    ).stdout.split()
    for pid in [postmaster, *map(int, children)]:
        os.kill(pid, number)


def _where(server: PostgresServer) -> list[object]:
    return ["-X", "-q", "-h", "127.0.0.1", "-p", port_of(server), "-U", USER, "-d", DATABASE]


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    """A running cluster, gone afterwards."""
    cluster = Cluster(temporary_directory("executor-balancer-cluster-"))
    try:
        yield cluster
    finally:
        cluster.stop()
