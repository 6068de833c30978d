"""Reading tasks: one, a page, a life."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import Caller, within_reach
from app.engine.types import PoolId, TaskId
from app.errors import NotFound
from app.models import Assignment, Executor, Task, TaskEvent


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with its current (or last) assignment and that executor's name."""

    task: Task
    assignment: Assignment | None
    executor_name: str | None


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a list shows; None means any."""

    pool_id: PoolId | None = None
    status: str | None = None
    executor_id: int | None = None
    external_id: str | None = None
    waiting: bool | None = None


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
        raise NotFound(f"There is no task {task_id}.", task_id=task_id)
    return views[0]


async def get_tasks(session: AsyncSession, *, task_ids: Sequence[TaskId]) -> list[TaskView]:
    """Those of these tasks that exist, newest first."""
    return await _views(session, select(Task).where(Task.id.in_(task_ids)).order_by(Task.id.desc()))


async def list_tasks(
    session: AsyncSession, *, only: TaskFilter, caller: Caller, before: TaskId | None, limit: int
) -> tuple[list[TaskView], TaskId | None]:
    """A page of the tasks that the caller sees, newest first, and the id to go on before (None on the last page)."""
    query = within_reach(_filtered(select(Task), only), Task.pool_id, caller)
    if caller.own_work_only:
        query = query.where(Task.executor_id == caller.executor_id)
    if before is not None:
        query = query.where(Task.id < before)
    views = await _views(session, query.order_by(Task.id.desc()).limit(limit + 1))
    if len(views) <= limit:
        return views, None
    return views[:limit], TaskId(views[limit - 1].task.id)


def _filtered(query: Select[Any], only: TaskFilter) -> Select[Any]:
    if only.pool_id is not None:
        query = query.where(Task.pool_id == only.pool_id)
    if only.status is not None:
        query = query.where(Task.status == only.status)
    if only.executor_id is not None:
        query = query.where(Task.executor_id == only.executor_id)
    if only.external_id is not None:
        query = query.where(Task.external_id == only.external_id)
    if only.waiting:
        query = query.where(Task.status == "pending", Task.wait_reason.is_not(None))
    return query


async def _views(session: AsyncSession, query: Select[Any]) -> list[TaskView]:
    tasks = (await session.scalars(query)).all()
    rows = await session.execute(
        select(Assignment, Executor.name)
        .join(Executor, Executor.id == Assignment.executor_id)
        .where(Assignment.task_id.in_([task.id for task in tasks if task.status != "pending"]))
        .order_by(Assignment.id)
    )
    last = {assignment.task_id: (assignment, name) for assignment, name in rows}
    return [TaskView(task, *last.get(task.id, (None, None))) for task in tasks]


async def get_history(session: AsyncSession, *, task_id: TaskId) -> list[HistoryItem]:
    """A task's life, oldest first: intake, assignments, and every move since. Raises NotFound."""
    task = (await get_task(session, task_id=task_id)).task
    assignments = await session.scalars(
        select(Assignment).where(Assignment.task_id == task_id).order_by(Assignment.id)
    )
    events = await session.scalars(
        select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.id)
    )
    items = [HistoryItem("created", None, "pending", None, "api", "", task.created_at)]
    items += [_assigned(assignment) for assignment in assignments]
    items += [
        HistoryItem(
            event.event,
            event.from_status,
            event.to_status,
            event.executor_id,
            event.actor,
            event.reason,
            event.at,
        )
        for event in events
    ]
    return sorted(items, key=lambda item: item.at)


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
