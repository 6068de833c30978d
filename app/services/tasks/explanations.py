"""Why X, why not Y, why it waits: answered from what was stored with the decision; and the same before a decision."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import HotPool, among
from app.engine.placement.allocate import Decision, WaitingTask
from app.engine.placement.decision_log import picture_at
from app.engine.placement.explain import Explanation, Record, explain, explain_preview
from app.engine.placement.state import PoolState
from app.engine.types import AssignmentKind, ExecutorId, PoolId, Task, TaskId, WaitReason
from app.errors import Conflict, NotFound
from app.messages.message import say
from app.models import ClassSnapshotRow, ExecutorRow, TaskRow, TrailFrame
from app.services.placement import sql as statements
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.task_queries import TaskView, get_task


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation with the names of the people in it, and the pool in which it was decided."""

    explanation: Explanation
    names: Mapping[ExecutorId, str]
    pool_id: PoolId


async def explain_task(session: AsyncSession, *, task_id: TaskId) -> Explained:
    """Why the task's last decision was as it was. Raises NotFound; Conflict where nothing was decided yet."""
    view = await get_task(session, task_id=task_id)
    pool_id, record, class_id, facts = _stored(view)
    frames = await _frames(session, pool_id, facts["frame"])
    content = await session.scalar(select(ClassSnapshotRow.content).where(ClassSnapshotRow.id == class_id))
    if content is None or not frames:
        raise Conflict(
            say(
                "Task {task_id} was given by hand or its explanation was archived: there is nothing to compute.",
                task_id=task_id,
            )
        )
    explanation = explain(record, content, picture_at(frames, facts["step"]))
    return Explained(explanation, await _names(session, list(explanation.reasons)), pool_id)


def _stored(view: TaskView) -> tuple[PoolId, Record, int | None, Mapping[str, Any]]:
    """What was written down with the current wait, or else with the last assignment, and in which pool."""
    task = view.task
    if task.status == "pending" and task.wait_explanation is not None:
        facts = task.wait_explanation
        return PoolId(task.pool_id), _waiting(task, facts), facts.get("class", task.wait_class_id), facts
    if view.assignment is None:
        raise Conflict(
            say("Task {id} was not looked at yet: ask again in a moment.", id=task.id),
            task_status=task.status,
        )
    given = view.assignment.explanation
    record = Record(
        task_id=TaskId(task.id),
        weight=float(view.assignment.weight),
        executor_id=ExecutorId(view.assignment.executor_id),
        kind=AssignmentKind(view.assignment.kind),
        barred=frozenset(given.get("barred", ())),
        instead_of=given.get("instead_of"),
    )
    facts = {"frame": None, "step": 0, **given}
    return PoolId(view.assignment.pool_id), record, view.assignment.class_id, facts


def _waiting(task: TaskRow, facts: Mapping[str, Any]) -> Record:
    return Record(
        task_id=TaskId(task.id),
        weight=facts["weight"],
        reason=WaitReason(task.wait_reason) if task.wait_reason else WaitReason.NO_ONE_ELIGIBLE,
        barred=frozenset(facts.get("barred", ())),
        instead_of=facts.get("instead_of"),
    )


async def _frames(session: AsyncSession, pool_id: PoolId, number: int | None) -> Sequence[Mapping[str, Any]]:
    """The frames that the one with this number builds on, and itself, in order."""
    start = await session.scalar(
        select(TrailFrame.start).where(TrailFrame.pool_id == pool_id, TrailFrame.number == number)
    )
    frames = await session.scalars(
        select(TrailFrame.content)
        .where(TrailFrame.pool_id == pool_id, TrailFrame.start == start, TrailFrame.number <= number)
        .order_by(TrailFrame.number)
    )
    return frames.all()


async def _names(session: AsyncSession, ids: Sequence[ExecutorId]) -> dict[ExecutorId, str]:
    rows = await session.execute(select(ExecutorRow.id, ExecutorRow.name).where(among(ExecutorRow.id, ids)))
    return {ExecutorId(executor_id): name for executor_id, name in rows}


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a task now, and why."""

    outcome: Decision | WaitingTask
    explained: Explained


_NOW = "SELECT epoch, config_epoch, clock_timestamp() AS now FROM pool_states WHERE pool_id = $1"


class Previewer:
    """Pictures of the pools for questions that change nothing; the same engine as the workers', never written back."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._pictures: dict[PoolId, tuple[PoolSnapshot, asyncio.Lock]] = {}

    async def preview(self, pool_id: PoolId, task: Task) -> Preview:
        """Who would get this task now, and why. Raises NotFound for an unknown pool."""
        picture, lock = self._pictures.setdefault(pool_id, (PoolSnapshot(pool_id), asyncio.Lock()))
        async with lock:
            state = await self._refresh(picture)
            outcome, explanation = explain_preview(state, task)
            names = {executor.id: executor.name for executor in state.executors}
        return Preview(outcome, Explained(explanation, names, pool_id))

    async def picture(self, pool_id: PoolId) -> PoolState:
        """The pool as it is now, to try something on. Raises NotFound for an unknown pool."""
        picture, lock = self._pictures.setdefault(pool_id, (PoolSnapshot(pool_id), asyncio.Lock()))
        async with lock:
            return (await self._refresh(picture)).copy()

    async def _refresh(self, picture: PoolSnapshot) -> PoolState:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await connection.fetchrow(_NOW, picture.pool_id)
            if row is None:
                raise NotFound(
                    say("pool_id: there is no pool {pool_id}; see GET /v1/pools.", pool_id=picture.pool_id)
                )
            return await picture.refresh(
                connection, epoch=row["epoch"], config_epoch=row["config_epoch"], now=row["now"]
            )


async def parents_executor(pool: HotPool, pool_id: PoolId, parent_id: TaskId) -> ExecutorId | None:
    """Who has the parent task, to whom the child would go."""
    async with pool.acquire() as connection:
        found = await connection.fetchval(statements.EXECUTOR_OF_TASK, parent_id, pool_id)
    return None if found is None else ExecutorId(found)
