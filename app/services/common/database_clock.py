"""The database's clock, as a process knows it without asking each time: hosts whose own clocks are wrong agree by it.

Between looks it goes by the monotonic clock, which nobody sets. Until the first look succeeds it is the host's own.
"""

import time
from datetime import UTC, datetime, timedelta

import structlog

from app.database import HotPool
from app.telemetry import metrics

log = structlog.get_logger()

LOOK_SECONDS = 10.0
_PATIENCE = 2.0
_SLOW_SECONDS = 1.0
_APART_SECONDS = 1.0


def host_time() -> datetime:
    """Return the time by the clock of this host."""
    return datetime.now(UTC)


class DatabaseClock:
    """Tells the time; one for a process."""

    def __init__(self) -> None:
        self._host = host_time
        self._anchor: tuple[datetime, float] | None = None
        self._told = timedelta(0)

    def now(self) -> datetime:
        """Return the time in UTC."""
        if self._anchor is None:
            return self._host()
        at, monotonic = self._anchor
        return at + timedelta(seconds=time.monotonic() - monotonic)

    async def look(self, pool: HotPool) -> None:
        """Ask the database for the time; an answer that took long counts only if it is the first."""
        asked = time.monotonic()
        async with pool.acquire(timeout=_PATIENCE) as connection:
            began = time.monotonic()
            metrics.pool_wait_seconds.observe(began - asked)
            at: datetime = await connection.fetchval("SELECT clock_timestamp()", timeout=_PATIENCE)
            ended = time.monotonic()
        if ended - began > _SLOW_SECONDS and self._anchor is not None:
            return
        self._anchor = at.astimezone(UTC), (began + ended) / 2
        apart = self._host() - self.now()
        metrics.clock_offset_seconds.set(apart.total_seconds())
        if abs(apart - self._told) > timedelta(seconds=_APART_SECONDS):
            self._told = apart
            log.warning(
                "clock.apart", seconds=round(apart.total_seconds(), 3), goes_by="the database's clock"
            )
