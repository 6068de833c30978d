"""Leases: work that one process at a time should do, without a lock that is held while it computes.

A lock within a transaction would keep that transaction idle for as long as a solve takes, and the server ends such
transactions. A lease ends by itself: a process that dies or hangs holds nothing up for longer than its seconds. Two
may do the same work after that, so what they write must bear it.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.database import HotPool

_TAKE = """
INSERT INTO leases AS lease (name, holder, until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::float8))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE lease.until < clock_timestamp()
RETURNING true
"""
_GIVE_BACK = "DELETE FROM leases WHERE name = $1 AND holder = $2"


@asynccontextmanager
async def lease(pool: HotPool, name: str, *, seconds: float) -> AsyncIterator[bool]:
    """Take a lease for the length of the block, `seconds` at most; False where another process has it."""
    holder = uuid.uuid4().hex
    async with pool.acquire() as connection:
        is_ours = bool(await connection.fetchval(_TAKE, name, holder, seconds))
    try:
        yield is_ours
    finally:
        if is_ours:
            async with pool.acquire() as connection:
                await connection.execute(_GIVE_BACK, name, holder)
