"""Reading tasks: one, a page, a life."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import CompoundSelect, Select, func, or_, select, true, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Caller, within_reach
from app.database import among
from app.engine.types import PoolId, TaskId
from app.errors import Conflict, FieldError, Invalid, NotFound, StaleVersion
from app.messages.message import say
from app.models import Assignment, ExecutorRow, Pool, TaskEvent, TaskRow
from app.services.common.pool_lock import raise_epoch
from app.services.pools.parameter_filter import Condition, where
from app.services.pools.parameters import read_catalogue


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with its current (or last) assignment and that executor's name."""

    task: TaskRow
    assignment: Assignment | None
    executor_name: str | None


class Position(NamedTuple):
    """Where a task stands in a list by time of intake."""

    created_at: datetime
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows; None means any."""

    pool_id: PoolId | None = None
    status: str | None = None
    executor_id: int | None = None
    external_id: str | None = None
    waiting: bool | None = None
    home_pool_id: PoolId | None = None
    parameters: Sequence[Condition] = ()


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One step of a task's life."""

    event: str
    from_status: str | None
    to_status: str
    executor_id: int | None
    actor: str
    reason: str
    at: datetime


async def get_task(session: AsyncSession, *, task_id: TaskId) -> TaskView:
    """One task. Raises NotFound."""
    views = await get_tasks(session, task_ids=[task_id])
    if not views:
        raise NotFound(say("There is no task {task_id}.", task_id=task_id), task_id=task_id)
    return views[0]


async def get_tasks(session: AsyncSession, *, task_ids: Sequence[TaskId]) -> list[TaskView]:
    """Those of these tasks that exist, newest first."""
    return await _views(session, select(TaskRow).where(among(TaskRow.id, task_ids)).order_by(*_NEWEST_FIRST))


async def list_tasks(
    session: AsyncSession, *, only: TaskFilter, caller: Caller, before: Position | None, limit: int
) -> tuple[list[TaskView], Position | None]:
    """A page of the tasks that the caller sees, newest first, and where the next begins (None: nowhere)."""
    query = _filtered(select(TaskRow), only)
    if caller.own_work_only:
        query = query.where(TaskRow.executor_id == caller.executor_id)
    if before is not None:
        query = query.where(tuple_(TaskRow.created_at, TaskRow.id) < tuple_(*before))
    page = query.order_by(*_NEWEST_FIRST).limit(limit + 1)
    if only.pool_id is not None or only.home_pool_id is not None:
        page = _seen_by(page, caller)
    else:
        ids = _of_each_pool(page.with_only_columns(TaskRow.id), caller)
        page = select(TaskRow).where(TaskRow.id.in_(ids)).order_by(*_NEWEST_FIRST).limit(limit + 1)
    views = await _views(session, page)
    if len(views) <= limit:
        return views, None
    last = views[limit - 1].task
    return views[:limit], Position(last.created_at, TaskId(last.id))


_NEWEST_FIRST = (TaskRow.created_at.desc(), TaskRow.id.desc())
"""By the time of intake. Ids alone are no order: each connection numbers from a block of its own."""


def _seen_by(query: Select[Any], caller: Caller) -> Select[Any]:
    """Tasks of the caller's pools: worked on there, or handed in there."""
    if caller.pool_ids is None:
        return query
    return query.where(
        or_(among(TaskRow.pool_id, caller.pool_ids), among(TaskRow.home_pool_id, caller.pool_ids))
    )


def _of_each_pool(page: Select[Any], caller: Caller) -> CompoundSelect[Any]:
    """Ids of the page of each pool that the caller sees; the whole page is among them.

    Reads ix_tasks_pool_id_created_at and ix_tasks_home_pool_id_created_at from their ends, one page of each pool.
    """
    worked_on = page.where(TaskRow.pool_id == Pool.id).lateral("worked_on")
    handed_in = page.where(TaskRow.home_pool_id == Pool.id).lateral("handed_in")
    each = [select(found.c.id).select_from(Pool).join(found, true()) for found in (worked_on, handed_in)]
    return union(*(within_reach(one, Pool.id, caller) for one in each))


def _filtered(query: Select[Any], only: TaskFilter) -> Select[Any]:
    if only.pool_id is not None and only.external_id is not None:  # unique in the pool where it was handed in
        query = query.where(func.coalesce(TaskRow.home_pool_id, TaskRow.pool_id) == only.pool_id)
    elif only.pool_id is not None:
        query = query.where(TaskRow.pool_id == only.pool_id)
    if only.home_pool_id is not None:
        query = query.where(TaskRow.home_pool_id == only.home_pool_id)
    if only.status is not None:
        query = query.where(TaskRow.status == only.status)
    if only.executor_id is not None:
        query = query.where(TaskRow.executor_id == only.executor_id)
    if only.external_id is not None:
        query = query.where(TaskRow.external_id == only.external_id)
    query = query.where(*where(TaskRow.parameters, only.parameters))
    if only.waiting:
        query = query.where(TaskRow.status == "pending", TaskRow.wait_reason.is_not(None))
    return query


# Not by id: each connection has numbers of its own in store, so that a later assignment may have a lower one.
_IN_TURN = (Assignment.released_at.asc().nulls_last(), Assignment.decided_at, Assignment.id)


async def _views(session: AsyncSession, query: Select[Any]) -> list[TaskView]:
    tasks = (await session.scalars(query)).all()
    rows = await session.execute(
        select(Assignment, ExecutorRow.name)
        .join(ExecutorRow, ExecutorRow.id == Assignment.executor_id)
        .where(among(Assignment.task_id, [task.id for task in tasks if task.status != "pending"]))
        .order_by(*_IN_TURN)
    )
    last = {assignment.task_id: (assignment, name) for assignment, name in rows}
    return [TaskView(task, *last.get(task.id, (None, None))) for task in tasks]


_CHANGEABLE = ("pending", "assigned", "in_progress", "returned")


async def change_task(
    session: AsyncSession,
    *,
    task_id: TaskId,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
    version: int | None = None,
) -> TaskView:
    """Change what a task says; one that waits is looked at again. Its weight stays once somebody has it.

    Raises NotFound, Invalid, Conflict for a task that has ended, StaleVersion where `version` is not current.
    """
    pool_id = PoolId((await get_task(session, task_id=task_id)).task.pool_id)
    await raise_epoch(session, pool_id)
    task = await session.get_one(TaskRow, task_id, with_for_update=True, populate_existing=True)
    if task.pool_id != pool_id:
        raise Conflict(say("The task went on to another pool at this moment: repeat."), pool_id=task.pool_id)
    if version is not None and version != task.version:
        raise StaleVersion(
            say("If-Match: the task is at version {version} now; read it again.", version=task.version)
        )
    if task.status not in _CHANGEABLE:
        raise Conflict(
            say("A task that is {status} changes no more.", status=task.status), task_status=task.status
        )
    if "weight" in changes and task.status != "pending":
        raise Conflict(say("weight: somebody has the task and it was counted; reassign it first."))
    changed = await _checked_changes(session, task, changes)
    for name, value in changed.items():
        setattr(task, name, value)
    task.version += 1
    task.updated_at = now
    if task.status == "pending":
        task.wait_reason = task.wake_at = task.wait_class_id = task.wait_explanation = None
        task.attempts = 0  # it is another task than the one that workers died of
        task.escalate_at = None
    session.add(_change_event(task, changes, actor, now))
    await session.commit()
    return await get_task(session, task_id=task_id)


async def _checked_changes(
    session: AsyncSession, task: TaskRow, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The values to set. Raises Invalid for parameters that the catalogue refuses."""
    if "parameters" not in changes:
        return dict(changes)
    merged = {**task.parameters, **changes["parameters"]}
    given = {key: value for key, value in merged.items() if value is not None}
    checked = (await read_catalogue(session, pool_id=PoolId(task.pool_id))).check_values("task", given)
    faults = [FieldError(f"parameters.{e.field}", e.reason, e.remedy) for e in checked.errors]
    if faults:
        raise Invalid(say("{field}: {reason}", field=faults[0].field, reason=faults[0].reason), faults)
    return {**changes, "parameters": dict(checked.values)}


def _change_event(task: TaskRow, changes: Mapping[str, Any], actor: str, now: datetime) -> TaskEvent:
    return TaskEvent(
        task_id=task.id,
        pool_id=task.pool_id,
        event="changed",
        from_status=task.status,
        to_status=task.status,
        executor_id=task.executor_id,
        actor=actor,
        reason=", ".join(sorted(changes)),
        at=now,
    )


async def get_history(session: AsyncSession, *, task_id: TaskId, caller: Caller) -> list[HistoryItem]:
    """A task's life, oldest first: intake, assignments, and every move since. Raises NotFound.

    Steps in a pool that the caller does not see name neither persons nor reasons.
    """
    task = (await get_task(session, task_id=task_id)).task
    assignments = await session.scalars(
        select(Assignment).where(Assignment.task_id == task_id).order_by(*_IN_TURN)
    )
    events = await session.scalars(
        select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.id)
    )
    taken_in = HistoryItem("created", None, "pending", None, "api", "", task.created_at)
    items = [_as_seen(_assigned(each), each.pool_id, caller) for each in assignments]
    items += [_as_seen(_moved(each), each.pool_id, caller) for each in events]
    # A batch's time is that of its beginning: a task that came in meanwhile is placed by it, and is no older.
    return [taken_in, *sorted(items, key=lambda item: item.at)]


def _as_seen(item: HistoryItem, pool_id: int, caller: Caller) -> HistoryItem:
    """The step without what only the people of its pool, or (for an executor) the person itself may know."""
    if caller.sees_person(pool_id, item.executor_id):
        return item
    reason = item.reason if item.event == "assigned" else ""  # there it is the kind of assignment
    return replace(item, executor_id=None, actor="", reason=reason)


def _moved(event: TaskEvent) -> HistoryItem:
    return HistoryItem(
        event.event,
        event.from_status,
        event.to_status,
        event.executor_id,
        event.actor,
        event.reason,
        event.at,
    )


def _assigned(assignment: Assignment) -> HistoryItem:
    return HistoryItem(
        event="assigned",
        from_status="pending",
        to_status="assigned",
        executor_id=assignment.executor_id,
        actor=assignment.decided_by or "engine",
        reason=assignment.kind,
        at=assignment.decided_at,
    )
