"""Which parts of the system answer, found out within a deadline however they hang."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import asyncpg
import structlog

from app.database import HotPool
from app.doorbell.doorbell import Doorbell, SilentDoorbell
from app.services.common.loop_reports import read_reports
from app.services.common.worker_reports import PROBE, read_workers
from app.services.delivery.sql import BREAKERS
from app.utils.trouble import says, trouble_of

log = structlog.get_logger()

_RECEIVERS = {"ais": "the external system does not answer", "webhook": "webhooks that do not answer: {}"}
_MOST_NAMED = 5
PATIENCE = 2.0
"""Seconds a part may take to answer."""

_ORDINARY_ANSWER = "SELECT version_num, repeat('x', 4096) FROM alembic_version"

PartName = Literal["database", "doorbell", "external_system", "background"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the system; without a `needed` one no request can be served."""

    name: PartName
    up: bool
    needed: bool
    detail: str = ""


class Examination:
    """Looks at the parts; looks that come at once share one, so that a hanging part is asked once, not by everybody."""

    def __init__(self, database: HotPool, doorbell: Doorbell) -> None:
        self._database = database
        self._doorbell = doorbell
        self._looks: dict[PartName, asyncio.Task[str]] = {}
        self._stands_still = False

    async def parts(self) -> list[Part]:
        """All parts as they are now; never raises, never takes longer than PATIENCE."""
        database, doorbell, external, background = await asyncio.gather(
            self._look("database", self._ask_database),
            self._look("doorbell", self._ask_doorbell),
            self._look("external_system", self._ask_deliveries),
            self._look("background", self._ask_loops),
        )
        unknown = "not known while the database does not answer" if database else ""
        return [
            Part("database", not database, needed=True, detail=database),
            Part("doorbell", not doorbell, needed=False, detail=doorbell or self._kind_of_doorbell()),
            Part("external_system", not (database or external), needed=False, detail=unknown or external),
            Part(
                "background",
                not (database or background),
                needed=self._stands_still,
                detail=unknown or background,
            ),
        ]

    async def _look(self, name: PartName, ask: Callable[[], Awaitable[str]]) -> str:
        """What is wrong with a part; empty when it answers. A look that hangs goes on in the background."""
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.create_task(_told(ask))
        done, _ = await asyncio.wait([look], timeout=PATIENCE)
        return look.result() if done else f"no answer within {PATIENCE:g} seconds"

    async def _ask_database(self) -> str:
        """Ask for as much as a request does: a network that lets only little through passed for a good one."""
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                await connection.fetchrow(_ORDINARY_ANSWER, timeout=PATIENCE)
            except asyncpg.UndefinedTableError:
                return "no schema: run python init_db.py"
            await connection.execute(PROBE, timeout=PATIENCE)
        return ""

    async def _ask_deliveries(self) -> str:
        """Whether senders leave the external system, or a webhook, alone because it does not answer."""
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                rows = await connection.fetch(BREAKERS, timeout=PATIENCE)
            except asyncpg.UndefinedTableError:
                return ""  # the database says it
        told = [
            f"{_RECEIVERS[row['receiver']].format(row['count'])} since {row['since']:%Y-%m-%d %H:%M} UTC"
            for row in rows
        ]
        return "; ".join([*told, "messages wait and none is lost"]) if told else ""

    async def _ask_loops(self) -> str:
        """Whether a worker decides, and whether a background loop of any process keeps failing, or is late.

        A loop's failure is for `doctor` to tell.
        """
        async with self._database.acquire(timeout=PATIENCE) as connection:
            try:
                reports = await read_reports(connection)
                workers = await read_workers(connection)
            except asyncpg.UndefinedTableError:
                return ""  # the database says it
        self._stands_still = workers.stands_still
        more = f"; {len(reports) - _MOST_NAMED} more" if len(reports) > _MOST_NAMED else ""
        return "; ".join(filter(None, [workers.fault, *map(str, reports[:_MOST_NAMED])])) + more

    async def _ask_doorbell(self) -> str:
        return (
            ""
            if await self._doorbell.healthy()
            else "Redis does not answer; workers sweep the database instead"
        )

    def _kind_of_doorbell(self) -> str:
        return (
            "no REDIS_URL: workers sweep the database" if isinstance(self._doorbell, SilentDoorbell) else ""
        )


async def _told(ask: Callable[[], Awaitable[str]]) -> str:
    try:
        return await ask()
    except Exception as error:
        if trouble_of(error) is None:
            log.exception("health.not_asked")
        return says(error)
