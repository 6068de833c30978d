"""Values that were read and are kept for a while, in a process that also learns when they have changed.

A read that was under way when its value was forgotten may have seen the state before: it serves the request that began
it and is not kept.
"""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MOST = 10_000


class Remembered(Generic[Key, Value]):
    """Values by key, each kept for `seconds` after it was read, or `rests` times as long as reading it took."""

    def __init__(self, seconds: float, *, rests: float = 0.0) -> None:
        self._seconds, self._rests = seconds, rests
        self._kept: dict[Key, tuple[float, Value]] = {}
        self._forgotten = 0

    async def get(self, key: Key, read: Callable[[], Awaitable[Value]]) -> Value:
        """Return the value that is kept, or read it; raises what `read` raises."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        forgotten, began = self._forgotten, time.monotonic()
        value = await read()
        if forgotten == self._forgotten:
            ended = time.monotonic()
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[key] = (ended + max(self._seconds, self._rests * (ended - began)), value)
        return value

    def clear(self) -> None:
        """Read everything anew; reads under way are not kept."""
        self.forget(lambda _key: True)

    def forget(self, of: Callable[[Key], bool]) -> None:
        """Read anew the values of these keys; reads under way are not kept, whatever their key."""
        self._forgotten += 1
        for key in [key for key in self._kept if of(key)]:
            del self._kept[key]
