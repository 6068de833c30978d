"""The life of a task after its assignment: one route for each move, and changes of what it says."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.access.roles import EVERYTHING, Caller
from app.api.deps import CallerDep, DoorbellDep, NowDep, PartsDep, SessionDep
from app.api.idempotency import SentKeyDep
from app.api.problems import problems
from app.api.routes.work.tasks import TaskIdPath, task_out
from app.api.strict import StrictRoute
from app.api.versions import IfMatch, version_of
from app.engine.types import ExecutorId, PoolId, TaskId
from app.schemas.tasks import MoveIn, ReasonedMoveIn, ReassignIn, TaskChange, TaskOut
from app.services.tasks import task_queries as task_service
from app.services.tasks.move_keys import first_answer, keep_answer
from app.services.tasks.moves import Move, MoveName

router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["lifecycle"], route_class=StrictRoute)

_PROBLEMS = problems(404, 409, 412, 422, 503)

Wait = Annotated[float, Query(ge=0, description="Seconds to wait until somebody has the task again.")]
_NO_REASON = MoveIn()


@router.post("/accept", responses=_PROBLEMS)
async def accept_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
) -> TaskOut:
    """Take an offer: it stays, however long the work takes."""
    move = Move(TaskId(task_id), MoveName.ACCEPT, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/decline", responses=_PROBLEMS)
async def decline_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
    wait: Wait = 0,
) -> TaskOut:
    """Do not take it: it goes on to the next, never back to the same person at once; declines are counted."""
    move = Move(TaskId(task_id), MoveName.DECLINE, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response, wait)


@router.post("/start", responses=_PROBLEMS)
async def start_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
) -> TaskOut:
    """The executor begins to work on it."""
    move = Move(TaskId(task_id), MoveName.START, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/complete", responses=_PROBLEMS)
async def complete_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
) -> TaskOut:
    """Done: the slot is free, and what waits for it is looked at at once."""
    move = Move(TaskId(task_id), MoveName.COMPLETE, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/reject", responses=_PROBLEMS)
async def reject_task(
    task_id: TaskIdPath,
    body: ReasonedMoveIn,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    if_match: IfMatch = None,
) -> TaskOut:
    """Refused for good and undone: it does not count as received. To pass it on, reassign it."""
    move = Move(TaskId(task_id), MoveName.REJECT, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/return", responses=_PROBLEMS)
async def return_task(
    task_id: TaskIdPath,
    body: ReasonedMoveIn,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    if_match: IfMatch = None,
) -> TaskOut:
    """Back to the client for something that is missing; the executor's slot is free meanwhile."""
    move = Move(TaskId(task_id), MoveName.RETURN, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/resume", responses=_PROBLEMS)
async def resume_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
    wait: Wait = 0,
) -> TaskOut:
    """The client answered: back to the same executor while they may have it, else to another."""
    move = Move(TaskId(task_id), MoveName.RESUME, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response, wait)


@router.post("/cancel", responses=_PROBLEMS)
async def cancel_task(
    task_id: TaskIdPath,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    body: MoveIn = _NO_REASON,
    if_match: IfMatch = None,
) -> TaskOut:
    """Nobody needs it any more; it does not count as received."""
    move = Move(TaskId(task_id), MoveName.CANCEL, caller.name, body.reason, version_of(if_match))
    return await _moved(parts, caller, replace(move, key=key), response)


@router.post("/reassign", responses=_PROBLEMS)
async def reassign_task(
    task_id: TaskIdPath,
    body: ReassignIn,
    parts: PartsDep,
    caller: CallerDep,
    response: Response,
    key: SentKeyDep,
    if_match: IfMatch = None,
    wait: Wait = 0,
) -> TaskOut:
    """Away from whoever has it, to a named executor or to whom the engine chooses."""
    to = None if body.executor_id is None else ExecutorId(body.executor_id)
    move = Move(TaskId(task_id), MoveName.REASSIGN, caller.name, body.reason, version_of(if_match), to)
    return await _moved(parts, caller, replace(move, key=key), response, wait)


@router.patch("", responses=_PROBLEMS)
async def change_task(
    task_id: TaskIdPath,
    body: TaskChange,
    session: SessionDep,
    doorbell: DoorbellDep,
    caller: CallerDep,
    now: NowDep,
    response: Response,
    if_match: IfMatch = None,
) -> TaskOut:
    """Change what is sent; a task that waits is looked at again at once."""
    given = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in given.items() if value is not None or name == "deadline"}
    view = await task_service.change_task(
        session,
        task_id=TaskId(task_id),
        changes=changes,
        actor=caller.name,
        now=now,
        version=version_of(if_match),
    )
    doorbell.ring(PoolId(view.task.pool_id))
    response.headers["ETag"] = f'"{view.task.version}"'
    return task_out(view, caller)


async def _moved(
    parts: PartsDep, caller: CallerDep, move: Move, response: Response, wait: float = 0
) -> TaskOut:
    await parts.lifecycle.move(move)
    if move.key is not None and (first := await first_answer(parts.database.hot, move.task_id, move.key)):
        return _again(first, caller, response)
    if wait:
        await parts.waiting_room.wait(move.task_id, min(wait, parts.settings.wait_limit))
    view = await parts.task_reader.get_task(move.task_id)
    if move.key is not None:
        whole = task_out(view, EVERYTHING).model_dump_json()
        kept = await keep_answer(parts.database.hot, move.task_id, move.key, whole)
        return _again(kept, caller, response)
    answer = task_out(view, caller)
    response.headers["ETag"] = f'"{answer.version}"'
    return answer


def _again(kept: str, caller: Caller, response: Response) -> TaskOut:
    """The answer to the first move of a key, as this caller may see it: the first one may have seen more."""
    answer = TaskOut.model_validate_json(kept)
    had = answer.assignment.executor_id if answer.assignment else None
    if not caller.sees_person(answer.pool_id, had):
        answer.executor_id = answer.assignment = None
    response.headers["ETag"] = f'"{answer.version}"'
    return answer
