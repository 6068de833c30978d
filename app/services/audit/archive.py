"""Archiving: ended tasks of long ago go to files, with all that belongs to them; what is counted from them stays.

A portion is one transaction: rows are written to files and the files to disk before the rows are deleted. If the
machine dies in between, rows are in both places: running it again writes them once more and deletes them.
"""

import gzip
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from app.database import HotConnection, HotPool

KEPT_DAYS = 35
"""Days whose history must stay: fairness windows are up to a month, and counters are repaired from assignments."""
PORTION = 5_000

# Ended tasks that nothing live refers to: no message still to be told, no child (those go first).
_ENDED = """
FROM tasks task
WHERE status IN ('completed', 'rejected', 'cancelled') AND updated_at < $1
  AND NOT EXISTS (SELECT FROM tasks child WHERE child.parent_id = task.id)
  AND NOT EXISTS (SELECT FROM outbox message WHERE message.task_id = task.id
                  AND message.delivered_at IS NULL AND message.dead_at IS NULL)
"""
_TAKE = f"SELECT id {_ENDED} ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED"
_COUNT = f"SELECT count(*) {_ENDED}"

# What belongs to a task, in the order in which it can be deleted.
_PARTS = (
    ("task_events", "task_id"),
    ("assignments", "task_id"),
    ("outbox", "task_id"),
    ("idempotency_keys", "task_id"),
    ("move_keys", "task_id"),
    ("tasks", "id"),
)

_SUM_UP = """
INSERT INTO archived_days AS day (executor_id, business_day, count, weight, routed)
SELECT executor_id, business_day, count(*) FILTER (WHERE kind <> 'rework'), sum(weight),
       coalesce(sum(weight) FILTER (WHERE kind IN ('primary', 'reassign')), 0)
FROM assignments WHERE task_id = ANY($1::bigint[]) AND counted
GROUP BY executor_id, business_day ORDER BY executor_id, business_day
ON CONFLICT (executor_id, business_day) DO UPDATE
SET count = day.count + excluded.count, weight = day.weight + excluded.weight, routed = day.routed + excluded.routed
"""

# Frames that no explanation needs any more. One needs its own frame and those from the one on which that builds; the
# newest frame is needed by the next. One open task of long ago keeps its few, and not all that came after.
_OLD_FRAMES = """
WITH needed AS (
    SELECT pool_id, (explanation ->> 'frame')::bigint AS number FROM assignments
    UNION
    SELECT pool_id, (wait_explanation ->> 'frame')::bigint FROM tasks WHERE wait_explanation IS NOT NULL
    UNION
    SELECT pool_id, max(number) FROM trail_frames GROUP BY pool_id
), kept AS MATERIALIZED (
    SELECT frame.pool_id, frame.start, max(number) AS number
    FROM needed JOIN trail_frames frame USING (pool_id, number) GROUP BY frame.pool_id, frame.start
), newest AS (
    SELECT pool_id, max(number) AS number FROM trail_frames GROUP BY pool_id
)
SELECT old.pool_id, old.number FROM trail_frames old JOIN newest USING (pool_id)
WHERE old.number < newest.number AND NOT EXISTS (
    SELECT FROM kept WHERE kept.pool_id = old.pool_id AND old.number BETWEEN kept.start AND kept.number)
"""

# What belongs to no task and is of no use after a while, with what of it is old before $1: a running day hour by
# hour (closed days keep theirs in kpi_days; two months of hours stay, for windows of a month look back so far), replays
# that ended, alarms that passed.
# Hours of classes are what fair shares of open days, forecasts and figures by kind of work are made of: 100 days stay,
# and all of a pool whose days were never closed.
_ASIDE = {
    "class_hours": "hour < least($1, now() - interval '100 days') AND hour < ("
    "SELECT max(business_day) FROM kpi_days WHERE kpi_days.pool_id = class_hours.pool_id)",
    "fairness_hours": "hour < least($1, now() - interval '62 days')",
    "replays": "finished_at < $1",
    "fairness_alerts": "cleared_at < $1",
}
# Nobody can sign in with it any more: not worth a file.
_FORGET = "DELETE FROM refresh_tokens WHERE expires_at < least($1, now())"

# Classes of a pool that nothing refers to any more.
_UNUSED_CLASSES = """
SELECT class.id FROM class_snapshots class
WHERE class.pool_id = $1 AND class.created_at < $2
  AND NOT EXISTS (SELECT FROM class_hours WHERE class_id = class.id)
  AND NOT EXISTS (SELECT FROM assignments WHERE class_id = class.id)
ORDER BY class.id
"""
# The same once more under the pool's lock, of what may have come to refer to them since ($3). Workers read the whole
# pool anew (config_epoch), so that none goes on with the id of a class that is gone.
_TAKE_POOL = "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = $1"
_STILL_UNUSED = """
SELECT class.id FROM class_snapshots class
WHERE class.id = ANY($2::bigint[])
  AND NOT EXISTS (SELECT FROM class_hours WHERE class_id = class.id)
  AND NOT EXISTS (SELECT FROM class_snapshots other WHERE other.current_id = class.id)
  AND class.id NOT IN (SELECT class_id FROM assignments
                       WHERE pool_id = $1 AND decided_at >= $3 AND class_id IS NOT NULL)
  AND class.id NOT IN (SELECT unnest(ARRAY[wait_class_id, (wait_explanation ->> 'class')::bigint]) FROM tasks
                       WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL
                         AND wait_class_id IS NOT NULL AND wait_explanation ? 'class')
  AND NOT EXISTS (SELECT FROM tasks WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL
                  AND wait_class_id = class.id)
"""
_LONGEST_BATCH = timedelta(minutes=10)

KEPT = {
    "kpi_hours": "key figures: a row of numbers an hour and stripe, asked for long after their tasks are gone",
    "kpi_days": "key figures of closed days, fair shares among them",
    "executor_days": "key figures: what each person received on a day, which limits and reports are checked against",
    "archived_days": "what archived assignments sum up to: doctor checks counters with it",
    "rosters": "who was present together: one row each, however often the same people meet",
    "audit_log": "who did what: a chain that a missing link would break, which doctor walks",
    "loop_reports": "empty while all loops are well; a process takes its rows back",
    "worker_reports": "one row for each worker that runs; it takes it back, and what is left of others goes in an hour",
    "leases": "one row for each kind of work that is being done",
    "rule_sets": "what decided: never many",
    "erased_people": "who was erased on request, as digests: what a pull from the external system must not add again",
    "provider_sign_ins": "deleted at the next sign-in once they are too old",
}
"""Tables that grow, stay whole, and why."""


class Files:
    """The archive's files: a compressed CSV for each table, and a manifest of what they hold."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=False)
        self._folder = folder
        self._rows: dict[str, int] = {}

    async def write(self, connection: HotConnection, table: str, query: str, *arguments: object) -> None:
        """Append what a query gives to a table's file, and have it on disk before returning."""
        path = self._folder / f"{table}.csv.gz"
        with _open_for_owner(path) as file:
            with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                done = await connection.copy_from_query(
                    query, *arguments, output=_into(packed), format="csv", header=table not in self._rows
                )
            _to_disk(file)
        self._rows[table] = self._rows.get(table, 0) + int(done.split()[-1])

    def finish(self, before: datetime) -> dict[str, int]:
        """Write the manifest; returns the rows of each table."""
        files = {
            path.name: {"rows": self._rows[path.name.removesuffix(".csv.gz")], "sha256": _digest(path)}
            for path in sorted(self._folder.glob("*.csv.gz"))
        }
        with _open_for_owner(self._folder / "manifest.json") as file:
            file.write(orjson.dumps({"before": before, "files": files}, option=orjson.OPT_INDENT_2))
            _to_disk(file)
        return self._rows


def _open_for_owner(path: Path) -> BinaryIO:
    """Open a file at its end that its owner alone may read: it holds what people and clients said."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _into(file: gzip.GzipFile) -> Callable[[bytes], Coroutine[Any, Any, None]]:
    async def write(data: bytes) -> None:
        file.write(data)

    return write


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


async def count_ended(pool: HotPool, *, before: datetime) -> int:
    """How many tasks could go at once; parents of ended children are found when these are gone."""
    async with pool.acquire() as connection:
        return int(await connection.fetchval(_COUNT, before))


async def archive_ended(
    pool: HotPool, files: Files, *, before: datetime, portion: int = PORTION
) -> AsyncIterator[int]:
    """Archive all that ended before an instant; gives the number of tasks of each portion as it is committed."""
    while True:
        async with pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_TAKE, before, portion)
            if rows:
                await _archive(connection, files, [row["id"] for row in rows])
        if not rows:
            break
        yield len(rows)
    async with pool.acquire() as connection, connection.transaction():
        await _archive_frames(connection, files)
        await _archive_aside(connection, files, before)
    for pool_id in await _pools(pool):
        await _archive_classes(pool, files, pool_id, before, portion)


async def _archive(connection: HotConnection, files: Files, ids: Sequence[int]) -> None:
    for table, column in _PARTS:
        await files.write(connection, table, f"SELECT * FROM {table} WHERE {column} = ANY($1::bigint[])", ids)
    await connection.execute(_SUM_UP, ids)
    for table, column in _PARTS:
        await connection.execute(f"DELETE FROM {table} WHERE {column} = ANY($1::bigint[])", ids)


async def _archive_frames(connection: HotConnection, files: Files) -> None:
    rows = await connection.fetch(_OLD_FRAMES)
    if not rows:
        return
    keys = ([row["pool_id"] for row in rows], [row["number"] for row in rows])
    old = "(pool_id, number) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))"
    await files.write(connection, "trail_frames", f"SELECT * FROM trail_frames WHERE {old}", *keys)
    await connection.execute(f"DELETE FROM trail_frames WHERE {old}", *keys)


async def _archive_aside(connection: HotConnection, files: Files, before: datetime) -> None:
    """What belongs to no task; rows are taken before they are written, so that none comes or goes between."""
    for table, old in _ASIDE.items():
        if await connection.fetch(f"SELECT FROM {table} WHERE {old} FOR UPDATE", before):
            await files.write(connection, table, f"SELECT * FROM {table} WHERE {old}", before)
            await connection.execute(f"DELETE FROM {table} WHERE {old}", before)
    await connection.execute(_FORGET, before)


async def _pools(pool: HotPool) -> list[int]:
    async with pool.acquire() as connection:
        return [
            row["pool_id"] for row in await connection.fetch("SELECT pool_id FROM pool_states ORDER BY 1")
        ]


async def _archive_classes(pool: HotPool, files: Files, pool_id: int, before: datetime, portion: int) -> None:
    """Classes that nothing refers to: looked for without a lock, taken in portions under the pool's lock."""
    async with pool.acquire() as connection:
        since = await connection.fetchval("SELECT clock_timestamp()") - _LONGEST_BATCH
        unused = [row["id"] for row in await connection.fetch(_UNUSED_CLASSES, pool_id, before)]
        for at in range(0, len(unused), portion):
            async with connection.transaction():
                await connection.execute(_TAKE_POOL, pool_id)
                rows = await connection.fetch(_STILL_UNUSED, pool_id, unused[at : at + portion], since)
                ids = [row["id"] for row in rows]
                if ids:
                    one = "id = ANY($1::bigint[])"
                    await files.write(
                        connection, "class_snapshots", f"SELECT * FROM class_snapshots WHERE {one}", ids
                    )
                    await connection.execute(f"DELETE FROM class_snapshots WHERE {one}", ids)
