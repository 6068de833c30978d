"""Ticks: PostgreSQL says in one NOTIFY per commit that tasks of a pool moved; whoever waits looks then.

Delivered with the commit and not before, and without Redis. A tick says only that something happened: who needs the
facts reads them. After a lost connection everybody is told once, because ticks may have been missed.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.database import HotPool
from app.doorbell.pool_owners import Serving
from app.engine.types import PoolId, TaskId
from app.services.common.loops import Loops
from app.services.live.listen import Hearer, Listener
from app.services.placement.sql import SERVING_CHANNEL, TICK_CHANNEL

_KEPT_TICKS = 1000


@dataclass(frozen=True, slots=True)
class Tick:
    """Something moved in a pool; `pool_id` None: ticks may have been missed, look at everything."""

    pool_id: PoolId | None
    event: str = "missed"
    count: int = 0


class Ticks:
    """One listening connection for a process, any number of subscribers; `serving` learns who serves what."""

    def __init__(self, dsn: str, serving: Serving | None = None) -> None:
        self._subscribers: set[asyncio.Queue[Tick]] = set()
        hearers: dict[str, Hearer] = {TICK_CHANNEL: self._heard}
        if serving is not None:
            hearers[SERVING_CHANNEL] = serving.heard
        self._listener = Listener(dsn, hearers, connected=lambda: self._tell(Tick(None)))

    def start(self) -> None:
        """Begin to listen."""
        self._listener.start()

    async def stop(self) -> None:
        """End listening."""
        await self._listener.stop()

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Tick]]:
        """The ticks from now on; a subscriber that falls behind is told that it missed some."""
        queue: asyncio.Queue[Tick] = asyncio.Queue(_KEPT_TICKS)
        self._subscribers.add(queue)
        try:
            yield queue
        finally:
            self._subscribers.discard(queue)

    def _heard(self, said: Mapping[str, Any]) -> None:
        self._tell(Tick(PoolId(said["pool"]), said["event"], said["count"]))

    def _tell(self, tick: Tick) -> None:
        for queue in self._subscribers:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(Tick(None))
            queue.put_nowait(tick)


_STILL_PENDING = (
    "SELECT id FROM tasks WHERE id = ANY($1::bigint[]) AND status = 'pending' AND wait_reason IS NULL"
)


class WaitingRoom:
    """Requests that wait until their task was decided; each tick costs one query for all of them."""

    def __init__(self, ticks: Ticks, pool: HotPool) -> None:
        self._ticks = ticks
        self._pool = pool
        self._waiting: dict[TaskId, list[asyncio.Future[None]]] = {}
        self._loops = Loops()

    def start(self) -> None:
        """Begin to watch."""
        self._loops.start("waiting_room", self._watch, late_after=float("inf"))

    async def stop(self) -> None:
        """Let everybody go."""
        await self._loops.stop()
        self._release(list(self._waiting))

    async def wait(self, task_id: TaskId, seconds: float) -> None:
        """Return when the task was looked at (placed or parked), or when the time is over."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, []).append(future)
        try:
            await self._look([task_id])
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return
        finally:
            self._leave(task_id, future)

    def _leave(self, task_id: TaskId, future: asyncio.Future[None]) -> None:
        others = [waiter for waiter in self._waiting.get(task_id, ()) if waiter is not future]
        if others:
            self._waiting[task_id] = others
        else:
            self._waiting.pop(task_id, None)

    async def _watch(self) -> None:
        with self._ticks.subscribe() as ticks:
            if self._waiting:  # after a failure: what was said meanwhile is not heard again
                await self._look(list(self._waiting))
            while True:
                await ticks.get()
                while not ticks.empty():
                    ticks.get_nowait()
                if self._waiting:
                    await self._look(list(self._waiting))

    async def _look(self, task_ids: list[TaskId]) -> None:
        async with self._pool.acquire() as connection:
            pending = {row["id"] for row in await connection.fetch(_STILL_PENDING, task_ids)}
        self._release([task_id for task_id in task_ids if task_id not in pending])

    def _release(self, task_ids: list[TaskId]) -> None:
        for task_id in task_ids:
            for future in self._waiting.get(task_id, ()):
                if not future.done():
                    future.set_result(None)
