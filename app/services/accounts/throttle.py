"""How often an address may try: a bucket of tries that fills again, for a bounded number of addresses."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from app.errors import Overloaded


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


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
        now = time.monotonic() if now is None else now
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        self._buckets[key] = bucket
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        if bucket.left < 1:
            wait = int((1 - bucket.left) / self._per_second) + 1
            raise Overloaded("Too many failed tries from this address; come back later.", retry_after=wait)
        bucket.left -= 1

    def give_back(self, key: str) -> None:
        """A try that was right does not count."""
        if key in self._buckets:
            self._buckets[key].left += 1
