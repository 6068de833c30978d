"""PostgreSQL and Redis as the two `docker run` lines of the run book make them, from the programs of our wheels."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import redis

from app.local.embedded import Durability, EmbeddedServers


@contextmanager
def docker_run(directory: Path, postgres_port: int, redis_port: int) -> Iterator[bool]:
    """User and password postgres, database executor_balancer; Redis without a password. Yields whether there is Redis.

    The ports are those of the last start where they are free: so they are chosen.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "ports.json").write_text(json.dumps({"postgres": postgres_port, "redis": redis_port}))
    with ExitStack() as stack:
        servers = EmbeddedServers(directory, Durability.FAST)
        addresses = stack.enter_context(servers).addresses
        assert f":{postgres_port}/" in addresses.database_url, "the port of PostgreSQL is taken"
        asyncio.run(_make_postgres(addresses.database_url))
        if addresses.redis_url:
            with redis.Redis.from_url(addresses.redis_url) as client:
                client.config_set("requirepass", "")
        yield addresses.redis_url is not None


async def _make_postgres(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'postgres'")
        await connection.execute("ALTER DATABASE executor_balancer OWNER TO postgres")
    finally:
        await connection.close()
