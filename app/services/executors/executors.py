"""Executors: who they are, whether they are here, what they carry.

Every change takes the pool, stamps its epoch on the person, and has what that may make room for looked at again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import among
from app.engine.calendar import UnreadableHours, WorkingHours
from app.engine.types import ExecutorId, PoolId
from app.errors import AlreadyExists, FieldError, Invalid, NotFound, StaleVersion
from app.messages.message import say
from app.models import ExecutorDay, ExecutorLoad, ExecutorRow, Pool
from app.rule_engine import Catalogue
from app.services.common.pool_lock import raise_epoch
from app.services.common.pool_options import pool_zone
from app.services.common.rows import days_of_pool
from app.services.pools.parameter_filter import Condition, where
from app.services.pools.parameters import read_catalogue
from app.services.waking.waking import PersonChange, facts_of, wake_for_people


@dataclass(frozen=True, slots=True)
class ExecutorView:
    """A person with what they carry; `assigned_today` is routed weight of the current business day."""

    executor: ExecutorRow
    load: ExecutorLoad
    assigned_today: float
    unknown_parameters: Sequence[str] = ()
    declined_today: int = 0


async def create_executor(
    session: AsyncSession, *, pool_id: PoolId, values: Mapping[str, Any], now: datetime
) -> ExecutorView:
    """Add a person. Raises NotFound (pool), Invalid, AlreadyExists."""
    [(executor, unknown)] = await _write(session, pool_id, [values], now, update_known=False)
    view = await get_executor(session, executor_id=ExecutorId(executor.id), now=now)
    return ExecutorView(view.executor, view.load, view.assigned_today, unknown)


async def put_executors(
    session: AsyncSession, *, pool_id: PoolId, people: Sequence[Mapping[str, Any]], now: datetime
) -> list[ExecutorId]:
    """Add many, all or none. Raises NotFound (pool), Invalid.

    Those with a known external_id are changed: a field that `people` leaves out stays as it is, also `active`.
    """
    written = await _write(session, pool_id, people, now, update_known=True)
    return [ExecutorId(executor.id) for executor, _ in written]


async def _write(
    session: AsyncSession,
    pool_id: PoolId,
    people: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    update_known: bool,
) -> list[tuple[ExecutorRow, Sequence[str]]]:
    epoch = await raise_epoch(session, pool_id)
    pool = await session.get_one(Pool, pool_id)
    day = days_of_pool(pool).day_of(now)
    catalogue = await read_catalogue(session, pool_id=pool_id)
    known = await _by_external_id(session, pool_id, people) if update_known else {}
    before = {executor.id: facts_of(executor) for executor in known.values()}
    written, fresh = [], []  # who comes twice in one batch is written twice and new once
    for index, values in enumerate(people):
        where = f"executors[{index}]." if update_known else ""
        executor = known.get(values.get("external_id"))
        checked, unknown = _checked(
            catalogue, pool_zone(pool.timezone), _over(executor, values) if update_known else values, where
        )
        if executor is None:
            executor = ExecutorRow(pool_id=pool_id)
            session.add(executor)
            fresh.append(executor)
            if checked["external_id"] is not None:
                known[checked["external_id"]] = executor
        _set(executor, checked, epoch, now)
        written.append((executor, unknown))
    await _flush(session)
    session.add_all(
        ExecutorLoad(
            executor_id=executor.id, pool_id=pool_id, epoch=epoch, window_start=day, business_day=day
        )
        for executor in fresh
    )
    await _wake(session, pool_id, [executor for executor, _ in written], before, catalogue)
    await session.commit()
    return written


async def _wake(
    session: AsyncSession,
    pool_id: PoolId,
    people: Sequence[ExecutorRow],
    before: Mapping[int, Mapping[str, Any] | None],
    catalogue: Catalogue,
) -> None:
    changes = [
        PersonChange(ExecutorId(person.id), before.get(person.id), facts_of(person) or {})
        for person in people
    ]
    await wake_for_people(session, pool_id=pool_id, changes=changes, catalogue=catalogue)


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if "external_id" in str(error.orig):
            fault = FieldError(
                "external_id", say("taken by another executor of this pool"), say("choose another one")
            )
            raise AlreadyExists(
                say("external_id: taken by another executor of this pool."), errors=[vars_of(fault)]
            ) from error
        raise


def vars_of(fault: FieldError) -> dict[str, str]:
    """A field error as the problem details carry it."""
    return {"field": fault.field, "reason": fault.reason, "remedy": fault.remedy}


async def _by_external_id(
    session: AsyncSession, pool_id: PoolId, people: Sequence[Mapping[str, Any]]
) -> dict[str | None, ExecutorRow]:
    wanted = [values["external_id"] for values in people if values.get("external_id") is not None]
    rows = await session.scalars(
        select(ExecutorRow)
        .where(ExecutorRow.pool_id == pool_id, among(ExecutorRow.external_id, wanted))
        .order_by(ExecutorRow.id)
    )
    return {executor.external_id: executor for executor in rows}


def _over(executor: ExecutorRow | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """What to write of a person: parameters merged over those they have, of which null removes one."""
    had = executor.parameters if executor is not None else {}
    merged = {**had, **values.get("parameters", {})}
    kept = {key: value for key, value in merged.items() if value is not None}
    return {"external_id": None, **values, "parameters": kept}


def _checked(
    catalogue: Catalogue, zone: ZoneInfo, values: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], Sequence[str]]:
    """Values that the catalogue and the calendar understand, and unknown keys. Raises Invalid."""
    checked = catalogue.check_values("executor", values["parameters"])
    faults = [FieldError(f"{where}parameters.{e.field}", e.reason, e.remedy) for e in checked.errors]
    if values.get("working_hours") is not None:
        faults += _wrong_hours(values["working_hours"], zone, where)
    if faults:
        raise Invalid(say("{field}: {reason}", field=faults[0].field, reason=faults[0].reason), faults)
    return {**values, "parameters": checked.values}, checked.unknown


def _wrong_hours(document: object, zone: ZoneInfo, where: str) -> list[FieldError]:
    try:
        WorkingHours.parse(document, zone)
    except UnreadableHours as error:
        return [FieldError(where + error.place, error.reason, error.remedy)]
    return []


def _set(executor: ExecutorRow, values: Mapping[str, Any], epoch: int, now: datetime) -> None:
    if values.get("active") and executor.active is False and executor.reassign_if_inactive:
        executor.reassign_open_at, executor.reassign_if_inactive = None, False  # back before it came to that
    if values.get("active"):
        executor.removed_here = False
    for name, value in values.items():
        setattr(executor, name, value)
    executor.epoch = epoch
    executor.updated_at = now
    executor.version = (executor.version or 0) + 1


async def get_executor(session: AsyncSession, *, executor_id: ExecutorId, now: datetime) -> ExecutorView:
    """One person. Raises NotFound."""
    rows = await _views(session, select_executors().where(ExecutorRow.id == executor_id), now)
    if not rows:
        raise NotFound(
            say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
        )
    return rows[0]


def select_executors() -> Any:
    """Executors with their loads and their pool's zone."""
    return (
        select(ExecutorRow, ExecutorLoad, Pool, ExecutorDay.declined_count)
        .join(ExecutorLoad, ExecutorLoad.executor_id == ExecutorRow.id)
        .join(Pool, Pool.id == ExecutorRow.pool_id)
        .outerjoin(
            ExecutorDay,
            and_(
                ExecutorDay.executor_id == ExecutorRow.id,
                ExecutorDay.business_day
                == func.pool_day(Pool.timezone, Pool.kept_day, Pool.kept_day_ends, func.now()),
            ),
        )
    )


async def _views(session: AsyncSession, query: Any, now: datetime) -> list[ExecutorView]:
    views = []
    for executor, load, pool, declined in await session.execute(query):
        today = float(load.day_routed) if load.business_day == days_of_pool(pool).day_of(now) else 0.0
        views.append(ExecutorView(executor, load, today, declined_today=declined or 0))
    return views


async def list_executors(
    session: AsyncSession,
    *,
    pool_id: PoolId,
    active: bool | None,
    after: int | None,
    limit: int,
    now: datetime,
    parameters: Sequence[Condition] = (),
) -> tuple[list[ExecutorView], int | None]:
    """A page of people by id, and the id to go on after (None on the last page)."""
    query = select_executors().where(
        ExecutorRow.pool_id == pool_id, *where(ExecutorRow.parameters, parameters)
    )
    if active is not None:
        query = query.where(ExecutorRow.active == active)
    if after is not None:
        query = query.where(ExecutorRow.id > after)
    views = await _views(session, query.order_by(ExecutorRow.id).limit(limit + 1), now)
    return views[:limit], views[limit - 1].executor.id if len(views) > limit else None


async def change_executor(
    session: AsyncSession,
    *,
    executor_id: ExecutorId,
    changes: Mapping[str, Any],
    now: datetime,
    merge_parameters: bool = True,
    version: int | None = None,
) -> ExecutorView:
    """Change a person. Raises NotFound, Invalid, AlreadyExists, and StaleVersion where `version` is not current."""
    pool_id = PoolId((await get_executor(session, executor_id=executor_id, now=now)).executor.pool_id)
    epoch = await raise_epoch(session, pool_id)
    executor = await session.get_one(ExecutorRow, executor_id, with_for_update=True, populate_existing=True)
    if version is not None and version != executor.version:
        raise StaleVersion(
            say(
                "If-Match: the executor is at version {version} now; read it again.", version=executor.version
            )
        )
    # Hours that were kept before are not checked again: a person's break must not wait until they are mended.
    values = {"parameters": executor.parameters, "external_id": executor.external_id} | dict(changes)
    if merge_parameters and "parameters" in changes:
        values["parameters"] = _over(executor, {"parameters": changes["parameters"] or {}})["parameters"]
    pool = await session.get_one(Pool, pool_id)
    catalogue = await read_catalogue(session, pool_id=pool_id)
    checked, unknown = _checked(catalogue, pool_zone(pool.timezone), values, "")
    before = {executor.id: facts_of(executor)}
    if "active" in checked:
        executor.removed_here = not checked["active"]
    _set(executor, checked, epoch, now)
    await _flush(session)
    await _wake(session, pool_id, [executor], before, catalogue)
    await session.commit()
    view = await get_executor(session, executor_id=executor_id, now=now)
    return ExecutorView(view.executor, view.load, view.assigned_today, unknown)
