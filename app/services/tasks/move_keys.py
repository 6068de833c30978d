"""Moves that came with an Idempotency-Key: the same move again is answered as the first time, and done once.

The key is written in the transaction of its move, so that it is known exactly if the move was made; a move that was
refused leaves none. The answer follows, before the client gets it.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.database import HotConnection, HotPool
from app.engine.types import TaskId
from app.errors import KeyReused
from app.messages.message import say
from app.services.common.sent_keys import SentKey


class KeyedMove(Protocol):
    """The part of a move that a key belongs to."""

    @property
    def task_id(self) -> TaskId:
        """The task that is moved."""

    @property
    def key(self) -> SentKey | None:
        """The key that the move came with."""


_FIRST_USES = """
SELECT used.task_id, used.fingerprint, used.version
FROM unnest($1::bigint[], $2::text[]) AS wanted(task_id, key) JOIN move_keys used USING (task_id, key)
"""

_REMEMBER = """
INSERT INTO move_keys (task_id, key, fingerprint, version)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[])
"""

_ANSWER = "SELECT answer FROM move_keys WHERE task_id = $1 AND key = $2"

# Of two answers that are made at once the first one stays, and both clients get it.
_KEEP = """
UPDATE move_keys SET answer = coalesce(answer, $3) WHERE task_id = $1 AND key = $2 RETURNING answer
"""


async def first_uses(
    connection: HotConnection, moves: Sequence[KeyedMove]
) -> Mapping[TaskId, int | KeyReused]:
    """Of moves whose key was used before: the task's version after the first, or why this one is another move."""
    keyed = {move.task_id: move.key for move in moves if move.key is not None}
    if not keyed:
        return {}
    rows = await connection.fetch(_FIRST_USES, list(keyed), [key.key for key in keyed.values()])
    return {
        TaskId(row["task_id"]): (
            row["version"]
            if row["fingerprint"] == keyed[row["task_id"]].fingerprint
            else _reused(row["task_id"])
        )
        for row in rows
    }


def _reused(task_id: int) -> KeyReused:
    return KeyReused(
        say(
            "Idempotency-Key: this key was used with another move of this task; use a new key for a new move."
        ),
        task_id=task_id,
    )


async def remember(
    connection: HotConnection, moves: Sequence[KeyedMove], versions: Mapping[int, int]
) -> None:
    """Write the keys of moves that were made, in their transaction, which holds the tasks."""
    keyed = [(move.task_id, move.key) for move in moves if move.key is not None]
    if keyed:
        await connection.execute(
            _REMEMBER,
            [task_id for task_id, _ in keyed],
            [key.key for _, key in keyed],
            [key.fingerprint for _, key in keyed],
            [versions[task_id] for task_id, _ in keyed],
        )


async def first_answer(pool: HotPool, task_id: TaskId, key: SentKey) -> str | None:
    """The answer that was made to a key's first move, as JSON; None where none was made yet."""
    answer: str | None = await pool.fetchval(_ANSWER, task_id, key.key)
    return answer


async def keep_answer(pool: HotPool, task_id: TaskId, key: SentKey, answer: str) -> str:
    """Keep the answer of a key's first move; returns the one that is kept."""
    kept: str = await pool.fetchval(_KEEP, task_id, key.key, answer)
    return kept
