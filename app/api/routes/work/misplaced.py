"""Work that is with an executor who may not have it any more: listed, and moved by one call."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.deps import CallerDep, DirectoryDep, PartsDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId, TaskId
from app.schemas.common import Identifier
from app.schemas.misplaced import MisplacedList, MisplacedTask, MovedMisplacedOut, MoveMisplacedIn
from app.services.tasks.misplaced import find_misplaced, move_misplaced

router = APIRouter(prefix="/v1/distribution/misplaced", tags=["distribution"], route_class=StrictRoute)


@router.get("", responses=problems(404, 422))
async def list_misplaced(
    parts: PartsDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
) -> MisplacedList:
    """Open tasks whose executor was deactivated, or no longer passes the rules."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    found = await find_misplaced(parts.database.hot, pool_id=pool.id)
    items = [MisplacedTask.model_validate(each, from_attributes=True) for each in found]
    return MisplacedList(pool_id=pool.id, items=items)


@router.post("/move", responses=problems(404, 422))
async def move_misplaced_tasks(
    body: MoveMisplacedIn, parts: PartsDep, directory: DirectoryDep, caller: CallerDep
) -> MovedMisplacedOut:
    """Take them to whom the engine chooses; a task that is misplaced no more stays where it is."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    moved = await move_misplaced(
        parts.database.hot,
        pool_id=pool.id,
        only=None if body.task_ids is None else {TaskId(task_id) for task_id in body.task_ids},
        actor=caller.name,
        reason=body.reason,
        deliver=parts.settings.ais_url is not None,
    )
    parts.overview.forget(pool.id)
    if moved:
        parts.doorbell.ring(pool.id)
    return MovedMisplacedOut(task_ids=list(moved))
