"""Executors: who they are, whether they are here, what they carry."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response, status

from app.api.deps import (
    CallerDep,
    DirectoryDep,
    DoorbellDep,
    LanguageDep,
    NowDep,
    PartsDep,
    SessionDep,
    SettingsDep,
)
from app.api.paging import CursorParam, LimitParam, ParametersParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.routes.work.tasks import task_page
from app.api.strict import StrictRoute
from app.api.versions import IfMatch, version_of
from app.engine.types import ExecutorId, PoolId
from app.errors import Conflict, Unavailable
from app.integrations.ais import AisDown, closing_client
from app.messages.catalogue import told
from app.messages.message import say
from app.schemas.common import Identifier
from app.schemas.executors import (
    ExecutorBatchIn,
    ExecutorBatchOut,
    ExecutorChange,
    ExecutorIn,
    ExecutorOut,
    ExecutorPage,
    ExecutorReplacement,
    ExecutorSyncOut,
)
from app.schemas.tasks import TaskPage, TaskStatus
from app.services.executors import executor_sync, executors as executor_service
from app.services.executors.executors import ExecutorView
from app.services.pools.parameter_filter import read_filter
from app.services.tasks.hand_over import hand_over, relieve_later
from app.services.tasks.task_queries import TaskFilter

router = APIRouter(prefix="/v1/executors", tags=["executors"], route_class=StrictRoute)

ExecutorIdPath = Annotated[Identifier, Path(description="The executor's id.")]


@router.get("", responses=problems(404, 422))
async def list_executors(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    active: Annotated[bool | None, Query()] = None,
    parameters: ParametersParam = None,
    cursor: CursorParam = None,
    limit: LimitParam = 100,
) -> ExecutorPage:
    """A pool's people, by id; those with certain values of parameters only, where asked for."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    views, after = await executor_service.list_executors(
        session,
        pool_id=pool.id,
        active=active,
        after=cursor_to_id(cursor),
        limit=limit,
        now=now,
        parameters=read_filter(parameters, "executor", pool.catalogue) if parameters is not None else (),
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
    """Add many, all or none; those with a known external_id are changed.

    What is left out stays as it is: a person who was let go comes back only where `active` is sent as true. Parameters
    are merged over what is there, and null removes a value, a limit or working hours.
    """
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    people = [person.model_dump(exclude_unset=True) for person in body.executors]
    ids = await executor_service.put_executors(session, pool_id=pool.id, people=people, now=now)
    doorbell.ring(pool.id)
    return ExecutorBatchOut(executor_ids=list(ids))


@router.post("/cache-sync", responses=problems(404, 409, 422, 503))
async def sync_executors(
    session: SessionDep,
    directory: DirectoryDep,
    doorbell: DoorbellDep,
    settings: SettingsDep,
    now: NowDep,
    language: LanguageDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    allow_many: Annotated[
        bool, Query(description="Also where it switches off more than half of the pool's active people.")
    ] = False,
) -> ExecutorSyncOut:
    """Pull people from the external system now; it is done periodically too."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    if settings.ais_url is None:
        raise Conflict(say("There is no external system: set AIS_URL."))
    async with closing_client(settings.ais_url, settings.ais_timeout) as client:
        try:
            said = await client.executors()
        except AisDown as error:
            raise Unavailable(
                say("The external system does not answer: {error}. Repeat.", error=error), retry_after=5
            ) from error
    found = await executor_sync.sync_executors(session, said, pool_id=pool.id, now=now, allow_many=allow_many)
    doorbell.ring(pool.id)
    return ExecutorSyncOut(
        seen=found.seen,
        added=found.added,
        changed=found.changed,
        refused=[told(each, language) for each in found.refused],
    )


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
async def deactivate_executor(
    executor_id: ExecutorIdPath,
    parts: PartsDep,
    session: SessionDep,
    caller: CallerDep,
    now: NowDep,
    open_tasks: Annotated[
        Literal["keep", "reassign"], Query(description="What becomes of what they have in hand.")
    ] = "keep",
    reassign_after_minutes: Annotated[int, Query(ge=0, le=60 * 24 * 365)] = 0,
) -> None:
    """Let a person go: they receive nothing more; history keeps them. See GET .../leaving for a preview."""
    number, pool = ExecutorId(executor_id), parts.database.hot
    view = await executor_service.change_executor(
        session, executor_id=number, changes={"active": False}, now=now
    )
    if open_tasks == "reassign" and reassign_after_minutes:
        at = now + timedelta(minutes=reassign_after_minutes)
        await relieve_later(pool, executor_id=number, at=at, if_inactive=True)
    elif open_tasks == "reassign":
        deliver = parts.settings.ais_url is not None
        await hand_over(pool, executor_id=number, actor=caller.name, reason="left", deliver=deliver)
    parts.doorbell.ring(PoolId(view.executor.pool_id))


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
    view = await executor_service.get_executor(session, executor_id=ExecutorId(executor_id), now=now)
    only = TaskFilter(PoolId(view.executor.pool_id), status=task_status, executor_id=executor_id)
    return await task_page(session, only=only, caller=caller, cursor=cursor, limit=limit)


def executor_out(view: ExecutorView) -> ExecutorOut:
    """The API's form of an executor."""
    executor, load = view.executor, view.load
    own = (
        "executor_id",
        "open_count",
        "open_weight",
        "assigned_today",
        "declined_today",
        "unknown_parameters",
    )
    fields = {name: getattr(executor, name) for name in ExecutorOut.model_fields if name not in own}
    return ExecutorOut.model_validate(
        {
            **fields,
            "executor_id": executor.id,
            "open_count": load.open_count,
            "open_weight": load.open_weight,
            "assigned_today": view.assigned_today,
            "declined_today": view.declined_today,
            "unknown_parameters": list(view.unknown_parameters),
        }
    )
