"""Reports of workers: each says every few seconds whether it can write; `doctor`, readiness and metrics read it.

A report goes through the pool of connections that decisions use, which proves that pool; a pool that fails is told of
on the worker's connection past the pooler. A worker that can reach nothing falls silent, and is known by that.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.database import TROUBLE, HotConnection, HotPool
from app.messages.message import NOTHING, Message, joined, say
from app.telemetry import metrics
from app.utils.trouble import says, storable, trouble_of

log = structlog.get_logger()

REPORT_SECONDS = 5.0
_PATIENCE = 5.0

# Sorting more than its memory holds makes the server write a file beside the data, so that a full disk shows.
PROBE = """
DO $$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE read_only_sql_transaction USING MESSAGE = 'the server is a standby and takes no writes';
    ELSIF current_setting('transaction_read_only') = 'on' THEN
        RAISE read_only_sql_transaction USING MESSAGE = 'the database is read-only';
    END IF;
    PERFORM set_config('work_mem', '64kB', true);
    PERFORM count(DISTINCT repeat(md5(n::text), 8)) FROM generate_series(1, 2000) n;
END $$
"""
"""Raises what a write would raise: on a standby, in a database that only reads, on a full disk. Writes no row."""
_REPORT = """
WITH gone AS (DELETE FROM worker_reports WHERE reported_at < clock_timestamp() - interval '1 hour' AND process <> $1)
INSERT INTO worker_reports AS known (process, trouble, decided_at) VALUES ($1, $2, $3)
ON CONFLICT (process) DO UPDATE
SET trouble = excluded.trouble, decided_at = coalesce(excluded.decided_at, known.decided_at),
    reported_at = clock_timestamp()
"""
_FORGET = "DELETE FROM worker_reports WHERE process = $1"
_READ = """
SELECT count(*) FILTER (WHERE fresh AND trouble = '') AS well,
       count(*) FILTER (WHERE fresh AND trouble <> '') AS unable,
       coalesce(max(process || ': ' || trouble) FILTER (WHERE fresh AND trouble <> ''), '') AS trouble,
       max(reported_at) AS reported_at,
       coalesce(extract(epoch FROM clock_timestamp() - max(decided_at)) < $1, false) AS decides,
       EXISTS (
           SELECT FROM pools, LATERAL (
               SELECT updated_at FROM tasks
               WHERE pool_id = pools.id AND status = 'pending' AND wait_reason IS NULL LIMIT $2
           ) unseen
           WHERE unseen.updated_at < clock_timestamp() - make_interval(secs => $1)
       ) AS waits
FROM (SELECT *, reported_at > clock_timestamp() - make_interval(secs => $1) AS fresh FROM worker_reports) report
"""
_FRESH_SECONDS = 15.0
_MOST_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Workers:
    """How the workers are: `fault` is empty where work is decided, `stands_still` is true where none can be."""

    well: int
    unable: int
    fault: Message = NOTHING
    stands_still: bool = False


class WorkerReporter:
    """Reports for one worker, named `process`, through `pool`; where that fails, through `aside`.

    `aside` executes a statement on the connection of notes, without which a worker decides nothing.
    """

    def __init__(self, pool: HotPool, aside: Callable[..., Awaitable[None]], process: str) -> None:
        self._pool, self._aside, self._process = pool, aside, process
        self._decided_at: datetime | None = None

    def decided(self, at: datetime) -> None:
        """Note when a batch was committed, by the database's clock."""
        self._decided_at = at

    async def report(self) -> None:
        """Report whether this worker can write. Raises if the report itself cannot be stored."""
        try:
            await self._aside("SELECT 1")
            trouble = ""
        except TROUBLE as error:
            trouble = f"its connection for notes (DATABASE_DIRECT_URL): {says(error)}"
        asked = time.monotonic()
        try:
            async with self._pool.acquire(timeout=_PATIENCE) as connection:
                metrics.pool_wait_seconds.observe(time.monotonic() - asked)
                await connection.execute(PROBE, timeout=_PATIENCE)
                await connection.execute(_REPORT, *self._words(trouble), timeout=_PATIENCE)
        except TROUBLE as error:
            log.warning("worker.cannot_write", error=says(error))
            await self._aside(_REPORT, *self._words(says(error)))

    def _words(self, trouble: str) -> tuple[str, str, datetime | None]:
        return self._process, storable(trouble, 300), self._decided_at

    async def close(self) -> None:
        """Take the report back: the worker ends."""
        try:
            async with self._pool.acquire(timeout=_PATIENCE) as connection:
                await connection.execute(_FORGET, self._process, timeout=_PATIENCE)
        except Exception as error:
            if trouble_of(error) is None:
                raise
            log.info("worker.not_taken_back", error=says(error))  # it is stale in some seconds


async def read_workers(connection: HotConnection) -> Workers:
    """How the workers are now.

    Work stands still where no worker is able to write, and some worker says so or work has waited unseen for 15 s.
    Workers that are able and decide nothing while work waits are a fault, and may be of one pool alone.
    """
    [row] = await connection.fetch(_READ, _FRESH_SECONDS, _MOST_LOOKED_AT)
    well, unable = row["well"], row["unable"]
    if unable:
        return Workers(well, unable, say("worker cannot write: {trouble}", trouble=row["trouble"]), not well)
    if not well and (row["waits"] or row["reported_at"]):
        silent = (
            say("no worker has reported since {since} UTC", since=f"{row['reported_at']:%Y-%m-%d %H:%M:%S}")
            if row["reported_at"]
            else say("no worker has reported yet")
        )
        fault = joined([silent, say("tasks wait and are not looked at")]) if row["waits"] else silent
        return Workers(0, 0, fault, row["waits"])
    if row["waits"] and not row["decides"]:
        fault = say("tasks wait, and no worker has decided any for {seconds:g} s", seconds=_FRESH_SECONDS)
        return Workers(well, 0, fault)
    return Workers(well, 0)
