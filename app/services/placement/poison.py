"""Poison: a task that ends its worker every time is found and set aside, and the others go on.

A batch that a worker dies of leaves no trace in its own transaction. So what is about to be decided is noted on a
connection of its own, which does not wait for the disk (a worker's death does not undo it), and the commit of the batch
takes the note back. A note that is still there tells the next worker that somebody died over it: it then decides in
small batches whose tasks are counted, then each counted task alone, and sets aside the one that died alone. So a task
costs `MOST` deaths, however large the batch it came in. Failures of the database are nobody's fault and do not count.
"""

import asyncio
import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import asyncpg
import structlog

from app.database import HotConnection, connect
from app.engine.types import PoolId
from app.services.placement import sql as statements
from app.utils.trouble import Trouble, says, trouble_of

log = structlog.get_logger()

MOST = 3
"""Deaths after which a task is set aside."""
_CAREFUL_BATCH = 32
_PATIENCE = 5.0


class NoPicture(ValueError):
    """The pool itself could not be read (its settings, rules or people): no task is to blame, and none is decided."""


def is_innocent(error: BaseException) -> bool:
    """Whether no task is to blame for a failure: what a value of one breaks is refused, or no trouble of a server."""
    return isinstance(error, NoPicture) or trouble_of(error) not in (None, Trouble.REFUSED)


class Attempts:
    """Notes what is being decided; one for a worker process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._lock = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._noted: dict[PoolId, list[int]] = {}

    async def begin(self, pool_id: PoolId, taken: Any, rows: Sequence[Any]) -> None:
        """Note that these tasks are being decided; tasks are counted while somebody's death is being looked into."""
        careful = taken["careful"] + taken["deciding"]
        counted = [row["id"] for row in rows] if careful else []
        self._noted[pool_id] = counted
        await self.execute(statements.BEGIN_ATTEMPT, pool_id, len(rows), careful, counted)

    async def forgive(self, pool_id: PoolId) -> None:
        """Take the note back: the batch failed, and no task is to blame."""
        try:
            await self.execute(statements.FORGIVE_ATTEMPT, pool_id, self._noted.pop(pool_id, []))
        except Exception as error:  # the next worker is careful without need, no more
            log.info("attempt.not_forgiven", pool=pool_id, error=says(error), exc_info=True)

    async def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.terminate()

    async def execute(self, statement: str, *arguments: object) -> None:
        """Run a statement on the connection of notes, which goes past a pooler and does not wait for the disk."""
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(
                    self._dsn,
                    timeout=_PATIENCE,
                    command_timeout=_PATIENCE,
                    server_settings={
                        "synchronous_commit": "off",
                        "application_name": "executor-balancer notes",
                    },
                )
            await self._connection.execute(statement, *arguments)


def is_careful(taken: Any) -> bool:
    """Whether a worker died deciding lately: `taken` is a row of TAKE_POOL."""
    return bool(taken["deciding"] or taken["careful"])


def careful_limit(taken: Any, limit: int) -> int:
    """How many tasks to take: few, where a worker died over the last ones."""
    return min(limit, _CAREFUL_BATCH) if is_careful(taken) else limit


def apart(rows: Sequence[Any]) -> Sequence[Any]:
    """A task that was there when a worker died is decided alone; the others up to the first such."""
    return rows[:1] if rows[0]["attempts"] else list(takewhile(lambda row: not row["attempts"], rows))


async def set_aside(connection: HotConnection, pool_id: PoolId, row: Any) -> None:
    """Park a task that a worker died of alone; the clock wakes it in an hour, forgiven."""
    why = {"weight": row["weight"], "attempts": row["attempts"] + 1}
    await connection.execute(statements.SET_ASIDE, pool_id, row["id"], json.dumps(why))
    log.error("task.set_aside", pool=pool_id, task=row["id"], attempts=row["attempts"] + 1)
