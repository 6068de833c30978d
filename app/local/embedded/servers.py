"""Both servers as one thing that is started, watched and stopped."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.local.embedded.data import DataDirectory, is_locked
from app.local.embedded.postgresql import Durability, PostgresServer, postgres_url
from app.local.embedded.redis_server import RedisServer, find_redis, redis_url


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are; `redis_url` is None where there is no Redis to run."""

    database_url: str
    redis_url: str | None


def running_addresses(directory: Path) -> Addresses | None:
    """Where the servers of a data directory that is in use are; None where nobody uses it, or we may not know."""
    try:
        secret = (directory / "secret").read_text().strip()
        ports = json.loads((directory / "ports.json").read_text())
        in_use = is_locked(directory)
    except (OSError, ValueError):
        return None
    if not in_use or PostgresServer.name not in ports:
        return None
    return Addresses(
        postgres_url(secret, ports[PostgresServer.name]),
        redis_url(secret, ports[RedisServer.name]) if RedisServer.name in ports else None,
    )


class EmbeddedServers:
    """PostgreSQL and, where there is one, Redis on one data directory.

    They end with this process, however it ends. A context manager starts and stops them.

    Raises
    ------
    EmbeddedError
        If the directory is in use or unusable, or a server cannot be started.
    """

    def __init__(self, directory: Path, durability: Durability = Durability.SAFE) -> None:
        self._data = DataDirectory(directory)
        try:
            program = find_redis()
            self.postgres = PostgresServer(self._data, durability)
            self.redis = RedisServer(self._data, program, durability) if program else None
        except BaseException:
            self._data.release()
            raise

    @property
    def directory(self) -> Path:
        """Where the data is."""
        return self._data.path

    @property
    def addresses(self) -> Addresses:
        """Where the running servers are."""
        return Addresses(self.postgres.url, self.redis.url if self.redis else None)

    def start(self) -> Addresses:
        """Start what does not run yet and wait until it answers."""
        try:
            for server in self._servers():
                server.start()
        except BaseException:
            self.stop()
            raise
        return self.addresses

    def revive(self) -> list[str]:
        """Start again, on the same ports, the servers that have ended; returns their names. Bounds their logs."""
        for server in self._servers():
            self._data.trim_log(server.name)
        ended = [server for server in self._servers() if server.pid is None]
        for server in ended:
            server.start(same_port=True)
        return [server.name for server in ended]

    def stop(self) -> None:
        """Shut both down in order and let others use the directory."""
        for server in reversed(list(self._servers())):
            server.stop()
        self._data.release()

    def _servers(self) -> Iterator[PostgresServer | RedisServer]:
        yield self.postgres
        if self.redis:
            yield self.redis

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
