"""Executors: who they are, whether they are here, what they carry."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from app.api.deps import CallerDep, DirectoryDep, DoorbellDep, NowDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.tasks import task_out
from app.api.versions import IfMatch, version_of
from app.engine.types import ExecutorId, PoolId, TaskId
from app.schemas.common import Identifier
from app.schemas.executors import (
    ExecutorBatchIn,
    ExecutorBatchOut,
    ExecutorChange,
    ExecutorIn,
    ExecutorOut,
    ExecutorPage,
    ExecutorReplacement,
)
from app.schemas.tasks import TaskPage, TaskStatus
from app.services import executors as executor_service, tasks as task_service
from app.services.executors import ExecutorView
from app.services.tasks import TaskFilter

router = APIRouter(prefix="/v1/executors", tags=["executors"])

ExecutorIdPath = Annotated[Identifier, Path(description="The executor's id.")]


@router.get("", responses=problems(404, 422))
async def list_executors(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    active: Annotated[bool | None, Query()] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 100,
) -> ExecutorPage:
    """A pool's people, by id."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    views, after = await executor_service.list_executors(
        session, pool_id=pool.id, active=active, after=cursor_to_id(cursor), limit=limit, now=now
    )
    return ExecutorPage(items=[executor_out(view) for view in views], next_cursor=id_to_cursor(after))


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(404, 409, 422))
async def create_executor(
    body: ExecutorIn, session: SessionDep, directory: DirectoryDep, doorbell: DoorbellDep, now: NowDep
) -> ExecutorOut:
    """Add a person; they may receive work at once."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    view = await executor_service.create_executor(
        session, pool_id=pool.id, values=body.model_dump(exclude={"pool_id"}), now=now
    )
    doorbell.ring(pool.id)
    return executor_out(view)


@router.post("/batch", responses=problems(404, 409, 413, 422))
async def put_executors(
    body: ExecutorBatchIn, session: SessionDep, directory: DirectoryDep, doorbell: DoorbellDep, now: NowDep
) -> ExecutorBatchOut:
    """Add many, all or none; those with a known external_id are changed."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    people = [person.model_dump() for person in body.executors]
    ids = await executor_service.put_executors(session, pool_id=pool.id, people=people, now=now)
    doorbell.ring(pool.id)
    return ExecutorBatchOut(executor_ids=list(ids))


@router.get("/{executor_id}", responses=problems(404, 422))
async def get_executor(
    executor_id: ExecutorIdPath, session: SessionDep, now: NowDep, response: Response
) -> ExecutorOut:
    """One person."""
    view = await executor_service.get_executor(session, executor_id=ExecutorId(executor_id), now=now)
    response.headers["ETag"] = f'"{view.executor.version}"'
    return executor_out(view)


@router.put("/{executor_id}", responses=problems(404, 409, 412, 422))
async def replace_executor(
    executor_id: ExecutorIdPath,
    body: ExecutorReplacement,
    session: SessionDep,
    doorbell: DoorbellDep,
    now: NowDep,
    if_match: IfMatch = None,
) -> ExecutorOut:
    """Say everything of a person anew."""
    view = await executor_service.change_executor(
        session,
        executor_id=ExecutorId(executor_id),
        changes=body.model_dump(),
        now=now,
        merge_parameters=False,
        version=version_of(if_match),
    )
    doorbell.ring(PoolId(view.executor.pool_id))
    return executor_out(view)


@router.patch("/{executor_id}", responses=problems(404, 409, 412, 422))
async def change_executor(
    executor_id: ExecutorIdPath,
    body: ExecutorChange,
    session: SessionDep,
    doorbell: DoorbellDep,
    now: NowDep,
    if_match: IfMatch = None,
) -> ExecutorOut:
    """Change what is sent; null removes a limit, working hours or an external_id."""
    given = body.model_dump(exclude_unset=True)
    never_null = ("name", "parameters", "active", "availability", "qualification")
    changes = {name: value for name, value in given.items() if value is not None or name not in never_null}
    view = await executor_service.change_executor(
        session, executor_id=ExecutorId(executor_id), changes=changes, now=now, version=version_of(if_match)
    )
    doorbell.ring(PoolId(view.executor.pool_id))
    return executor_out(view)


@router.delete("/{executor_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 422))
async def deactivate_executor(executor_id: ExecutorIdPath, session: SessionDep, now: NowDep) -> None:
    """Let a person go: they receive nothing more; history keeps them."""
    await executor_service.change_executor(
        session, executor_id=ExecutorId(executor_id), changes={"active": False}, now=now
    )


@router.get("/{executor_id}/tasks", responses=problems(404, 422))
async def list_tasks_of_executor(
    executor_id: ExecutorIdPath,
    session: SessionDep,
    caller: CallerDep,
    now: NowDep,
    task_status: Annotated[TaskStatus | None, Query(alias="status")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> TaskPage:
    """A person's tasks, newest first."""
    await executor_service.get_executor(session, executor_id=ExecutorId(executor_id), now=now)
    before = cursor_to_id(cursor)
    views, next_before = await task_service.list_tasks(
        session,
        only=TaskFilter(executor_id=executor_id, status=task_status),
        caller=caller,
        before=None if before is None else TaskId(before),
        limit=limit,
    )
    return TaskPage(items=[task_out(view) for view in views], next_cursor=id_to_cursor(next_before))


def executor_out(view: ExecutorView) -> ExecutorOut:
    """The API's form of an executor."""
    executor, load = view.executor, view.load
    own = ("executor_id", "open_count", "open_weight", "assigned_today", "unknown_parameters")
    fields = {name: getattr(executor, name) for name in ExecutorOut.model_fields if name not in own}
    return ExecutorOut.model_validate(
        {
            **fields,
            "executor_id": executor.id,
            "open_count": load.open_count,
            "open_weight": load.open_weight,
            "assigned_today": view.assigned_today,
            "unknown_parameters": list(view.unknown_parameters),
        }
    )
