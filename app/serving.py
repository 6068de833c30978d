"""Who serves which pool just now: told by the commits themselves, believed for a moment.

A pool's batches are serial, so two workers at one pool only make each other read what the other wrote. Whoever served a
pool last goes on with it, others leave it alone; whoever serves fewer pools takes one from whoever serves more. This is
advice and never a lock: a worker that dies or hangs says nothing more, and after a moment anybody may take its pools.
"""

import time
from collections.abc import Callable

from app.engine.types import PoolId

HOT_SECONDS = 1.0
"""How long a commit is believed to be followed by another one of the same worker."""


class Serving:
    """What one process knows of who serves what."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[PoolId, tuple[str, float]] = {}

    def note(self, pool_id: PoolId, worker: str) -> None:
        """Learn that this worker has just committed a batch of this pool."""
        self._last[pool_id] = (worker, self._clock() + HOT_SECONDS)

    def forget(self, pool_id: PoolId) -> None:
        """Whoever was believed to serve this pool has gone."""
        self._last.pop(pool_id, None)

    def of(self, pool_id: PoolId) -> str | None:
        """Who serves this pool; None where nobody does."""
        worker, until = self._last.get(pool_id, ("", 0.0))
        return worker if worker and self._clock() < until else None

    def leaves(self, pool_id: PoolId, me: str) -> bool:
        """Whether to leave it to who serves it: they serve fewer others than I, or as few and their name is first."""
        other = self.of(pool_id)
        if other is None or other == me:
            return False
        return (self._others(other, pool_id), other) < (self._others(me, pool_id), me)

    def busy(self) -> int:
        """How many pools are served just now, by whomever."""
        now = self._clock()
        return sum(now < until for _, until in self._last.values())

    def workers(self) -> int:
        """How many workers serve these pools."""
        now = self._clock()
        return len({who for who, until in self._last.values() if now < until})

    def _others(self, worker: str, pool_id: PoolId) -> int:
        now = self._clock()
        return sum(
            who == worker and now < until and pool != pool_id for pool, (who, until) in self._last.items()
        )
