"""Places for open event streams: how many a caller may take, and that a stream ends with the right to it."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import structlog

from app.access.roles import Caller
from app.engine.types import PoolId
from app.errors import Overloaded, Unauthenticated, Unavailable
from app.messages.message import Message, say
from app.services.accounts.callers import Callers
from app.services.common.loops import Loops
from app.telemetry import metrics

log = structlog.get_logger()

CHECK_SECONDS = 0.5
"""Time between two looks at the callers of open streams; with the second that `Callers` remembers, under 2 s."""
_CHECK_PATIENCE = 5.0
_LATER = 10


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Most streams that one caller, and one address, may have open in this process."""

    per_caller: int
    per_address: int


@dataclass(eq=False, slots=True)
class Watcher:
    """An open stream of a pool: whose it is, and whether it must end."""

    pool_id: PoolId
    caller: Caller
    credentials: str | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def owner(self) -> tuple[int | None, str]:
        """Whose place it takes: a user's, an API key's, or the local administrator's."""
        return self.caller.user_id, self.caller.name


class StreamPlaces:
    """The open streams of this process, in order of coming."""

    def __init__(self, callers: Callers, limits: StreamLimits) -> None:
        self._callers = callers
        self._limits = limits
        self._watchers: dict[Watcher, None] = {}
        self._closing = False
        self._loops = Loops()

    def start(self) -> None:
        """Begin to look whether the callers of open streams may still watch."""
        self._loops.start("streams", self._check_soon, pause=CHECK_SECONDS)

    def stop(self) -> None:
        """End all streams, and stop looking."""
        self.end_all()
        self._loops.cancel()

    def end_all(self) -> None:
        """End all streams, and each that comes later."""
        self._closing = True
        for watcher in self._watchers:
            watcher.ended.set()

    def take(self, watcher: Watcher, *, most: int) -> None:
        """Take one of `most` places; `leave` gives it back.

        Where all are taken, the caller with the most streams loses its oldest, if it then still has as many as the
        newcomer. Raises Overloaded at the limit of the caller or its address, Unavailable where no place can be had.
        """
        owned = Counter(each.owner for each in self._watchers)
        if owned[watcher.owner] >= self._limits.per_caller:
            raise _too_many(
                say(
                    "You have {count} event streams open here: close one, or let an admin raise"
                    " EVENT_STREAMS_PER_CALLER.",
                    count=self._limits.per_caller,
                )
            )
        address = watcher.caller.address
        if sum(each.caller.address == address for each in self._watchers) >= self._limits.per_address:
            raise _too_many(
                say(
                    "Your address has {count} event streams open here: close one, or let an admin raise"
                    " EVENT_STREAMS_PER_ADDRESS.",
                    count=self._limits.per_address,
                )
            )
        if len(self._watchers) >= most:
            self._make_room(owned, watcher, most)
        self._watchers[watcher] = None
        metrics.event_watchers.inc()
        if self._closing:
            watcher.ended.set()

    def _make_room(self, owned: Counter[tuple[int | None, str]], coming: Watcher, most: int) -> None:
        owner, count = max(owned.items(), key=lambda each: each[1], default=(coming.owner, 0))
        if count <= owned[coming.owner] + 1:
            raise Unavailable(
                say("{most} watch already; read /v1/distribution/overview instead.", most=most),
                retry_after=_LATER,
            )
        oldest = next(each for each in self._watchers if each.owner == owner)
        oldest.ended.set()
        self.leave(oldest)
        log.info("events.oldest_ended", caller=oldest.caller.name, streams=count)

    def leave(self, watcher: Watcher) -> None:
        """Give the place back; a second time does nothing."""
        if watcher in self._watchers:
            del self._watchers[watcher]
            metrics.event_watchers.dec()

    async def _check_soon(self) -> None:
        async with asyncio.timeout(_CHECK_PATIENCE):
            await self.check()

    async def check(self) -> None:
        """End the streams whose callers may watch their pool no more. Each credential is looked up once."""
        found: dict[str, Caller | None] = {}
        for watcher in list(self._watchers):
            if watcher.credentials is None:  # the local administrator has none that could end
                continue
            if watcher.credentials not in found:
                found[watcher.credentials] = await self._caller(watcher.credentials)
            caller = found[watcher.credentials]
            if caller is None or not (caller.may("events.read") and caller.sees(watcher.pool_id)):
                watcher.ended.set()

    async def _caller(self, credentials: str) -> Caller | None:
        try:
            return await self._callers.find(credentials)
        except Unauthenticated:
            return None


def _too_many(detail: Message) -> Overloaded:
    return Overloaded(detail, retry_after=_LATER)
