"""The worker process: hears the doorbell, sweeps, and serves each pool that has work. Start any number of them.

`python app/worker.py` and `executor-balancer worker` are the same. SIGTERM: the batch at hand is committed, nothing
stays claimed, the process ends with 0.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # `python app/worker.py` puts app/ on the path, not the project
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __import__("app")  # refuses an old Python before anything needs a newer one

import structlog
from prometheus_client import start_http_server

from app.config import BadSettings, Settings, get_settings
from app.database import Database
from app.doorbell.balancing import Machine, Sharing
from app.doorbell.doorbell import Doorbell, Ring, open_doorbell
from app.engine.placement.snapshot import plain
from app.engine.types import AssignmentKind, PoolId, WaitReason
from app.local.own_secrets import with_secret
from app.services.audit.audit_anchors import open_anchors
from app.services.audit.audit_watch import AuditWatch
from app.services.common.loop_reports import REPORT_SECONDS, LoopReporter
from app.services.common.loops import Loops
from app.services.common.worker_reports import WorkerReporter
from app.services.delivery.delivery import Delivery
from app.services.fairness.closed_days import Books
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.live.listen import Listener
from app.services.placement import sql as statements
from app.services.placement.assignment import Batch, EpochMoved, Found, place_batch
from app.services.placement.poison import Attempts
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.setup.readiness import until_ready
from app.services.tasks.housekeeping import Housekeeper, end_hung
from app.telemetry import metrics
from app.telemetry.logs import configure_logging
from app.telemetry.tracing import follow, request_ids, start_tracing
from app.utils.failpoints import failpoint
from app.utils.trouble import Trouble, trouble_of

log = structlog.get_logger()

_BUSY_SECONDS = 0.02
_FIRST_BATCH = 128
_WATCH_REST = 0.8
"""Of `fairness_seconds`: whoever looks next finds pools rested, and others find that somebody has looked."""
_LAG_COUNTED = 100_000
_CLOSE_SECONDS = 60.0
_HUNG_LOOK_SECONDS = 1.0
_LONG_ROUND = 900.0
"""Seconds that a look at all pools may take where each of them has a day to solve."""
_COLLECT_AFTER = (20_000, 20, 50)
"""A batch of 1,000 makes tens of thousands of objects, few of them in circles."""
_FIRST = frozenset({AssignmentKind.PRIMARY, AssignmentKind.PARENT})
_METRICS_PORTS = 20
_WARM_POOLS = 50
"""Pools whose picture is read before their first task comes."""


@dataclass(slots=True)
class BatchPace:
    """How many tasks the next batch of a pool takes: as many as are decided and committed within `seconds`.

    Idle, a batch is whatever came; under load it grows as long as it stays short. A failure shrinks it: a batch too
    long for the transaction's time limit would otherwise fail the same way for ever.
    """

    most: int
    seconds: float
    size: int = _FIRST_BATCH

    def __post_init__(self) -> None:
        self.size = min(self.size, self.most)

    def succeeded(self, seconds: float, *, full: bool) -> None:
        """Note how long a batch took, and whether there was more to take."""
        if seconds > self.seconds:
            self.size = max(1, self.size // 2)
        elif full and seconds < self.seconds / 2:
            self.size = min(self.most, self.size * 2)

    def failed(self) -> None:
        """Note that a batch was rolled back."""
        self.size = max(1, self.size // 4)


@dataclass(slots=True)
class _Served:
    """A pool that this worker serves: its picture, the rings to answer, and whether its loop was started."""

    picture: PoolSnapshot
    pace: BatchPace
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    rings: list[Ring] = field(default_factory=list)
    is_served: bool = False


class Worker:
    """Serves all pools; within a pool one batch at a time, whoever decides it."""

    def __init__(self, settings: Settings, database: Database, doorbell: Doorbell) -> None:
        self._settings = settings
        self._database = database
        self._doorbell = doorbell
        self._consumer = f"{socket.gethostname()}-{os.getpid()}"
        self._attempts = Attempts(settings.direct_dsn)
        # Half the time after which a hung transaction loses its lock: a hung watch waits for none by then.
        self._watch = FairnessWatch(
            database,
            patience_seconds=settings.worker_transaction_seconds / 2,
            rest_seconds=_WATCH_REST * settings.fairness_seconds,
        )
        self._listener = Listener(settings.direct_dsn, {statements.SERVING_CHANNEL: self._told})
        self._served: dict[PoolId, _Served] = {}
        machine = Machine(settings.worker_spare_cores)
        self._sharing = Sharing(doorbell.serving, self._consumer, machine)
        self._audit = AuditWatch(database.hot, open_anchors(settings))
        self._books = Books(database)
        self._loops = Loops()
        self._serving = Loops()
        self._reporter = LoopReporter(database.hot, self._consumer)
        self._own_report = WorkerReporter(database.hot, self._attempts.execute, self._consumer)
        self._housekeeper = Housekeeper(database.hot, deliver=settings.ais_url is not None)
        self._stopping = asyncio.Event()
        self._jitter = random.Random()  # noqa: S311 - spreads retries, decides nothing

    def stop(self) -> None:
        """Finish the batches at hand, then end `run`."""
        self._stopping.set()
        for served in self._served.values():
            served.rung.set()

    async def run(self) -> None:
        """Work until `stop`."""
        log.info("worker.started", consumer=self._consumer, redis=self._settings.redis_url is not None)
        self._start_loops()
        self._listener.start()
        delivery = Delivery(self._settings, self._database)
        delivering = asyncio.create_task(delivery.run())
        await self._stopping.wait()
        delivery.stop()
        await self._loops.stop()
        await self._doorbell.leave(self._consumer)
        await self._serving.finish()
        await self._own_report.close()
        await self._attempts.close()
        await self._listener.stop()
        await delivering
        await self._reporter.close()
        log.info("worker.stopped", consumer=self._consumer)

    def _start_loops(self) -> None:
        settings, start = self._settings, self._loops.start
        start("listen", self._listen)
        start("listen_to_own", self._listen_to_own)
        start("claim", self._claim, pause=settings.worker_claim_seconds / 2)
        start("sweep", self._look_everywhere, pause=self._sweep_seconds)
        start("housekeeping", self._housekeeper.look, pause=self._sweep_seconds)
        # Beside the housekeeping, which may itself wait for what a hung process holds.
        start("hung_sessions", self._end_hung, pause=_HUNG_LOOK_SECONDS)
        if settings.fairness_seconds:
            start("fairness", self._look_at_fairness, pause=settings.fairness_seconds, late_after=_LONG_ROUND)
        start("closing_days", self._close_days, pause=_CLOSE_SECONDS, late_after=_LONG_ROUND)
        start("audit_log", self._watch_audit_log, pause=_CLOSE_SECONDS, late_after=_LONG_ROUND)
        start("report", self._reporter.report, pause=REPORT_SECONDS)
        start("own_report", self._own_report.report, pause=REPORT_SECONDS)

    async def _listen(self) -> None:
        await self._hear(await self._doorbell.listen(self._consumer, 1.0))

    async def _listen_to_own(self) -> None:
        await self._hear(await self._doorbell.listen_to_own(self._consumer, 1.0))

    async def _claim(self) -> None:
        await self._hear(await self._doorbell.claim(self._consumer, self._settings.worker_claim_seconds))

    def _told(self, said: Mapping[str, Any]) -> None:
        """What other workers, and this one, say of a pool."""
        self._doorbell.serving.heard(said)
        if "watched" in said:
            self._watch.heard(PoolId(said["pool"]), said["watched"])

    async def _look_at_fairness(self) -> None:
        """Measure how fair the pools are, raise alarms, settle what is owed."""
        await self._watch.look(await self._now())

    async def _end_hung(self) -> None:
        await end_hung(self._database.hot)

    async def _close_days(self) -> None:
        """Keep the figures of days that are over: the worker that comes first does."""
        await self._books.close(now=await self._now())

    async def _watch_audit_log(self) -> None:
        """Verify a part of the audit log, and anchor its head."""
        await self._audit.look()

    async def _now(self) -> datetime:
        """The database's clock: a worker whose own is wrong must not turn over anybody's day."""
        async with self._database.hot.acquire() as connection:
            now: datetime = await connection.fetchval(statements.NOW)
            return now

    @property
    def _sweep_seconds(self) -> float:
        settings = self._settings
        return (
            settings.worker_sweep_seconds if self._doorbell.hears else settings.worker_sweep_seconds_no_redis
        )

    async def _look_everywhere(self) -> None:
        """Find work that no ring announced; the only way there is without Redis, and the safety net with it."""
        async with self._database.hot.acquire() as connection:
            rows = await connection.fetch(statements.BACKLOG, _LAG_COUNTED)
        waiting = {PoolId(row["pool_id"]) for row in rows if row["lag"]}
        await self._doorbell.forget_gone(waiting, self._consumer)
        due = self._sharing.look(waiting)
        for row in rows:
            pool_id = PoolId(row["pool_id"])
            is_new = pool_id not in self._served and len(self._served) < _WARM_POOLS
            if is_new or pool_id in due:
                self._serve(pool_id)

    async def _hear(self, rings: Sequence[Ring]) -> None:
        if rings:
            failpoint("heard")
        left = [ring for ring in rings if self._sharing.leaves(ring.pool_id)]
        for ring in rings:
            if ring not in left:
                self._serve(ring.pool_id, ring)
        await self._pass_on(left)

    async def _pass_on(self, rings: Sequence[Ring]) -> None:
        """Ring again, at whoever serves these pools. Should that ring be lost, the sweep finds the work."""
        for pool_id in {ring.pool_id for ring in rings}:
            self._doorbell.ring(pool_id)
        await self._doorbell.acknowledge(rings)

    def _serve(self, pool_id: PoolId, ring: Ring | None = None) -> None:
        served = self._served.get(pool_id)
        if served is None:
            pace = BatchPace(self._settings.worker_batch, self._settings.worker_batch_seconds)
            served = self._served[pool_id] = _Served(PoolSnapshot(pool_id), pace)
        if ring is not None:
            served.rings.append(ring)
        served.rung.set()
        if not served.is_served and not self._stopping.is_set():
            served.is_served = True
            serve = partial(self._serve_round, served)
            self._serving.start("serve", serve, part=str(pool_id), late_after=float("inf"))

    async def _serve_round(self, served: _Served) -> None:
        """Wait for work of a pool and place it; after a failure the same rings are answered by the next round."""
        await served.rung.wait()
        if self._stopping.is_set():
            return
        served.rung.clear()
        rings, served.rings = served.rings, []
        try:
            await self._drain(served, rings)
        except BaseException:
            served.rings += rings
            served.rung.set()
            raise

    async def _drain(self, served: _Served, rings: list[Ring]) -> None:
        """Place batches until nothing is left to look at, then answer the rings that were heard before that look.

        `rings` holds those not yet answered, whatever happens.
        """
        while not self._stopping.is_set():
            rings += served.rings
            served.rings = []
            if self._sharing.leaves(served.picture.pool_id):
                await self._pass_on(rings)
                return
            if await self._hands_over(served.picture.pool_id, rings):
                await self._doorbell.acknowledge(rings)
                return
            batch = await self._try_batch(served.picture, served.pace)
            if batch is not None and batch.found is Found.NOTHING:
                await self._answer(rings)
                return
            if batch is not None and batch.found is Found.WORK and not batch.full:
                await self._answer(rings)
                rings.clear()
                if not served.rung.is_set():
                    return
                continue
            if batch is None or batch.found is Found.BUSY:
                pause = 0.2 if batch is None else _BUSY_SECONDS
                await self.pause(pause * self._jitter.uniform(0.5, 1.5))

    async def _hands_over(self, pool_id: PoolId, rings: Sequence[Ring]) -> bool:
        if any(ring.is_given for ring in rings):
            return False  # not before a batch: two who are each other's heirs would hand it to and fro
        heir = self._sharing.heir(pool_id, rung=bool(rings))
        return heir is not None and await self._doorbell.hand_over(pool_id, heir)

    async def _answer(self, rings: Sequence[Ring]) -> None:
        await self._doorbell.acknowledge(rings)
        failpoint("after_ack")

    async def pause(self, seconds: float) -> bool:
        """Wait so long, or until `stop`; True where the worker is to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _try_batch(self, picture: PoolSnapshot, pace: BatchPace) -> Batch | None:
        """One look at the pool; None where another transaction was in the way, and the look must be repeated.

        Raises what else went wrong: nothing was written, and the pool rests before it is looked at again.
        """
        try:
            with metrics.batch_seconds.time():
                batch = await place_batch(
                    self._database.hot,
                    picture,
                    limit=pace.size,
                    deliver=self._settings.ais_url is not None,
                    attempts=self._attempts,
                    by=self._sharing.news(picture.pool_id),
                )
        except Exception as error:
            metrics.worker_failures_total.labels(type(error).__name__).inc()
            if isinstance(error, EpochMoved) or trouble_of(error) is Trouble.CONFLICT:
                return None
            pace.failed()
            raise
        if batch.found is Found.WORK:
            pace.succeeded(batch.locked_seconds, full=batch.full)
            self._own_report.decided(batch.committed_at)
            count_batch(picture, batch)
        return batch


def count_batch(picture: PoolSnapshot, batch: Batch) -> None:
    """Tell the metrics, the log and the trace what a batch decided."""
    pool = metrics.pool_label(picture.pool_id)
    metrics.batch_size.observe(len(batch.decisions) + len(batch.waiting))
    latency = metrics.assignment_latency_seconds.labels(pool)
    for kind, count in Counter(decision.kind for decision in batch.decisions).items():
        metrics.assignments_total.labels(pool, kind.value).inc(count)
    commits = Counter(
        batch.task_committed_at[decision.task_id] for decision in batch.decisions if decision.kind in _FIRST
    )
    for instant, count in commits.items():
        latency.observe_many(max(0.0, (batch.committed_at - instant).total_seconds()), count)
    log.info(
        "assignment.committed",
        pool=picture.pool_id,
        assigned=len(batch.decisions),
        waiting=len(batch.waiting),
        requests=request_ids(batch.origins),
    )
    follow("assign", batch.origins, seconds=batch.locked_seconds, pool=picture.pool_id)
    _count_without_anyone(picture, batch)


def _count_without_anyone(picture: PoolSnapshot, batch: Batch) -> None:
    """Rules that match nobody must not fail silently: GET /v1/rules/lint tells more."""
    nobodys = [waiting for waiting in batch.waiting if waiting.reason is WaitReason.NO_ONE_ELIGIBLE]
    if nobodys:
        metrics.tasks_without_anyone_total.labels(metrics.pool_label(picture.pool_id)).inc(len(nobodys))
        classes = list(dict.fromkeys(waiting.class_key for waiting in nobodys))
        log.warning(
            "rules.nobody_eligible",
            pool=picture.pool_id,
            rule_set=picture.rule_set_id,
            tasks=len(nobodys),
            classes=[plain(each) for each in classes[:5]],
        )


def _serve_metrics(address: str, first_port: int) -> None:
    """Any number of workers on one machine: each takes the first free port of a small range."""
    if not first_port:
        return
    for port in range(first_port, first_port + _METRICS_PORTS):
        try:
            start_http_server(port, addr=address)
        except OSError:
            continue
        log.info("worker.metrics", port=port)
        return
    log.warning("worker.no_metrics_port", tried=f"{first_port}-{first_port + _METRICS_PORTS - 1}")


async def run_worker(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT."""
    database = await Database.open(settings)
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    try:
        await until_ready(database, settings, worker.pause, only_schema=True)
        await worker.run()
    finally:
        await doorbell.close()
        await database.close()


def main() -> None:
    """The command line: settings come from the environment."""
    try:
        settings = get_settings()
    except BadSettings as error:
        sys.exit(f"Cannot start: {error}")
    configure_logging(settings)
    settings = with_secret(settings)
    if settings.tracing:
        start_tracing("worker")
    _serve_metrics(settings.metrics_host, settings.metrics_port)
    gc.freeze()  # what is loaded now lives as long as the process: spare the collector from walking it
    gc.set_threshold(*_COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_new_loop()) as runner:
        runner.run(run_worker(settings))


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's where there is one, as in the API."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
