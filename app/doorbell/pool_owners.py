"""Which worker serves which pool: reported with commits, valid for a moment.

A pool's batches are serial, so two workers at one pool only make each other read what the other wrote; and a batch
costs about as much whether it holds ten tasks or a hundred, so workers that share out the work get less of it done than
one that has time for all. So the worker that served a pool last goes on with it, workers that have time to spare put
their pools together, and one that has too much to do is relieved of a pool by one that has time, where there are
processors for it. This is advice and never a lock: a worker that dies or hangs says nothing more, and after a moment
anybody may take its pools.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.engine.types import PoolId

HOT_SECONDS = 1.0
"""How long a commit is believed to be followed by another one of the same worker."""
_STRAINED = 0.7
_TOGETHER = 0.5
"""Shares of a core: a worker that uses the first is overloaded; workers that use less than the second together become
one. What lies between keeps a pool from wandering back and forth."""
LATE_SECONDS = 1.0
"""A worker whose tasks wait longer has too much to do as well, whatever keeps it."""
_AGAIN_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """Load report of a worker, published with a batch: its share of a core, and whether its tasks wait long.

    A worker that `is_new` to a pool is not late there: tasks waited until now for another worker.
    """

    worker: str
    share: float = 0.0
    is_late: bool = False
    is_new: bool = False


@dataclass(slots=True)
class _Worker:
    told: WorkerReport
    until: float
    pools: int = 0

    @property
    def is_strained(self) -> bool:
        return self.told.is_late or self.told.share > _STRAINED


_NOBODY = _Worker(WorkerReport(""), 0.0)


class Serving:
    """The owners of pools as one process knows them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[PoolId, tuple[WorkerReport, float]] = {}

    def note(self, pool_id: PoolId, told: WorkerReport) -> None:
        """Learn that this worker has just committed a batch of this pool."""
        self._last[pool_id] = (told, self._clock() + HOT_SECONDS)

    def heard(self, said: Mapping[str, Any]) -> None:
        """Learn it from what is said on the channel `statements.SERVING_CHANNEL`."""
        if "by" in said:
            self.note(
                PoolId(said["pool"]),
                WorkerReport(said["by"], said.get("share", 0.0), said.get("late", False)),
            )

    def knows(self, pool_id: PoolId, me: str) -> bool:
        """Whether everybody has just heard that I serve this pool, and needs not be told again."""
        told, until = self._last.get(pool_id, (None, 0.0))
        return told is not None and told.worker == me and self._clock() < until - HOT_SECONDS + _AGAIN_SECONDS

    def pass_to(self, pool_id: PoolId, worker: str) -> None:
        """From now on this worker serves the pool: believed for as long as it has said something itself, no longer."""
        known = self._workers().get(worker)
        self._last[pool_id] = (known.told, known.until) if known else (WorkerReport(worker), 0.0)

    def receive(self, pool_id: PoolId, me: str) -> None:
        """Note that this worker serves the pool from now on; others learn it with the next report."""
        self._last[pool_id] = (WorkerReport(me, is_new=True), 0.0)

    def is_new(self, pool_id: PoolId, me: str) -> bool:
        """Whether I have not served this pool yet, or since it was another's."""
        told, _ = self._last.get(pool_id, (None, 0.0))
        return told is None or told.worker != me or told.is_new

    def forget(self, pool_id: PoolId) -> None:
        """Forget the owner of this pool: it has gone."""
        self._last.pop(pool_id, None)

    def of(self, pool_id: PoolId) -> str | None:
        """The worker that served this pool last, however long ago, and has its snapshot; None if there was none."""
        told, _ = self._last.get(pool_id, (None, 0.0))
        return told.worker if told else None

    def leaves(self, pool_id: PoolId, me: str) -> bool:
        """Whether to leave the pool to another worker that serves it at present."""
        told, until = self._last.get(pool_id, (None, 0.0))
        return told is not None and told.worker != me and self._clock() < until

    def to_relieve(self, me: str, share: float) -> set[PoolId]:
        """The pools of workers who have too much to do and serve more pools than I would with one more.

        `share` is what I use of a core.
        """
        workers = self._workers()
        mine = workers.pop(me, _NOBODY).pools
        them = {name for name, other in workers.items() if other.is_strained and other.pools > mine + 1}
        if share > _TOGETHER or not them:
            return set()
        return {pool_id for pool_id, (told, _) in self._last.items() if told.worker in them}

    def heir(self, me: str, share: float) -> str | None:
        """The worker that takes this one's pools where one is enough: it serves more, or as many under a greater name.

        Nobody gives to who is late, unless they are late themselves: that is then one and the same machine.
        """
        workers = self._workers()
        mine = workers.pop(me, _NOBODY)
        able = [
            (other.pools, name)
            for name, other in workers.items()
            if (other.pools, name) > (mine.pools, me)
            and other.told.share + share <= _TOGETHER
            and (mine.told.is_late or not other.told.is_late)
        ]
        return max(able)[1] if able else None

    def _workers(self) -> dict[str, _Worker]:
        now = self._clock()
        workers: dict[str, _Worker] = {}
        for told, until in self._last.values():
            if now < until:
                worker = workers.setdefault(told.worker, _Worker(told, until))
                worker.pools += 1
                if until >= worker.until:
                    worker.told, worker.until = told, until
        return workers
