"""What happens in a pool as it happens, for whoever watches: assignments, changes of state, key figures.

Ticks say that something moved; one query per pool and moment then reads the newest assignments for all watchers.
A watcher costs a bounded queue: one that is too slow, or was away too long, is told that it missed something and
reads the pool anew. Nothing waits for a watcher.
"""

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, Literal

from app.access.roles import Caller
from app.database import HotPool
from app.engine.types import PoolId
from app.services.common.database_clock import DatabaseClock
from app.services.live.notifications import Tick, Ticks
from app.services.live.overview import Minute, Overview, PoolOverview
from app.services.live.stream_places import StreamPlaces, Watcher
from app.utils.remembered import Remembered

MOST_WATCHERS = 500
"""Streams that one process serves; each holds a connection."""
MOST_ITEMS = 50
"""Assignments in one message; a burst is summed up by its count."""
HEARTBEAT_SECONDS = 10.0
GATHER_SECONDS = 0.3
"""Ticks that come within this time are one message: a screen cannot show more, a person cannot read more."""

_SHARED_SECONDS = 0.2
_SETTLE_SECONDS = (
    1.2  # after the last news the figures, shared for a second, may be older than they: look once more
)
_NEWEST = """
SELECT assignment.id, assignment.task_id, assignment.executor_id, executor.name AS executor_name,
    assignment.kind, assignment.decided_at
FROM assignments assignment JOIN executors executor ON executor.id = assignment.executor_id
WHERE assignment.pool_id = $1 ORDER BY assignment.decided_at DESC, assignment.id DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """An assignment as it is announced."""

    assignment_id: int
    task_id: int
    executor_id: int
    executor_name: str
    kind: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What moved since the last message: how often each event, and the newest assignments."""

    until: datetime
    counts: dict[str, int]
    placed: Sequence[Placed]


@dataclass(frozen=True, slots=True)
class FiguresEvent:
    """The pool's key figures now."""

    picture: PoolOverview
    minutes: Sequence[Minute]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing happened for a while, or (`missed`) something may have been missed."""

    kind: Literal["began", "beat", "missed"]
    at: datetime


Message = News | FiguresEvent | Quiet


class LiveBoard:
    """Streams of what happens, one per watcher."""

    def __init__(
        self, ticks: Ticks, pool: HotPool, overview: Overview, places: StreamPlaces, clock: DatabaseClock
    ) -> None:
        self._clock = clock
        self._ticks = ticks
        self._pool = pool
        self._overview = overview
        self._places = places
        self._newest: Remembered[PoolId, list[Placed]] = Remembered(_SHARED_SECONDS)

    def start(self) -> None:
        """Let streams end when the process is told to stop: the server waits for them before anything else ends."""
        self._places.start()
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            _call_first(number, lambda: loop.call_soon_threadsafe(self._places.end_all))

    def stop(self) -> None:
        """End all streams."""
        self._places.stop()

    def join(self, pool_id: PoolId, *, caller: Caller, credentials: str | None) -> Watcher:
        """Take a place for a stream of this pool; `leave` gives it back. Raises Overloaded, Unavailable."""
        watcher = Watcher(pool_id, caller, credentials)
        self._places.take(watcher, most=MOST_WATCHERS)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Give the place back."""
        self._places.leave(watcher)

    async def watch(
        self, watcher: Watcher, *, period: timedelta, since: datetime | None
    ) -> AsyncIterator[Message]:
        """What happens in the pool from `since` (at most the last MOST_ITEMS assignments) or from now on.

        Ends when the process stops, when the caller may watch no more, or when it lost its place.
        """
        pool_id = watcher.pool_id
        with self._ticks.subscribe() as ticks:
            since = since or self._clock.now()
            yield Quiet("began", since)
            yield await self._figures(pool_id, period)
            news = await self._news(pool_id, since, {})
            while not watcher.ended.is_set():
                if news.placed or news.counts:
                    yield news
                    yield await self._figures(pool_id, period)
                    since = news.until
                counts = await self._gather(
                    ticks, watcher, _SETTLE_SECONDS if news.counts else HEARTBEAT_SECONDS
                )
                if watcher.ended.is_set():
                    return
                if counts is None:
                    yield Quiet("missed", self._clock.now())
                elif not counts:
                    yield Quiet("beat", self._clock.now())
                    yield await self._figures(pool_id, period)
                news = await self._news(pool_id, since, counts or {})

    async def _gather(
        self, ticks: asyncio.Queue[Tick], watcher: Watcher, patience: float
    ) -> dict[str, int] | None:
        """How often each event happened; nothing after a quiet while, None when ticks were missed."""
        counts: Counter[str] = Counter()
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0 and not watcher.ended.is_set():
            tick = await self._next(ticks, watcher, left)
            if tick is None:
                break
            if tick.pool_id is None:
                return None
            if tick.pool_id == watcher.pool_id:
                if not counts:
                    deadline = min(deadline, time.monotonic() + GATHER_SECONDS)
                counts[tick.event] += tick.count
        return dict(counts)

    async def _next(self, ticks: asyncio.Queue[Tick], watcher: Watcher, patience: float) -> Tick | None:
        """The next tick; None when the time is over or the stream ends."""
        coming = asyncio.ensure_future(ticks.get())
        closing = asyncio.ensure_future(watcher.ended.wait())
        try:
            await asyncio.wait([coming, closing], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            coming.cancel()
            closing.cancel()

    async def _news(self, pool_id: PoolId, since: datetime, counts: dict[str, int]) -> News:
        newest = await self._newest_of(pool_id)
        placed = [each for each in newest if each.decided_at > since]
        until = max((each.decided_at for each in placed), default=since)
        return News(until, counts, placed)

    async def _newest_of(self, pool_id: PoolId) -> list[Placed]:
        async def read() -> list[Placed]:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(_NEWEST, pool_id, MOST_ITEMS)
            return [Placed(*row.values()) for row in rows]

        return await self._newest.get(pool_id, read)

    async def _figures(self, pool_id: PoolId, period: timedelta) -> FiguresEvent:
        return FiguresEvent(*await self._overview.look(pool_id, period=period, now=self._clock.now()))


def _call_first(number: signal.Signals, action: Any) -> None:
    """Do this before what a signal does already."""
    before = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        action()
        if callable(before):
            before(received, frame)

    if callable(before):  # a server that handles it; without one the default ends the process anyway
        signal.signal(number, handle)
