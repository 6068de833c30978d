"""Background loops: each goes on after any failure, and a failure in one pool delays no other.

`Loops` repeats steps for as long as a process lives; `Parts` does one thing for each of several pools or receivers.
Both log a failure with its traceback, count it, wait longer each time, and keep what `unwell` tells: which loops of
this process keep failing, or have not got round for longer than they should.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import structlog

from app.telemetry.metrics import loop_failures_total
from app.utils.trouble import Trouble, says, trouble_of

log = structlog.get_logger()

LATE_SECONDS = 60.0
"""A loop that has not got round for so long is late, unless it says otherwise."""
KEEPS_FAILING = 3
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_LONGEST_TROUBLE = 1.0
"""A server that was gone may be back any moment: waiting longer for it would delay everything then."""

Step = Callable[[], Awaitable[object]]
Part = TypeVar("Part", bound=Hashable)


@dataclass(slots=True)
class Health:
    """How a loop is, or one part of it; instants are of the monotonic clock, in seconds."""

    loop: str
    part: str
    late_after: float
    well_at: float
    failures: int = 0
    error: str = ""
    rests_until: float = 0.0

    def is_unwell(self, now: float) -> bool:
        """Whether it keeps failing, or has not got round in time."""
        return self.failures >= KEEPS_FAILING or now - self.well_at > self.late_after

    def went_well(self) -> None:
        """Note a round that ended well."""
        if self.failures:
            log.info("loop.recovered", loop=self.loop, part=self.part, failures=self.failures)
        self.failures, self.error, self.rests_until = 0, "", 0.0
        self.well_at = time.monotonic()

    def failed(self, error: BaseException) -> float:
        """Note a round that failed; returns how long to rest, in seconds. Logs the 1st, 2nd, 4th, 8th, ... of a row."""
        self.failures += 1
        self.error = f"{type(error).__name__}: {says(error)}"[:1000]
        trouble = trouble_of(error)
        known = trouble in (Trouble.GONE, Trouble.CONFLICT, Trouble.FULL)
        loop_failures_total.labels(self.loop).inc()
        if self.failures & (self.failures - 1) == 0:
            tell = log.warning if known else log.error
            tell(
                "loop.failed",
                loop=self.loop,
                part=self.part,
                failures=self.failures,
                error=self.error,
                exc_info=None if known else error,
            )
        longest = _LONGEST_TROUBLE if known else _LONGEST_PAUSE
        rest = min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 20), longest)
        self.rests_until = time.monotonic() + rest
        return rest


class _Watched:
    """Whatever has health to tell."""

    def __init__(self) -> None:
        self._health: dict[Hashable, Health] = {}
        _ALL.add(self)

    def health(self) -> list[Health]:
        """How everything here is."""
        return list(self._health.values())


_ALL: "WeakSet[_Watched]" = WeakSet()


def unwell() -> list[Health]:
    """The loops of this process, and parts of them, that keep failing or are late."""
    now = time.monotonic()
    return [health for watched in list(_ALL) for health in watched.health() if health.is_unwell(now)]


class Loops(_Watched):
    """Repeats steps until `stop`; nothing but `stop` ends one."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(
        self,
        name: str,
        step: Step,
        *,
        part: str = "",
        pause: float | Callable[[], float] = 0.0,
        late_after: float = LATE_SECONDS,
    ) -> asyncio.Task[None]:
        """Repeat `step`, with `pause` seconds between its rounds.

        `late_after` says how many seconds a round may take with its pause; infinite for a step that waits for an
        event which may never come.
        """
        health = Health(name, part, late_after, time.monotonic())
        self._health[name, part] = health
        task = asyncio.create_task(self._repeat(step, health, pause))
        self._tasks = [each for each in self._tasks if not each.done()] + [task]
        return task

    async def finish(self) -> None:
        """End all loops after the rounds at hand."""
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._health.clear()

    async def stop(self) -> None:
        """End all loops where they wait next; what a step has begun is cancelled."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cancel(self) -> None:
        """The same without waiting for their ends."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        self._health.clear()

    async def _repeat(self, step: Step, health: Health, pause: float | Callable[[], float]) -> None:
        # Cancelling alone does not end a loop: Python 3.11's wait_for, inside redis-py, may swallow it.
        while not self._stopping.is_set():
            rest = pause() if callable(pause) else pause
            try:
                await step()
            except asyncio.CancelledError as error:
                if self._stopping.is_set() or _is_cancelled():
                    raise
                rest = max(
                    rest, health.failed(error)
                )  # of something that the step waited for, not of this loop
            except Exception as error:  # noqa: BLE001 - logged with its traceback; the loop goes on
                rest = max(rest, health.failed(error))
            else:
                health.went_well()
            await self._rest(rest)

    async def _rest(self, seconds: float) -> None:
        if not seconds:
            await asyncio.sleep(0)  # a step that never waits must not keep everything else from its turn
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Parts(_Watched):
    """One thing done for each of several pools or receivers: where it fails for one, the others have their turn."""

    def __init__(self, loop: str, *, late_after: float = float("inf")) -> None:
        super().__init__()
        self._loop = loop
        self._late_after = late_after

    async def each(self, parts: Iterable[Part], work: Callable[[Part], Awaitable[object]]) -> None:
        """Do `work` for each part in turn; one that failed rests, longer each time. What is not listed is forgotten."""
        listed = list(parts)
        for part in set(self._health) - set(listed):
            del self._health[part]
        for part in listed:
            await self.attempt(part, partial(work, part))

    async def attempt(self, part: Hashable, work: Step) -> bool:
        """Do `work` for one part unless it rests; returns whether it was done and went well."""
        health = self._health.get(part)
        if health is None:
            health = self._health[part] = Health(self._loop, str(part), self._late_after, time.monotonic())
        if time.monotonic() < health.rests_until:
            return False
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - logged with its traceback; the next part has its turn
            health.failed(error)
            return False
        health.went_well()
        return True
