"""Which parts of the system answer, found out within a deadline however they hang."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg
import structlog

from app.database import HotPool
from app.doorbell.doorbell import Doorbell, SilentDoorbell
from app.messages.message import NOTHING, Message, as_is, joined, say
from app.services.common.loop_reports import read_reports
from app.services.common.worker_reports import PROBE, read_workers
from app.services.delivery.sql import BREAKERS
from app.utils.trouble import says, trouble_of

log = structlog.get_logger()

_MOST_NAMED = 5
PATIENCE = 2.0
"""Seconds a part may take to answer."""

_ORDINARY_ANSWER = "SELECT version_num, repeat('x', 4096) FROM alembic_version"

PartName = Literal["database", "doorbell", "external_system", "background"]


@dataclass(frozen=True, slots=True)
class Silent:
    """Receivers of one kind that do not answer and are left alone for a while: how many, and since when."""

    receiver: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the system; without a `needed` one no request can be served."""

    name: PartName
    up: bool
    needed: bool
    detail: Message = NOTHING
    silent: Sequence[Silent] = ()


class Examination:
    """Looks at the parts; looks that come at once share one, so that a hanging part is asked once, not by everybody."""

    def __init__(self, database: HotPool, doorbell: Doorbell) -> None:
        self._database = database
        self._doorbell = doorbell
        self._looks: dict[PartName, asyncio.Task[Message]] = {}
        self._stands_still = False
        self._silent: list[Silent] = []

    async def parts(self) -> list[Part]:
        """All parts as they are now; never raises, never takes longer than PATIENCE."""
        database, doorbell, external, background = await asyncio.gather(
            self._look("database", self._ask_database),
            self._look("doorbell", self._ask_doorbell),
            self._look("external_system", self._ask_deliveries),
            self._look("background", self._ask_loops),
        )
        unknown = say("not known while the database does not answer") if database else NOTHING
        return [
            Part("database", not database, needed=True, detail=database),
            Part("doorbell", not doorbell, needed=False, detail=doorbell or self._kind_of_doorbell()),
            Part(
                "external_system",
                not (database or external),
                needed=False,
                detail=unknown or external,
                silent=self._silent if external else (),
            ),
            Part(
                "background",
                not (database or background),
                needed=self._stands_still,
                detail=unknown or background,
            ),
        ]

    async def _look(self, name: PartName, ask: Callable[[], Awaitable[Message]]) -> Message:
        """What is wrong with a part; empty when it answers. A look that hangs goes on in the background."""
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.create_task(_told(ask))
        done, _ = await asyncio.wait([look], timeout=PATIENCE)
        return look.result() if done else say("no answer within {seconds:g} seconds", seconds=PATIENCE)

    async def _ask_database(self) -> Message:
        """Ask for as much as a request does: a network that lets only little through passed for a good one."""
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                await connection.fetchrow(_ORDINARY_ANSWER, timeout=PATIENCE)
            except asyncpg.UndefinedTableError:
                return say("no schema: run python init_db.py")
            await connection.execute(PROBE, timeout=PATIENCE)
        return NOTHING

    async def _ask_deliveries(self) -> Message:
        """Whether senders leave the external system, or a webhook, alone because it does not answer."""
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                rows = await connection.fetch(BREAKERS, timeout=PATIENCE)
            except asyncpg.UndefinedTableError:
                return NOTHING  # the database says it
        self._silent = [Silent(row["receiver"], row["count"], row["since"]) for row in rows]
        told = [_silence(each) for each in self._silent]
        return joined([*told, say("messages wait and none is lost")]) if told else NOTHING

    async def _ask_loops(self) -> Message:
        """Whether a worker decides, and whether a background loop of any process keeps failing, or is late.

        A loop's failure is for `doctor` to tell.
        """
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                reports = await read_reports(connection)
                workers = await read_workers(connection)
            except asyncpg.UndefinedTableError:
                return NOTHING  # the database says it
        self._stands_still = workers.stands_still
        told = [each.message for each in reports[:_MOST_NAMED]]
        if len(reports) > _MOST_NAMED:
            told.append(say("{count} more", count=len(reports) - _MOST_NAMED))
        if workers.fault:
            told.insert(0, workers.fault)
        return joined(told) if told else NOTHING

    async def _ask_doorbell(self) -> Message:
        return (
            NOTHING
            if await self._doorbell.healthy()
            else say("Redis does not answer; workers sweep the database instead")
        )

    def _kind_of_doorbell(self) -> Message:
        return (
            say("no REDIS_URL: workers sweep the database")
            if isinstance(self._doorbell, SilentDoorbell)
            else NOTHING
        )


def _silence(silent: Silent) -> Message:
    since = f"{silent.since:%Y-%m-%d %H:%M}"
    if silent.receiver == "ais":
        return say("the external system does not answer since {since} UTC", since=since)
    return say("webhooks that do not answer: {count} since {since} UTC", count=silent.count, since=since)


async def _told(ask: Callable[[], Awaitable[Message]]) -> Message:
    try:
        return await ask()
    except Exception as error:
        if trouble_of(error) is None:
            log.exception("health.not_asked")
        return as_is(says(error))
