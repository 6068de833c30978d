"""Deliveries: what was decided reaches the external system and every webhook, at least once, in order for each task.

Any number of senders may run. A message is taken with a lease, so nobody else sends it meanwhile; a later message of
the same task waits until the earlier one is there. Failures are repeated with growing pauses, and a receiver that does
not answer at all is left alone for a while (`Breaker`). What a receiver refuses for good is set aside as dead: visible,
and sent again on request (`app.services.delivery.dead_letters`).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import structlog
from sqlalchemy import func, select

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.integrations.ais import AisClient, AisDown, DeliveryVerdict
from app.services.common.counters import Happened, count_events
from app.services.common.loops import LATE_SECONDS, Loops, Parts
from app.services.delivery import sql as statements
from app.services.delivery.messages import message_of
from app.services.delivery.reconciliation import reconcile
from app.services.delivery.webhooks import WebhookReceiver, find_receiver
from app.services.executors.executor_sync import sync_executors
from app.services.pools.pools import find_pool
from app.telemetry import metrics
from app.telemetry.tracing import follow, request_ids
from app.utils.failpoints import failpoint
from app.utils.trouble import says, storable, trouble_of

log = structlog.get_logger()

AIS = "ais"
_IDLE_SECONDS = 0.5
_LONGEST_PAUSE = 300.0
_FIRST_PAUSE = 1.0
_LEFT_ALONE = 1.0


class Receiver(Protocol):
    """Where messages go. Raises AisDown where nothing is known of what was taken in."""

    async def send(self, messages: Sequence[dict[str, Any]]) -> dict[int, DeliveryVerdict]:
        """Hand over messages; the verdict on each by delivery id. A missing verdict means: send it again."""

    async def close(self) -> None:
        """Give the connections back."""


@dataclass(slots=True)
class Breaker:
    """Stops sending to a receiver that fails: after `failures` in a row nothing for a while, then one try.

    The while doubles with every failed try, up to `longest` seconds. A try that nobody notes the end of is forgotten
    after `try_seconds`: a receiver must not be left alone for good because its try went wrong in some other way.
    """

    failures: int = 3
    longest: float = 60.0
    try_seconds: float = 60.0
    failed: int = 0
    open_until: float = 0.0
    trying_until: float = 0.0

    def lets_through(self, now: float) -> bool:
        """Whether a request may go out now; when open, one at a time after the while."""
        if self.failed < self.failures:
            return True
        if now < self.open_until or now < self.trying_until:
            return False
        self.trying_until = now + self.try_seconds
        return True

    def not_tried(self) -> None:
        """There was nothing to try with: the next request may go out."""
        self.trying_until = 0.0

    def note(self, success: bool, now: float) -> None:
        """Remember how a request ended."""
        self.not_tried()
        if success:
            self.failed = 0
            return
        self.failed += 1
        if self.failed >= self.failures:
            self.open_until = now + min(_LEFT_ALONE * 2.0 ** (self.failed - self.failures), self.longest)

    @property
    def is_open(self) -> bool:
        """Whether requests are held back."""
        return self.failed >= self.failures


@dataclass(slots=True)
class _ReceiverLine:
    """A receiver with its breaker, what was written down of it (None: not known), and the requests under way."""

    receiver: Receiver
    most: int
    breaker: Breaker
    told_open: bool | None = None
    under_way: set[asyncio.Task[None]] = field(default_factory=set)


class Delivery:
    """Sends what is due, compares the external system with us; one per worker process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._pool = database.hot
        self._lines: dict[str, _ReceiverLine] = {}
        self._stopping = asyncio.Event()
        self._something = asyncio.Event()
        self._loops = Loops()
        self._receivers = Parts("delivery")
        self._client: AisClient | None = None
        self._compared = 0
        self._jitter = random.Random()  # noqa: S311 - spreads retries, decides nothing

    def stop(self) -> None:
        """Finish the requests under way, then end `run`."""
        self._stopping.set()
        self._something.set()

    async def run(self) -> None:
        """Send until `stop`."""
        settings, start = self._settings, self._loops.start
        start("delivery", self._send_round)
        if settings.ais_url and settings.reconcile_seconds:
            late = LATE_SECONDS + 2 * settings.reconcile_seconds + settings.ais_timeout
            start("comparison", self._compare, pause=self._about(settings.reconcile_seconds), late_after=late)
        if settings.ais_url and settings.ais_sync_seconds:
            late = LATE_SECONDS + 2 * settings.ais_sync_seconds + settings.ais_timeout
            start("people_sync", self._sync, pause=self._about(settings.ais_sync_seconds), late_after=late)
        await self._stopping.wait()
        await self._loops.stop()
        under_way = [task for line in self._lines.values() for task in line.under_way]
        await asyncio.gather(*under_way, return_exceptions=True)
        for line in self._lines.values():
            await line.receiver.close()
        if self._client is not None:
            await self._client.close()

    def _about(self, seconds: float) -> Callable[[], float]:
        """A pause of about so many seconds: processes that started together do not ask together."""
        return lambda: seconds * self._jitter.uniform(0.8, 1.2)

    async def _send_round(self) -> None:
        if not await self.send_due() and not self._stopping.is_set():
            await self._rest()

    async def send_due(self) -> int:
        """Begin to send what is due; returns how many messages were taken."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(statements.DUE)
        taken = 0

        async def send(destination: str) -> None:
            nonlocal taken
            taken += await self._send_to(destination)

        await self._receivers.each([row["destination"] for row in rows], send)
        return taken

    async def _send_to(self, destination: str) -> int:
        line = await self._line(destination)
        if line is None:
            return 0
        taken = 0
        while len(line.under_way) < self._settings.delivery_parallel and line.breaker.lets_through(
            time.monotonic()
        ):
            messages = await self._claim(destination, line)
            if not messages:
                line.breaker.not_tried()
                break
            taken += len(messages)
            sending = asyncio.create_task(self._send(destination, line, messages))
            line.under_way.add(sending)
            sending.add_done_callback(partial(self._ended, line))
        return taken

    def _ended(self, line: _ReceiverLine, sending: asyncio.Task[None]) -> None:
        line.under_way.discard(sending)
        self._something.set()
        if not sending.cancelled() and (error := sending.exception()) is not None:
            log.error("delivery.crashed", error=says(error), exc_info=error)

    async def _line(self, destination: str) -> _ReceiverLine | None:
        line = self._lines.get(destination)
        if line is None:
            receiver = await self._receiver(destination)
            if receiver is None:
                return None
            most = 1 if isinstance(receiver, WebhookReceiver) else self._settings.delivery_batch
            line = self._lines[destination] = _ReceiverLine(
                receiver, most, Breaker(try_seconds=self._settings.delivery_lease_seconds)
            )
        return line

    async def _receiver(self, destination: str) -> Receiver | None:
        """Who a destination is; None where there is none any more."""
        settings = self._settings
        if destination == AIS:
            return AisClient(settings.ais_url, timeout=settings.ais_timeout) if settings.ais_url else None
        return await find_receiver(self._pool, destination, settings)

    async def _claim(self, destination: str, line: _ReceiverLine) -> list[Any]:
        async with self._pool.acquire() as connection:
            return list(
                await connection.fetch(
                    statements.CLAIM, destination, line.most, self._settings.delivery_lease_seconds
                )
            )

    async def _send(self, destination: str, line: _ReceiverLine, rows: Sequence[Any]) -> None:
        """One request and what becomes of its messages; a failure to write that down ends the lease, no more."""
        failpoint("outbox_read")
        began = time.monotonic()
        messages, unreadable = _readable(rows)
        verdicts: dict[int, DeliveryVerdict] = {}
        try:
            if messages:
                async with asyncio.timeout(self._settings.delivery_lease_seconds * 0.8):
                    verdicts = await line.receiver.send(messages)
            failpoint("ais_called")
        except Exception as error:
            known = isinstance(error, (AisDown, TimeoutError))
            told = "no answer in time" if isinstance(error, TimeoutError) and not str(error) else says(error)
            await self._remember(destination, line, told)
            if known:
                log.info("delivery.no_answer", destination=destination, messages=len(rows), error=told)
            else:
                log.exception("delivery.broke", destination=destination, messages=len(rows))
            await self._note(rows, unreadable, told)
            return
        await self._remember(destination, line, "")
        await self._note(rows, {**verdicts, **unreadable}, "the receiver said nothing of it")
        _tell(destination, [row["origin"] for row in rows], time.monotonic() - began)
        failpoint("outbox_marked")

    async def _remember(self, destination: str, line: _ReceiverLine, error: str) -> None:
        """Note how a request ended (no error: well), and write down whether the receiver is left alone from now on."""
        now = time.monotonic()
        line.breaker.note(not error, now)
        if error:
            metrics.delivery_failures_total.labels(destination.partition(":")[0]).inc()
        is_open = line.breaker.is_open
        if not is_open and (error or line.told_open is False):
            return
        try:
            async with self._pool.acquire() as connection:
                if is_open:
                    left_alone = max(0.0, line.breaker.open_until - now)
                    await connection.execute(
                        statements.BREAKER_OPEN, destination, line.breaker.failed, left_alone, storable(error)
                    )
                else:
                    await connection.execute(statements.BREAKER_CLOSED, destination)
            line.told_open = is_open
        except Exception as fault:
            if trouble_of(fault) is None:
                raise
            log.warning("delivery.breaker_not_noted", error=says(fault))

    async def _note(self, rows: Sequence[Any], verdicts: dict[int, DeliveryVerdict], otherwise: str) -> None:
        delivered = [row["id"] for row in rows if (said := verdicts.get(row["id"])) and said.accepted]
        failed = [row for row in rows if row["id"] not in set(delivered)]
        refused = {number for number, verdict in verdicts.items() if not verdict.accepted}
        errors = [verdicts[row["id"]].reason if row["id"] in refused else otherwise for row in failed]
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._note_delivered(connection, delivered)
                if failed:
                    await connection.execute(
                        statements.FAILED,
                        [row["id"] for row in failed],
                        [row["attempts"] for row in failed],
                        [storable(error) for error in errors],
                        [self._pause_after(row["attempts"]) for row in failed],
                        [self._is_dead(row, row["id"] in refused) for row in failed],
                    )
        except Exception as error:
            if trouble_of(error) is None:
                raise
            log.warning("delivery.not_noted", messages=len(rows), error=says(error))

    async def _note_delivered(self, connection: Any, delivered: Sequence[int]) -> None:
        if not delivered:
            return
        now = await connection.fetchval("SELECT clock_timestamp()")
        for row in await connection.fetch(statements.DELIVERED, delivered):
            metrics.deliveries_total.labels(metrics.pool_label(row["pool_id"])).inc(row["count"])
            await count_events(
                connection, Happened(delivered=row["count"]), pool_id=PoolId(row["pool_id"]), at=now
            )

    def _is_dead(self, row: Any, refused: bool) -> bool:
        """Refused often enough; a receiver that does not answer never makes a message dead."""
        return refused and row["attempts"] >= self._settings.delivery_attempts

    def _pause_after(self, attempts: int) -> float:
        longest = min(_FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE)
        return self._jitter.uniform(0.5, 1.0) * longest

    async def _compare(self) -> None:
        """One look at what the external system shows; raises where it does not answer."""
        found = await reconcile(
            self._pool, self._ais(), after=self._compared, settle=self._settings.reconcile_settle_seconds
        )
        self._compared = found.next_after
        if found.drifted:
            log.warning("reconciliation.drift", tasks=list(found.drifted)[:20], count=len(found.drifted))

    async def _sync(self) -> None:
        """Pull people into the default pool; those who are refused are named in the log."""
        said = await self._ais().executors()
        async with self._database.session() as session:
            pool_id = await find_pool(session, code=self._settings.default_pool)
            if pool_id is None:
                return
            now = (await session.scalars(select(func.now()))).one()
            found = await sync_executors(session, said, pool_id=pool_id, now=now)
        if found.added or found.changed or found.refused:
            log.info(
                "executors.synced", added=found.added, changed=found.changed, refused=list(found.refused)[:20]
            )

    def _ais(self) -> AisClient:
        if self._client is None:
            self._client = AisClient(self._settings.ais_url or "", timeout=self._settings.ais_timeout)
        return self._client

    async def _rest(self) -> None:
        """Until a request ends, but not long: somebody else may have written something to send."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._something.wait(), _IDLE_SECONDS)
        self._something.clear()


def _readable(rows: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[int, DeliveryVerdict]]:
    """Messages that these rows make, and a refusal of each that makes none: it must not hold up its neighbours."""
    messages, refused = [], {}
    for row in rows:
        try:
            messages.append(message_of(row))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.exception("delivery.unreadable", delivery=row["id"])
            refused[row["id"]] = DeliveryVerdict(False, f"the message cannot be read: {says(error)}")
    return messages, refused


def _tell(destination: str, origins: Sequence[str | None], seconds: float) -> None:
    """Whose requests these messages come from, in the log and in their traces."""
    log.info(
        "delivery.answered", destination=destination, messages=len(origins), requests=request_ids(origins)
    )
    follow("deliver", origins, seconds=seconds, destination=destination)
