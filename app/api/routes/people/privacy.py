"""Personal data: handed out and erased on request."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, Field

from app.api.deps import CallersDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import ExecutorId
from app.schemas.common import Identifier
from app.services.executors import privacy

router = APIRouter(prefix="/v1/privacy", tags=["access"], route_class=StrictRoute)

ExecutorIdPath = Annotated[Identifier, Path(description="The executor's id.")]


class PersonOut(BaseModel):
    """Everything that is kept of a person."""

    executor: list[dict[str, Any]] = Field(description="The record itself.")
    absences: list[dict[str, Any]]
    accounts: list[dict[str, Any]] = Field(description="Users that are this person.")
    assignments: list[dict[str, Any]]
    events: list[dict[str, Any]] = Field(description="What happened to tasks they had.")
    audit: list[dict[str, Any]] = Field(description="Changes of the record.")


@router.get("/executors/{executor_id}", responses=problems(404, 422))
async def export_person(executor_id: ExecutorIdPath, session: SessionDep) -> PersonOut:
    """Everything that is kept of a person."""
    found = await privacy.export_person(session, executor_id=ExecutorId(executor_id))
    return PersonOut.model_validate({kind: [dict(row) for row in rows] for kind, rows in found.items()})


@router.post(
    "/executors/{executor_id}/erase",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 422),
)
async def erase_person(
    executor_id: ExecutorIdPath, session: SessionDep, callers: CallersDep, now: NowDep
) -> None:
    """Erase who a person was. Decisions, counters and fair shares stay, under the number alone; it cannot be undone."""
    await privacy.erase_person(session, executor_id=ExecutorId(executor_id), now=now)
    callers.forget()
