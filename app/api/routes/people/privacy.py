"""Personal data: handed out and erased on request."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import CallersDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import ExecutorId
from app.schemas.common import Identifier, Name
from app.services.executors import privacy

router = APIRouter(prefix="/v1/privacy", tags=["access"], route_class=StrictRoute)

TaskIdPath = Annotated[Identifier, Path(description="The task's id.")]
ExecutorIdPath = Annotated[Identifier, Path(description="The executor's id.")]


class PersonOut(BaseModel):
    """Everything that is kept of a person."""

    executor: list[dict[str, Any]] = Field(description="The record itself.")
    absences: list[dict[str, Any]]
    accounts: list[dict[str, Any]] = Field(description="Users that are this person.")
    assignments: list[dict[str, Any]]
    events: list[dict[str, Any]] = Field(description="What happened to tasks they had.")
    audit: list[dict[str, Any]] = Field(
        description="Changes of the record, of absences (also removed ones) and of accounts (also former ones)."
    )
    deeds: list[dict[str, Any]] = Field(
        description="Audit entries of what they did, signing in among them, with the address."
    )
    messages: list[dict[str, Any]] = Field(
        description="Messages to other systems that name them as the actor."
    )
    replays: list[dict[str, Any]] = Field(description="Replays whose results show them.")


class ErasedOut(BaseModel):
    """What stays of a person after erasing, and how to erase it."""

    executor_id: int
    tasks: int = Field(
        description="Tasks they had, whose texts stay: parameters, and reasons that others wrote."
    )
    kept: list[str] = Field(description="What stays by design.")


class TaskErasureIn(BaseModel):
    """Which task is meant: by the external id under which a pool took it in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"pool_id": 1, "external_id": "REQ-1"}]}
    )

    pool_id: Identifier
    external_id: Name


KEPT = [
    "the executor's number in decisions, counters and fair shares",
    "free text that others wrote, in rules and settings",
    "client data and reasons in tasks: found by GET /v1/tasks, erased by POST /v1/privacy/tasks/{task_id}/erase",
    "the name of a former account that is another person's, or has another role, by now",
    "archive files, logs, backups, and what other systems were told",
]


@router.get("/executors/{executor_id}", responses=problems(404, 422))
async def export_person(executor_id: ExecutorIdPath, session: SessionDep) -> PersonOut:
    """Everything that is kept of a person."""
    found = await privacy.export_person(session, executor_id=ExecutorId(executor_id))
    return PersonOut.model_validate({kind: [dict(row) for row in rows] for kind, rows in found.items()})


@router.post("/executors/{executor_id}/erase", responses=problems(404, 409, 422))
async def erase_person(
    executor_id: ExecutorIdPath, session: SessionDep, callers: CallersDep, now: NowDep
) -> ErasedOut:
    """Erase who a person was. Decisions, counters and fair shares stay, under the number alone; it cannot be undone.

    Replays that show the person are removed. The answer says what stays.
    """
    tasks = await privacy.erase_person(session, executor_id=ExecutorId(executor_id), now=now)
    callers.forget()
    return ErasedOut(executor_id=executor_id, tasks=tasks, kept=KEPT)


@router.post(
    "/tasks/{task_id}/erase", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 409, 422)
)
async def erase_task(task_id: TaskIdPath, session: SessionDep) -> None:
    """Erase what was said in a task that ended: parameters, external id, reasons. Who had it, and when, stays."""
    await privacy.erase_task(session, task_id=task_id)


@router.post("/tasks/erase", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 409, 422))
async def erase_task_by_external_id(body: TaskErasureIn, session: SessionDep) -> None:
    """The same, for the task that a pool took in under an external id."""
    task_id = await privacy.task_of_external_id(session, pool_id=body.pool_id, external_id=body.external_id)
    await privacy.erase_task(session, task_id=task_id)
