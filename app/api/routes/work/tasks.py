"""Tasks: taken in, looked at, listed."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Caller
from app.api.deps import AppParts, CallerDep, DirectoryDep, IntakeDep, PartsDep, SessionDep, SettingsDep
from app.api.idempotency import SentKeyDep
from app.api.paging import CursorParam, LimitParam, ParametersParam, cursor_to_instant, instant_to_cursor
from app.api.problems import field_errors, language_for, problem_of, problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId, TaskId
from app.errors import DomainError, FieldError, Invalid, KeyReused, TooLarge
from app.messages.catalogue import Language
from app.messages.message import say
from app.schemas.common import Identifier, Name
from app.schemas.tasks import (
    BatchItemOut,
    TaskBatchIn,
    TaskBatchOut,
    TaskCreated,
    TaskEventOut,
    TaskHistoryOut,
    TaskIn,
    TaskOut,
    TaskPage,
    TaskStatus,
    UnreadableTask,
)
from app.services.common.sent_keys import SentKey
from app.services.intake.intake import NewTask, Outcome
from app.services.pools.directory import KnownPool, PoolDirectory
from app.services.pools.parameter_filter import read_filter
from app.services.tasks import task_queries as task_service
from app.services.tasks.moves import allowed_moves
from app.services.tasks.task_queries import Position, TaskFilter, TaskView

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=StrictRoute)

TaskIdPath = Annotated[Identifier, Path(description="The task's id.")]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=TaskCreated,
    responses={
        200: {"model": TaskCreated, "description": "It had been here before; this is the first one."},
        201: {"model": TaskCreated, "description": "Assigned within the time to wait."},
        **problems(404, 413, 422, 429, 503),
    },
)
async def submit_task(
    body: TaskIn,
    parts: PartsDep,
    caller: CallerDep,
    key: SentKeyDep,
    wait: Annotated[
        float, Query(ge=0, description="Seconds to wait for the assignment before answering.")
    ] = 0,
) -> Response:
    """Take in one task. It is committed before the answer, and never lost after it."""
    # Plain requests do not come here: app/api/edge/shortcut.py takes them past the framework, with the same `take_in`.
    return await take_in(parts, caller, body, key, wait)


async def take_in(
    parts: AppParts, caller: Caller, body: TaskIn, key: SentKey | None, wait: float = 0
) -> Response:
    """Commit one task and make the answer to it. Raises what the services refuse."""
    pool = await parts.directory.seen_by(caller).get(_pool_id(body.pool_id))
    task, unknown = new_task(pool, body, key)
    receipt = await parts.intake.submit(task)
    if receipt.created_at is not None and not wait:
        created = _just_written(task, receipt.task_id, receipt.created_at, unknown)
        return _created(created, status.HTTP_202_ACCEPTED)
    if wait:
        await parts.waiting_room.wait(receipt.task_id, min(wait, parts.settings.wait_limit))
    async with parts.database.session() as session:
        view = await task_service.get_task(session, task_id=receipt.task_id)
    created = TaskCreated(
        **task_out(view, caller).model_dump(), duplicate=receipt.duplicate, unknown_parameters=unknown
    )
    assigned = status.HTTP_201_CREATED if view.assignment else status.HTTP_202_ACCEPTED
    return _created(created, status.HTTP_200_OK if receipt.duplicate else assigned)


def _created(task: TaskCreated, status_code: int) -> Response:
    return Response(
        task.model_dump_json(),
        status_code,
        headers={"Location": f"/v1/tasks/{task.task_id}"},
        media_type="application/json",
    )


@router.post("/batch", status_code=status.HTTP_202_ACCEPTED, responses=problems(404, 413, 422, 429, 503))
async def submit_tasks(
    request: Request,
    body: TaskBatchIn,
    directory: DirectoryDep,
    intake: IntakeDep,
    settings: SettingsDep,
    key: SentKeyDep,
    partial: Annotated[bool, Query(description="Take what is right and report what is wrong.")] = False,
) -> TaskBatchOut:
    """Take in many tasks in one transaction: all or nothing, or each on its own with `partial`."""
    if len(body.tasks) > settings.batch_limit:
        raise TooLarge(
            say(
                "tasks: {count} at once; send at most {most}.",
                count=len(body.tasks),
                most=settings.batch_limit,
            )
        )
    checked = await _checked(body, directory, key, partial=partial)
    wrong = [error for _, error in checked if isinstance(error, DomainError)]
    if wrong and not partial:
        raise Invalid(
            say("Nothing was taken in: correct these tasks or send ?partial=true."), _located(checked)
        )
    sent = body.items()
    written = [task for task, _ in checked if task is not None]
    outcomes_of = await intake.submit_batch(written, whole=not partial) if written else []
    outcomes = iter(outcomes_of)
    became = [(next(outcomes) if task else note, note) for task, note in checked]
    reused = next((each for each in outcomes_of if isinstance(each, KeyReused)), None)
    if reused is not None:
        raise reused
    refused = [(index, each) for index, (each, _) in enumerate(became) if isinstance(each, DomainError)]
    if refused and not partial:
        raise Invalid(
            say("Nothing was taken in: correct these tasks or send ?partial=true."),
            [FieldError(f"tasks[{index}]", error.detail) for index, error in refused],
        )
    language = language_for(request) if refused else "en"
    items = [_item(index, sent[index], *each, language) for index, each in enumerate(became)]
    return TaskBatchOut(
        accepted=sum(item.task_id is not None and not item.duplicate for item in items),
        duplicates=sum(item.duplicate for item in items),
        refused=len(refused),
        items=items,
    )


async def _asked_for(
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    task_status: Annotated[TaskStatus | None, Query(alias="status")] = None,
    executor_id: Annotated[Identifier | None, Query()] = None,
    external_id: Annotated[Name | None, Query()] = None,
    waiting: Annotated[bool | None, Query(description="Only those that nobody can take now.")] = None,
    home_pool_id: Annotated[
        Identifier | None, Query(description="Handed in here, and worked on in another pool now.")
    ] = None,
    parameters: ParametersParam = None,
) -> TaskFilter:
    """Which tasks a list shows. Raises Invalid, NotFound (the pool whose parameters are named)."""
    only = TaskFilter(
        _pool_id(pool_id), task_status, executor_id, external_id, waiting, _pool_id(home_pool_id)
    )
    if parameters is None:
        return only
    pool = await directory.get(only.pool_id or only.home_pool_id)
    conditions = read_filter(parameters, "task", pool.catalogue)
    return replace(only, pool_id=only.pool_id if only.home_pool_id else pool.id, parameters=conditions)


@router.get("", responses=problems(404, 422))
async def list_tasks(
    session: SessionDep,
    caller: CallerDep,
    only: Annotated[TaskFilter, Depends(_asked_for)],
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> TaskPage:
    """Tasks, newest first."""
    return await task_page(session, only=only, caller=caller, cursor=cursor, limit=limit)


async def task_page(
    session: AsyncSession, *, only: TaskFilter, caller: Caller, cursor: str | None, limit: int
) -> TaskPage:
    """A page of the tasks that the caller sees. Raises Invalid for a cursor that is none of ours."""
    after = cursor_to_instant(cursor)
    before = None if after is None else Position(after[0], TaskId(after[1]))
    views, following = await task_service.list_tasks(
        session, only=only, caller=caller, before=before, limit=limit
    )
    return TaskPage(
        items=[task_out(view, caller) for view in views], next_cursor=instant_to_cursor(following)
    )


@router.get("/{task_id}", responses=problems(404, 422))
async def get_task(
    task_id: TaskIdPath, session: SessionDep, caller: CallerDep, response: Response
) -> TaskOut:
    """One task with its assignment; people of the pool where it was handed in do not see who has it elsewhere."""
    view = await task_service.get_task(session, task_id=TaskId(task_id))
    response.headers["ETag"] = f'"{view.task.version}"'
    return task_out(view, caller)


@router.get("/{task_id}/history", responses=problems(404, 422))
async def get_history(task_id: TaskIdPath, session: SessionDep, caller: CallerDep) -> TaskHistoryOut:
    """All that happened to a task, oldest first; steps in a pool that you do not see name nobody."""
    items = await task_service.get_history(session, task_id=TaskId(task_id), caller=caller)
    return TaskHistoryOut(
        task_id=task_id, items=[TaskEventOut.model_validate(item, from_attributes=True) for item in items]
    )


def _pool_id(value: int | None) -> PoolId | None:
    return None if value is None else PoolId(value)


def new_task(pool: KnownPool, body: TaskIn, key: SentKey | None) -> tuple[NewTask, list[str]]:
    """A task that the catalogue allows, and the keys it does not know. Raises Invalid."""
    checked = pool.catalogue.check_values("task", body.parameters)
    if checked.errors:
        fields = [
            FieldError(f"parameters.{error.field}", error.reason, error.remedy) for error in checked.errors
        ]
        raise Invalid(
            say(
                "parameters: {field}: {reason}",
                field=checked.errors[0].field,
                reason=checked.errors[0].reason,
            ),
            fields,
        )
    task = NewTask(
        pool_id=pool.id,
        parameters=dict(checked.values),
        external_id=body.external_id,
        weight=round(body.weight, 3),
        priority=body.priority,
        deadline=body.deadline,
        parent_id=None if body.parent_id is None else TaskId(body.parent_id),
        idempotency_key=key.key if key else None,
        sent=key.fingerprint if key else None,
    )
    return task, list(checked.unknown)


def _just_written(task: NewTask, task_id: TaskId, created_at: datetime, unknown: list[str]) -> TaskCreated:
    """The answer to a task of which nothing is known yet but what was sent: no need to ask the database."""
    return TaskCreated(
        task_id=task_id,
        pool_id=task.pool_id,
        external_id=task.external_id,
        parameters=task.parameters,
        weight=task.weight,
        priority=task.priority,
        deadline=task.deadline,
        parent_id=task.parent_id,
        status="pending",
        version=1,
        executor_id=None,
        wait_reason=None,
        waiting_since=None,
        created_at=created_at,
        updated_at=created_at,
        allowed_moves=_MOVES_OF_NEW,
        duplicate=False,
        unknown_parameters=unknown,
    )


_MOVES_OF_NEW = allowed_moves("pending")

Checked = tuple[NewTask, list[str]] | tuple[None, DomainError]


async def _checked(
    body: TaskBatchIn, directory: PoolDirectory, key: SentKey | None, *, partial: bool
) -> list[Checked]:
    """Each task or its fault. Raises the first fault of the kinds that refuse a whole batch (NotFound)."""
    checked: list[Checked] = []
    for index, task in enumerate(body.items()):
        try:
            if isinstance(task, UnreadableTask):
                faults = field_errors(task.faults)
                raise Invalid(
                    say("{field}: {reason}", field=faults[0].field, reason=faults[0].reason), faults
                )
            pool = await directory.get(_pool_id(task.pool_id or body.pool_id))
            checked.append(new_task(pool, task, key and key.of_item(index)))
        except DomainError as error:
            if not (partial or isinstance(error, Invalid)):
                raise
            checked.append((None, error))
    return checked


def _located(checked: list[Checked]) -> list[FieldError]:
    return [
        FieldError(f"tasks[{index}].{fault['field']}", fault["reason"], fault["remedy"])
        for index, (_, error) in enumerate(checked)
        if isinstance(error, Invalid)
        for fault in error.members.get("errors", ())
    ]


def _item(
    index: int,
    body: TaskIn | UnreadableTask,
    outcome: Outcome | list[str],
    note: DomainError | list[str],
    language: Language,
) -> BatchItemOut:
    if isinstance(outcome, DomainError):
        return BatchItemOut(index=index, external_id=body.external_id, problem=problem_of(outcome, language))
    assert not isinstance(outcome, list)  # noqa: S101 - narrows the type
    return BatchItemOut(
        index=index,
        task_id=outcome.task_id,
        external_id=body.external_id,
        duplicate=outcome.duplicate,
        unknown_parameters=note if isinstance(note, list) else [],
    )


def task_out(view: TaskView, caller: Caller) -> TaskOut:
    """The API's form of a task, as this caller sees it: of a pool that they do not see it names no executor."""
    task, assignment = view.task, view.assignment
    if assignment is not None and not caller.sees_person(assignment.pool_id, assignment.executor_id):
        assignment = None
    return TaskOut.model_validate(
        {
            **{name: getattr(task, name) for name in _TASK_FIELDS},
            "executor_id": task.executor_id if caller.sees(task.pool_id) else None,
            "task_id": task.id,
            "wait_until": task.wake_at if task.wait_reason is not None else None,
            "allowed_moves": allowed_moves(task.status),
            "assignment": assignment
            and {
                **{name: getattr(assignment, name) for name in _ASSIGNMENT_FIELDS},
                "assignment_id": assignment.id,
                "executor_name": view.executor_name or "",
            },
        }
    )


_ASSIGNMENT_FIELDS = (
    "executor_id",
    "kind",
    "rule_set_id",
    "weight",
    "score",
    "decided_at",
    "delivery_state",
    "accepted_at",
)
_TASK_FIELDS = (
    "pool_id",
    "home_pool_id",
    "moved_at",
    "external_id",
    "parameters",
    "weight",
    "priority",
    "deadline",
    "parent_id",
    "status",
    "version",
    "executor_id",
    "wait_reason",
    "waiting_since",
    "escalation",
    "created_at",
    "updated_at",
)
