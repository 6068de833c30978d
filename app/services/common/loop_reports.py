"""Reports of background loops that are not well, kept where `doctor`, health and metrics read them.

A process writes a row for each loop, or part of one, that keeps failing or is late, and takes it back when it is well;
so the table is empty while all is. A process that ends takes its rows back; those of one that died are passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.database import HotConnection, HotPool
from app.messages.message import Message, say
from app.services.common.loops import Health, unwell
from app.utils.trouble import says, storable, trouble_of

log = structlog.get_logger()

REPORT_SECONDS = 5.0
_PATIENCE = 5.0

_REPORT = """
WITH gone AS (
    DELETE FROM loop_reports known
    WHERE reported_at < clock_timestamp() - interval '1 day'
       OR (process = $1 AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS now(loop, part)
                                        WHERE now.loop = known.loop AND now.part = known.part))
)
INSERT INTO loop_reports AS known (process, loop, part, failures, error)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::int[], $5::text[])
ON CONFLICT (process, loop, part) DO UPDATE
SET failures = excluded.failures, error = excluded.error, reported_at = clock_timestamp()
"""
_FORGET = "DELETE FROM loop_reports WHERE process = $1"
# Of processes that live: one reports every 5 s as long as anything is not well.
_READ = """
SELECT loop, part, max(failures) AS failures, min(since) AS since,
       (array_agg(error ORDER BY reported_at DESC))[1] AS error
FROM loop_reports WHERE reported_at > clock_timestamp() - interval '1 minute'
GROUP BY loop, part ORDER BY loop, part LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class LoopReport:
    """A loop, or one pool or receiver in it, that is not well: since when, and its last failure (empty: it is late)."""

    loop: str
    part: str
    failures: int
    since: datetime
    error: str

    @property
    def message(self) -> Message:
        """It in one sentence."""
        name = f"{self.loop} ({self.part})" if self.part else self.loop
        since = f"{self.since:%Y-%m-%d %H:%M}"
        if not self.failures:
            return say("{loop} is late since {since} UTC", loop=name, since=since)
        return say(
            "{loop} failed {failures} times in a row since {since} UTC",
            loop=name,
            failures=self.failures,
            since=since,
        )


class LoopReporter:
    """Writes the reports of one process, named `process`."""

    def __init__(self, pool: HotPool, process: str) -> None:
        self._pool = pool
        self._process = process
        self._has_rows = False

    async def report(self) -> None:
        """Write down what is not well now, and take back what was; asks nothing of the database while all is well."""
        found = unwell()
        if not found and not self._has_rows:
            return
        self._has_rows = True
        async with self._pool.acquire(timeout=_PATIENCE) as connection:
            await connection.execute(_REPORT, self._process, *_columns(found), timeout=_PATIENCE)
        self._has_rows = bool(found)

    async def close(self) -> None:
        """Take everything back: the process ends."""
        if not self._has_rows:
            return
        try:
            async with self._pool.acquire(timeout=_PATIENCE) as connection:
                await connection.execute(_FORGET, self._process, timeout=_PATIENCE)
        except Exception as error:
            if trouble_of(error) is None:
                raise
            log.info("loops.not_taken_back", error=says(error))  # they are passed over in a minute


def _columns(found: Sequence[Health]) -> tuple[list[str], list[str], list[int], list[str]]:
    known = {(each.loop, each.part): each for each in found}
    return (
        [loop for loop, _ in known],
        [part for _, part in known],
        [each.failures for each in known.values()],
        [storable(each.error) for each in known.values()],
    )


async def read_reports(connection: HotConnection) -> list[LoopReport]:
    """What is not well in any process that lives, at most 100 of it."""
    return [LoopReport(**row) for row in await connection.fetch(_READ)]
