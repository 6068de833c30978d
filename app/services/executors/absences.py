"""Planned absences: leave, illness, days off. Whoever is absent receives nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import ExecutorId, PoolId
from app.errors import Invalid, NotFound
from app.messages.message import Message, say
from app.models import ExecutorAbsence, ExecutorRow
from app.services.common.pool_lock import raise_epoch
from app.services.waking.waking import wake_for_present

OpenTasks = Literal["keep", "reassign"]


@dataclass(frozen=True, slots=True)
class NewAbsence:
    """When somebody is away, and what becomes of what they have in hand."""

    starts_at: datetime
    ends_at: datetime
    reason: str = ""
    open_tasks: OpenTasks = "keep"
    reassign_after_minutes: int = 0


async def list_absences(
    session: AsyncSession, *, executor_id: ExecutorId, now: datetime, past: bool = False
) -> Sequence[ExecutorAbsence]:
    """A person's absences that have not ended (with `past`: all), in order of time. Raises NotFound."""
    await _person(session, executor_id)
    query = select(ExecutorAbsence).where(ExecutorAbsence.executor_id == executor_id)
    if not past:
        query = query.where(ExecutorAbsence.ends_at > now)
    return (await session.scalars(query.order_by(ExecutorAbsence.starts_at, ExecutorAbsence.id))).all()


async def add_absence(
    session: AsyncSession, *, executor_id: ExecutorId, absence: NewAbsence, now: datetime
) -> tuple[ExecutorAbsence, PoolId]:
    """Plan an absence. Raises NotFound, Invalid."""
    if absence.ends_at <= absence.starts_at:
        raise _wrong("ends_at", say("not after starts_at"), say("send a later instant"))
    if absence.ends_at <= now:
        raise _wrong("ends_at", say("over already"), say("send an instant to come"))
    pool_id = PoolId((await _person(session, executor_id)).pool_id)
    row = ExecutorAbsence(
        executor_id=executor_id,
        starts_at=absence.starts_at,
        ends_at=absence.ends_at,
        reason=absence.reason,
        open_tasks=absence.open_tasks,
        reassign_after_minutes=absence.reassign_after_minutes,
    )
    epoch = await raise_epoch(session, pool_id)
    session.add(row)
    await _touch(session, executor_id, pool_id, epoch, now)
    await session.commit()
    await session.refresh(row)
    return row, pool_id


async def remove_absence(
    session: AsyncSession, *, executor_id: ExecutorId, absence_id: int, now: datetime
) -> PoolId:
    """Somebody stays, or is back early; what waits for them is looked at again. Raises NotFound."""
    pool_id = PoolId((await _person(session, executor_id)).pool_id)
    epoch = await raise_epoch(session, pool_id)
    row = await session.get(ExecutorAbsence, absence_id)
    if row is None or row.executor_id != executor_id:
        raise NotFound(
            say(
                "Executor {executor_id} has no absence {absence_id}.",
                executor_id=executor_id,
                absence_id=absence_id,
            ),
            absence_id=absence_id,
        )
    await session.delete(row)
    await _touch(session, executor_id, pool_id, epoch, now)
    await session.commit()
    return pool_id


async def _person(session: AsyncSession, executor_id: ExecutorId) -> ExecutorRow:
    person = await session.get(ExecutorRow, executor_id)
    if person is None:
        raise NotFound(
            say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
        )
    return person


async def _touch(
    session: AsyncSession, executor_id: ExecutorId, pool_id: PoolId, epoch: int, now: datetime
) -> None:
    """Workers read the person again, and the instants at which their shifts and absences turn."""
    person = await session.get_one(ExecutorRow, executor_id, with_for_update=True, populate_existing=True)
    person.epoch = epoch
    person.updated_at = now
    await wake_for_present(session, pool_id=pool_id, executor_ids=[executor_id])


def _wrong(field: str, reason: Message, remedy: Message) -> Invalid:
    return Invalid.at(field, reason, remedy)
