"""How often an address may try: a bucket of tries that fills again, for a bounded number of addresses."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.errors import Invalid, Overloaded, Unauthenticated
from app.messages.message import say
from app.telemetry.metrics import sign_in_failures_total

_MOST_WAITING = 200
"""Tries of one key that wait for the outcome of others; more are told to come back."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    under_way: int = 0
    waiting: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Throttle:
    """`burst` tries at once, then `per_minute`; forgets the address that was longest away where there are too many."""

    def __init__(self, *, burst: int, per_minute: float, most: int = 20_000) -> None:
        self._burst = float(burst)
        self._per_second = per_minute / 60
        self._most = most
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float | None = None) -> None:
        """Use one try. Raises Overloaded where none is left."""
        bucket = self._filled(key, time.monotonic() if now is None else now)
        if bucket.left < 1:
            raise self._refusal(bucket)
        bucket.left -= 1

    def _filled(self, key: str, now: float) -> _Bucket:
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        self._buckets[key] = bucket
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket

    def _refusal(self, bucket: _Bucket) -> Overloaded:
        wait = int((1 - bucket.left) / self._per_second) + 1
        return Overloaded(say("Too many failed tries from this address; come back later."), retry_after=wait)

    @asynccontextmanager
    async def attempt(self, key: str) -> AsyncIterator[None]:
        """Within, one try is made; it counts only if it ends with Unauthenticated or Invalid.

        While as many are under way as may still fail, the next waits for how they end, so that right ones at once are
        never refused and wrong ones at once are no more than one after the other. Raises Overloaded where none is left.
        """
        bucket = self._filled(key, time.monotonic())
        while bucket.left >= 1 and bucket.left - bucket.under_way < 1:
            await self._wait(bucket)
            bucket = self._filled(key, time.monotonic())
        if bucket.left < 1:
            raise self._refusal(bucket)
        bucket.under_way += 1
        try:
            yield
        except (Unauthenticated, Invalid):
            bucket.left -= 1
            sign_in_failures_total.inc()
            raise
        finally:
            bucket.under_way -= 1
            ended, bucket.ended = bucket.ended, asyncio.Event()
            ended.set()

    async def _wait(self, bucket: _Bucket) -> None:
        if bucket.waiting >= _MOST_WAITING:
            raise Overloaded(
                say("Too many sign-ins at once from this address; come back in a moment."), retry_after=2
            )
        bucket.waiting += 1
        try:
            await bucket.ended.wait()
        finally:
            bucket.waiting -= 1
