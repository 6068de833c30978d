"""The doorbell: says which pool has work, and carries nothing that could be lost.

Redis Streams with one consumer group, or silence where there is no Redis; workers sweep PostgreSQL either way, so a
lost ring costs a moment and never a task. An entry is removed as soon as it is acknowledged: the stream's length is
what no worker has answered yet. A pool is rung at the worker that served it last (`pool_owners`), by PUBLISH,
and in the stream where no worker hears that. Traps designed around: the group is created at 0 (a group at `$`
skips what came before), no MAXLEN (it trims pending entries), entries of dead consumers are claimed by idle
time, a consumer leaves with its process.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from app.doorbell.pool_owners import Serving
from app.engine.types import PoolId
from app.integrations.redis_address import open_redis
from app.telemetry import metrics
from app.utils.trouble import trouble_of

STREAM = "executor-balancer:doorbell"
GROUP = "workers"
_LONGEST_ID = 18
"""Digits of a pool's id that PostgreSQL can compare."""
_FIELD = b"p"
_ABANDONED_MS = 3_600_000
_CLOSE_SECONDS = 2.0
_ASK_SECONDS = 0.2
"""The sweep must not wait for a Redis that hangs: it is what finds work then."""
_HEALTH_SECONDS = 10
"""How often a connection that says nothing is asked whether it is still one."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring: the stream entry, to be acknowledged when the pool's work is committed; none of one's own rings.

    `is_given`: somebody handed the pool over.
    """

    entry: bytes | None
    pool_id: PoolId
    is_given: bool = False


class Doorbell(Protocol):
    """The doorbell as producers and workers use it; both implementations pass one conformance suite."""

    serving: Serving

    @property
    def hears(self) -> bool:
        """Whether rings are heard as far as is known without asking; where not, workers sweep more often."""

    def ring(self, pool_id: PoolId) -> None:
        """Say that this pool has work. Returns at once, never raises; call it after the commit."""

    async def listen(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """Wait up to `seconds` for rings. Never raises for a doorbell that is down: it is quiet then."""

    async def listen_to_own(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """Wait up to `seconds` for rings of pools that this consumer serves. Never raises either."""

    async def hand_over(self, pool_id: PoolId, to: str) -> bool:
        """Ask another consumer to serve this pool from now on; False where they don't hear it."""

    async def forget_gone(self, pools: Iterable[PoolId], me: str) -> None:
        """Stop believing that these pools are served by workers who are no longer there."""

    async def claim(self, consumer: str, idle_seconds: float) -> Sequence[Ring]:
        """Take over rings that another consumer took and has not acknowledged for this long."""

    async def acknowledge(self, rings: Iterable[Ring]) -> None:
        """Forget rings whose work is committed."""

    async def leave(self, consumer: str) -> None:
        """The consumer ends: what it left unanswered is rung again for the others."""

    async def healthy(self) -> bool:
        """Whether rings are heard now."""

    async def close(self) -> None:
        """Ring what is still to be rung, then disconnect."""


class SilentDoorbell:
    """No Redis: workers find their work by sweeping alone."""

    def __init__(self) -> None:
        self.serving = Serving()

    @property
    def hears(self) -> bool:
        """Never."""
        return False

    def ring(self, pool_id: PoolId) -> None:
        """Does nothing: workers find the work by their sweep."""

    async def listen(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """Quiet for the whole time."""
        await asyncio.sleep(seconds)
        return ()

    async def listen_to_own(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """As quiet."""
        await asyncio.sleep(seconds)
        return ()

    async def hand_over(self, pool_id: PoolId, to: str) -> bool:
        """Does nothing."""
        return False

    async def forget_gone(self, pools: Iterable[PoolId], me: str) -> None:
        """Does nothing: without Redis, reports of owners come with commits only."""

    async def claim(self, consumer: str, idle_seconds: float) -> Sequence[Ring]:
        """There is nothing to take over."""
        return ()

    async def acknowledge(self, rings: Iterable[Ring]) -> None:
        """There is nothing to forget."""

    async def leave(self, consumer: str) -> None:
        """There is nobody to tell."""

    async def healthy(self) -> bool:
        """Silence is this doorbell's health."""
        return True

    async def close(self) -> None:
        """There is nothing to close."""


class RedisDoorbell:
    """Rings go out from a background task, one pipeline for all that came meanwhile: no request waits for Redis."""

    def __init__(self, url: str, *, stream: str = STREAM) -> None:
        self._redis = open_redis(
            url,
            key=stream,
            socket_timeout=5.0,
            socket_connect_timeout=1.0,
            socket_keepalive=True,
            health_check_interval=_HEALTH_SECONDS,
            protocol=2,
        )
        self._stream = stream
        self.serving = Serving()
        self._own: Any = None  # redis-py types half of its PubSub
        self._waiting: set[PoolId] = set()
        self._something = asyncio.Event()
        self._ringer: asyncio.Task[None] | None = None
        self._closed = False
        self._down = False
        self._is_refused = False

    @property
    def hears(self) -> bool:
        """Whether the last answer of Redis was one."""
        return not self._down

    def ring(self, pool_id: PoolId) -> None:
        """Say that this pool has work; rings of the same moment become one."""
        self._waiting.add(pool_id)
        self._something.set()
        if self._ringer is None or self._ringer.done():
            self._ringer = asyncio.get_running_loop().create_task(self._ring_forever())

    async def _ring_forever(self) -> None:
        while not self._closed:  # cancelling is not enough: Python 3.11's wait_for may swallow it
            await self._something.wait()
            await self._ring_waiting()

    async def _ring_waiting(self) -> None:
        pools, self._waiting = self._waiting, set()
        self._something.clear()
        if not pools:
            return
        try:
            unheard = await self._ring_those_who_serve(pools)
            if unheard:
                pipeline = self._redis.pipeline(transaction=False)
                for pool_id in unheard:
                    pipeline.xadd(self._stream, {_FIELD: str(pool_id)})
                await pipeline.execute()
            self._heard()
        except Exception as error:
            if trouble_of(error) is None:
                log.exception("doorbell.broke", pools=sorted(pools))
            self._unheard(error)  # the sweep finds the work

    async def _ring_those_who_serve(self, pools: set[PoolId]) -> set[PoolId]:
        """The pools that nobody serves, or whose worker has gone."""
        served = [(pool_id, worker) for pool_id in pools if (worker := self.serving.of(pool_id))]
        if not served:
            return pools
        pipeline = self._redis.pipeline(transaction=False)
        for pool_id, worker in served:
            pipeline.publish(self._channel(worker), str(pool_id))
        hearers = await pipeline.execute()
        gone = {pool_id for (pool_id, _), heard in zip(served, hearers, strict=True) if not heard}
        for pool_id in gone:
            self.serving.forget(pool_id)
        return pools - {pool_id for pool_id, _ in served} | gone

    def _channel(self, consumer: str) -> str:
        return f"{self._stream}:{consumer}"

    def _heirs_channel(self, consumer: str) -> str:
        return f"{self._channel(consumer)}:heir"

    async def listen_to_own(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """Hear what is published for this consumer."""
        try:
            if self._own is None:
                self._own = self._redis.pubsub(ignore_subscribe_messages=True)
                await self._own.subscribe(self._channel(consumer), self._heirs_channel(consumer))
            said = await self._own.get_message(timeout=seconds)
        except (RedisError, OSError) as error:
            self._unheard(error)
            await self._stop_own()
            await asyncio.sleep(min(seconds, 0.2))
            return ()
        if not said:
            return ()
        is_given = said["channel"] == self._heirs_channel(consumer).encode()
        ring = Ring(None, PoolId(_pool_of({_FIELD: said["data"]})), is_given)
        if is_given:
            self.serving.receive(ring.pool_id, consumer)
        return [ring]

    async def hand_over(self, pool_id: PoolId, to: str) -> bool:
        """Publish it on the channel that says so; one that hangs hears it too, and loses it as it would a ring."""
        if self._down:
            return False
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                heard = await self._redis.publish(self._heirs_channel(to), str(pool_id))
        except (RedisError, OSError) as error:
            self._unheard(error)
            return False
        if heard:
            self.serving.pass_to(pool_id, to)
        return bool(heard)

    async def _stop_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            with contextlib.suppress(RedisError, OSError):
                await own.aclose()

    async def listen(self, consumer: str, seconds: float) -> Sequence[Ring]:
        """Read new rings, at most 1,000."""
        try:
            answer = await self._redis.xreadgroup(
                GROUP, consumer, {self._stream: ">"}, count=1000, block=max(1, int(seconds * 1000))
            )
            self._heard()
        except ResponseError as error:
            await self._mend(error, seconds)
            return ()
        except (RedisError, OSError) as error:
            self._unheard(error)
            await asyncio.sleep(min(seconds, 0.2))
            return ()
        return _all_rings(answer)

    async def _mend(self, error: ResponseError, seconds: float) -> None:
        if "NOGROUP" not in str(error):
            self._unheard(error)
            await asyncio.sleep(min(seconds, 0.2))
            return
        with contextlib.suppress(RedisError, OSError):  # BUSYGROUP: another worker was quicker
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)

    async def forget_gone(self, pools: Iterable[PoolId], me: str) -> None:
        """A worker that is there hears its channel; one that hangs does too, and says nothing more."""
        served = {
            pool_id: worker for pool_id in pools if (worker := self.serving.of(pool_id)) not in (None, me)
        }
        if not served or self._down:
            return
        channels = {self._channel(str(worker)) for worker in served.values()}
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                answer = await self._redis.pubsub_numsub(*channels)
        except (RedisError, OSError) as error:
            self._unheard(error)
            return
        hearers = dict(answer)
        for pool_id, worker in served.items():
            if not hearers.get(self._channel(str(worker)).encode()):
                self.serving.forget(pool_id)

    async def claim(self, consumer: str, idle_seconds: float) -> Sequence[Ring]:
        """Take over at most 1,000 rings by XAUTOCLAIM; also drop consumers that are long gone."""
        try:
            answer = await self._redis.xautoclaim(
                self._stream,
                GROUP,
                consumer,
                min_idle_time=int(idle_seconds * 1000),
                start_id="0",
                count=1000,
            )
            await self._drop_abandoned()
        except (RedisError, OSError):
            return ()
        return _rings(answer[1])

    async def _drop_abandoned(self) -> None:
        for member in await self._redis.xinfo_consumers(self._stream, GROUP):
            if member["pending"] == 0 and member["idle"] > _ABANDONED_MS:
                await self._redis.xgroup_delconsumer(self._stream, GROUP, member["name"])

    async def acknowledge(self, rings: Iterable[Ring]) -> None:
        """Acknowledge and delete; a failure only means that somebody looks once more."""
        entries = [ring.entry for ring in rings if ring.entry is not None]
        if not entries:
            return
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xack(self._stream, GROUP, *entries)
        pipeline.xdel(self._stream, *entries)
        with contextlib.suppress(RedisError, OSError):
            await pipeline.execute()

    async def leave(self, consumer: str) -> None:
        """Hear nothing more, ring again what this consumer left, then remove it from the group."""
        await self._stop_own()
        with contextlib.suppress(RedisError, OSError):
            left = await self._redis.xreadgroup(GROUP, consumer, {self._stream: "0"}, count=1000)
            rings = _all_rings(left)
            for pool_id in {ring.pool_id for ring in rings}:
                await self._redis.xadd(self._stream, {_FIELD: str(pool_id)})
            await self.acknowledge(rings)
            await self._redis.xgroup_delconsumer(self._stream, GROUP, consumer)

    async def healthy(self) -> bool:
        """Whether Redis answers within a second, and has not just refused to ring (an ACL user without the right)."""
        try:
            async with asyncio.timeout(1.0):
                return bool(await self._redis.ping()) and not self._is_refused
        except NoPermissionError:
            return not self._is_refused
        except (RedisError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Ring what is still to be rung, then disconnect; a Redis that hangs is given up soon."""
        self._closed = True
        self._something.set()
        if self._ringer is not None:
            _, hanging = await asyncio.wait([self._ringer], timeout=_CLOSE_SECONDS)
            for ringer in hanging:
                ringer.cancel()
        await self._stop_own()
        await self._redis.aclose()

    def _heard(self) -> None:
        self._is_refused = False
        metrics.doorbell_up.set(1)
        if self._down:
            self._down = False
            log.info("doorbell.back")

    def _unheard(self, error: Exception) -> None:
        self._is_refused = isinstance(error, NoPermissionError)
        if not self._down:
            self._down = True
            metrics.doorbell_up.set(0)
            metrics.doorbell_failures_total.inc()
            log.warning("doorbell.down", error=str(error), consequence="workers sweep PostgreSQL instead")


def _all_rings(answer: Any) -> list[Ring]:
    """The rings of an XREADGROUP answer, `[[stream, [[id, fields], ...]], ...]` in RESP 2."""
    return [ring for _, entries in answer or () for ring in _rings(entries)]


def _rings(entries: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Ring]:
    """Entries without a readable pool are answered at once: they ring for pool 0, which has no work."""
    return [Ring(entry, PoolId(_pool_of(fields))) for entry, fields in entries]


def _pool_of(fields: dict[bytes, bytes] | None) -> int:
    value = (fields or {}).get(_FIELD, b"0")
    return int(value) if value.isdigit() and len(value) <= _LONGEST_ID else 0


def open_doorbell(redis_url: str | None) -> Doorbell:
    """The doorbell of this process; connects when first used."""
    return RedisDoorbell(redis_url) if redis_url else SilentDoorbell()
