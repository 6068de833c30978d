"""What routes ask for, as aliases that read like a sentence.

All are coroutines: FastAPI sends plain functions through a thread pool, which costs more than the rest of a request.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import KeyRing
from app.access.oidc import Provider
from app.access.roles import Caller
from app.api.problems import language_for
from app.config import Settings
from app.database import Database, acting
from app.doorbell.doorbell import Doorbell
from app.messages.catalogue import Language
from app.services.accounts.callers import Callers
from app.services.accounts.passwords import Passwords
from app.services.accounts.throttle import Throttle
from app.services.common.database_clock import DatabaseClock
from app.services.intake.intake import Intake
from app.services.live.event_stream import LiveBoard
from app.services.live.gauges import Gauges
from app.services.live.health import Examination
from app.services.live.notifications import Ticks, WaitingRoom
from app.services.live.overview import Overview
from app.services.pools.directory import PoolDirectory
from app.services.tasks.explanations import Previewer
from app.services.tasks.gathered_reads import TaskReader
from app.services.tasks.moves import Lifecycle


@dataclass(frozen=True, slots=True)
class AppParts:
    """What the application is made of, as long as it serves."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    directory: PoolDirectory
    intake: Intake
    ticks: Ticks
    waiting_room: WaitingRoom
    examination: Examination
    gauges: Gauges
    previewer: Previewer
    callers: Callers
    keys: KeyRing
    passwords: Passwords
    throttle: Throttle
    device_throttle: Throttle
    begun_throttle: Throttle
    provider: Provider | None
    lifecycle: Lifecycle
    task_reader: TaskReader
    overview: Overview
    live_board: LiveBoard
    clock: DatabaseClock


async def _parts(request: Request) -> AppParts:
    parts: AppParts = request.app.state.parts
    return parts


async def _caller(request: Request) -> Caller:
    """Who the guard found to be asking (app/api/edge/guard.py)."""
    caller: Caller = request.scope["caller"]
    return caller


PartsDep = Annotated[AppParts, Depends(_parts)]
CallerDep = Annotated[Caller, Depends(_caller)]


async def _language(request: Request) -> Language:
    """The language of sentences in the answer, by Accept-Language."""
    return language_for(request)


LanguageDep = Annotated[Language, Depends(_language)]


async def _settings(parts: PartsDep) -> Settings:
    return parts.settings


async def _database(parts: PartsDep) -> Database:
    return parts.database


async def _session(parts: PartsDep, caller: CallerDep, request: Request) -> AsyncIterator[AsyncSession]:
    """A session that the service has committed before the answer is made; what it did not commit is undone."""
    reads = request.method in {"GET", "HEAD"}
    actor = None if reads else acting(caller.name, caller.address, caller.request_id)
    async with parts.database.session(actor) as session:
        yield session


async def _doorbell(parts: PartsDep) -> Doorbell:
    return parts.doorbell


async def _directory(parts: PartsDep, caller: CallerDep) -> PoolDirectory:
    """The pools that the caller sees: any other does not exist."""
    return parts.directory.seen_by(caller)


async def _intake(parts: PartsDep) -> Intake:
    return parts.intake


async def _waiting_room(parts: PartsDep) -> WaitingRoom:
    return parts.waiting_room


async def _examination(parts: PartsDep) -> Examination:
    return parts.examination


async def _previewer(parts: PartsDep) -> Previewer:
    return parts.previewer


async def _callers(parts: PartsDep) -> Callers:
    return parts.callers


async def _overview(parts: PartsDep) -> Overview:
    return parts.overview


async def _live_board(parts: PartsDep) -> LiveBoard:
    return parts.live_board


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]


async def _now(parts: PartsDep) -> datetime:
    return parts.clock.now()


SessionDep = Annotated[AsyncSession, Depends(_session)]
DoorbellDep = Annotated[Doorbell, Depends(_doorbell)]
DirectoryDep = Annotated[PoolDirectory, Depends(_directory)]
IntakeDep = Annotated[Intake, Depends(_intake)]
WaitingRoomDep = Annotated[WaitingRoom, Depends(_waiting_room)]
NowDep = Annotated[datetime, Depends(_now)]
OverviewDep = Annotated[Overview, Depends(_overview)]
LiveBoardDep = Annotated[LiveBoard, Depends(_live_board)]
PreviewerDep = Annotated[Previewer, Depends(_previewer)]
ExaminationDep = Annotated[Examination, Depends(_examination)]
CallersDep = Annotated[Callers, Depends(_callers)]
