"""Tells a process whether its database can serve it yet, and which command helps where it cannot."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import structlog

from app.config import ROOT, Settings
from app.database import TROUBLE, Database, HotPool, trouble_in_words, where

log = structlog.get_logger()

Pause: TypeAlias = Callable[[float], Awaitable[object]]

_SCHEMA = "SELECT to_regclass('pools') IS NOT NULL AND to_regclass('users') IS NOT NULL"
_VERSION = "SELECT version_num FROM alembic_version"
_FILLED = "SELECT EXISTS (SELECT FROM pools) AND EXISTS (SELECT FROM users)"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two looks; the pause doubles while nothing answers."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What a database lacks, in words with the remedy; `has_schema`: whether it can be worked with all the same."""

    reason: str
    answers: bool = True
    has_schema: bool = False


@cache
def _versions_before() -> frozenset[str]:
    """Versions of the schema that this code is too new for: those of every migration but the newest.

    A version that is not known is a newer one, which this code works with (docs/production.md). Empty where the
    migrations are not installed beside the code.
    """
    versions = sorted(
        path.stem.partition("_")[0] for path in (ROOT / "alembic" / "versions").glob("[0-9]*.py")
    )
    return frozenset(versions[:-1])


async def find_lack(pool: HotPool, settings: Settings) -> Lack | None:
    """Look at the database once; None where nothing is lacking. Never raises for a database that is down."""
    try:
        async with pool.acquire() as connection:
            if not await connection.fetchval(_SCHEMA):
                return Lack(f"{where(settings)} has no tables yet: run alembic upgrade head")
            if await connection.fetchval(_VERSION) in _versions_before():
                return Lack(
                    f"{where(settings)} has the tables of an older version, or is being migrated now:"
                    " run alembic upgrade head"
                )
            if not await connection.fetchval(_FILLED):
                return Lack(
                    f"{where(settings)} has no pool or no user: run python init_db.py", has_schema=True
                )
    except TROUBLE as error:
        return Lack(trouble_in_words(error, settings), answers=False)
    return None


async def until_ready(
    database: Database, settings: Settings, pause: Pause, *, only_schema: bool = False
) -> None:
    """Log each lack once, and return when the database has none, or when `pause` returns True.

    Connections opened meanwhile are renewed: before the migration there was no narrow role that they could take.

    Parameters
    ----------
    pause
        Waits so many seconds; True ends the waiting.
    only_schema
        Return as soon as the tables are there, also when no pool is.
    """
    said, seconds = "", _FIRST_PAUSE
    while lack := await find_lack(database.hot, settings):
        if lack.reason != said:
            log.warning("database.not_ready", reason=lack.reason)
        said = lack.reason
        seconds = _FIRST_PAUSE if lack.answers else min(2 * seconds, _LONGEST_PAUSE)
        if (only_schema and lack.has_schema) or await pause(seconds):
            break
    if said:
        await database.renew()
    if said and not lack:
        log.info("database.ready")
