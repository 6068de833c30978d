"""Which pools a worker serves: decided from its own load and from what other workers report (`pool_owners`).

Once a second at most; in between a pool stays where it is.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from app.doorbell.pool_owners import Serving, WorkerReport
from app.engine.types import PoolId

log = structlog.get_logger(__name__)

_APART_SECONDS = 60.0
"""Seconds for which a worker keeps pools taken from a busy one, so that they do not move to and fro."""
_DECIDE_SECONDS = 0.9
_SAMPLE_SECONDS = 0.5


class CoreShare:
    """The share of a core that this process uses: a mean of some seconds, recent ones counting most."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ):
        self._clock, self._used = clock, used
        self._at, self._before = clock(), used()
        self._share = 0.0

    def now(self) -> float:
        """The share as of now; measured anew twice a second at most."""
        seconds = self._clock() - self._at
        if seconds >= _SAMPLE_SECONDS:
            used = self._used()
            weight = min(1.0, seconds / (4 * _SAMPLE_SECONDS))
            self._share += weight * ((used - self._before) / seconds - self._share)
            self._at, self._before = self._at + seconds, used
        return self._share


class Machine:
    """Whether this machine has processor time to spare: where all of it is used, one more process only divides it.

    `spare` is how many cores must be idle; 0 where its figures say nothing of this process, which has a quota.
    """

    def __init__(
        self, spare: float, file: Path = Path("/proc/stat"), cores: int = os.cpu_count() or 1
    ) -> None:
        self._spare, self._file, self._cores = spare, file, cores
        self._before = self._read()

    def has_time(self) -> bool:
        """Whether `spare` cores or more were idle since the last look; where nobody can tell, they were."""
        (idle, whole), self._before = self._before, self._read()
        idle, whole = self._before[0] - idle, self._before[1] - whole
        return whole <= 0 or idle / whole * self._cores >= self._spare

    def _read(self) -> tuple[float, float]:
        """Idle and whole time of all processors so far (proc(5): user, nice, system, idle, iowait, ...)."""
        try:
            times = [float(each) for each in self._file.read_text().partition("\n")[0].split()[1:9]]
        except (OSError, ValueError):
            return 0.0, 0.0
        return sum(times[3:5]), sum(times)


class Sharing:
    """One worker's part in it."""

    def __init__(
        self,
        serving: Serving,
        me: str,
        machine: Machine,
        share: CoreShare | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._serving, self._me, self._clock = serving, me, clock
        self._share, self._machine = share or CoreShare(), machine
        self._random = random.Random()  # noqa: S311 - spreads those who relieve, decides no task
        self._heir: str | None = None
        self._relieved: PoolId | None = None
        self._relieved_at = self._decided_at = -_APART_SECONDS
        self._waited: set[PoolId] = set()
        self._strained: set[PoolId] = set()

    def look(self, waiting: set[PoolId]) -> set[PoolId]:
        """The pools to serve of those where tasks wait that were not rung for, or not yet heard of.

        These are mine and nobody's, those to whom nobody came since the last look, and one of a worker that has too
        much to do: one at a time, for what that changes shows later.
        """
        if self._clock() - self._decided_at >= _DECIDE_SECONDS:
            self._decided_at = self._clock()
            self._decide(waiting)
        found = {pool_id for pool_id in waiting if not self.leaves(pool_id)}
        due = {pool_id for pool_id in found if self._serving.of(pool_id) in (None, self._me)}
        due |= found & self._waited
        self._waited = waiting
        return due if self._relieved is None else due | {self._relieved}

    def _decide(self, waiting: set[PoolId]) -> None:
        share, rested = self._share.now(), self._clock() - self._relieved_at > _APART_SECONDS
        self._heir = self._serving.heir(self._me, share) if rested else None
        # A worker that has just begun, or has just been thawed, is late once; who has too much to do stays so.
        before, self._strained = self._strained, self._serving.to_relieve(self._me, share)
        strained = sorted(waiting & before & self._strained)
        self._relieved = self._random.choice(strained) if self._machine.has_time() and strained else None
        if self._relieved is not None:
            self._relieved_at = self._clock()
            log.info("pool.relieved", pool=self._relieved, of=self._serving.of(self._relieved), by=self._me)

    def leaves(self, pool_id: PoolId) -> bool:
        """Whether another worker serves this pool at present and may go on."""
        return pool_id != self._relieved and self._serving.leaves(pool_id, self._me)

    def heir(self, pool_id: PoolId, *, rung: bool) -> str | None:
        """The worker that goes on with this pool where one worker is enough for all pools."""
        is_mine = rung or self._serving.of(pool_id) == self._me
        return self._heir if is_mine and pool_id != self._relieved else None

    def news(self, pool_id: PoolId) -> WorkerReport | None:
        """The load report to publish with a batch; None if the same was published a moment ago."""
        if self._serving.knows(pool_id, self._me):
            return None
        return WorkerReport(self._me, self._share.now(), is_new=self._serving.is_new(pool_id, self._me))
