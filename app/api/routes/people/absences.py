"""People who go: planned absences, and handing over what they have in hand, with a preview."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from app.api.deps import CallerDep, DoorbellDep, NowDep, PartsDep, SessionDep
from app.api.problems import problems
from app.api.routes.people.executors import ExecutorIdPath
from app.api.strict import StrictRoute
from app.engine.types import ExecutorId
from app.models import ExecutorAbsence
from app.schemas.absences import (
    AbsenceIn,
    AbsenceList,
    AbsenceOut,
    HandOverIn,
    HandOverOut,
    LeavingPlan,
    PlannedTask,
)
from app.schemas.common import Identifier
from app.services.executors import absences as absence_service
from app.services.executors.absences import NewAbsence
from app.services.tasks import hand_over as hand_over_service

router = APIRouter(prefix="/v1/executors/{executor_id}", tags=["executors"], route_class=StrictRoute)

AbsenceIdPath = Annotated[Identifier, Path(description="The absence's id.")]


@router.get("/absences", responses=problems(404, 422))
async def list_absences(
    executor_id: ExecutorIdPath,
    session: SessionDep,
    now: NowDep,
    past: Annotated[bool, Query(description="Those that have ended too.")] = False,
) -> AbsenceList:
    """When somebody is away."""
    found = await absence_service.list_absences(
        session, executor_id=ExecutorId(executor_id), now=now, past=past
    )
    return AbsenceList(items=[absence_out(row) for row in found])


@router.post("/absences", status_code=status.HTTP_201_CREATED, responses=problems(404, 422))
async def add_absence(
    executor_id: ExecutorIdPath, body: AbsenceIn, session: SessionDep, doorbell: DoorbellDep, now: NowDep
) -> AbsenceOut:
    """Plan an absence: meanwhile they receive nothing."""
    row, pool_id = await absence_service.add_absence(
        session,
        executor_id=ExecutorId(executor_id),
        absence=NewAbsence(
            body.starts_at, body.ends_at, body.reason, body.open_tasks, body.reassign_after_minutes
        ),
        now=now,
    )
    doorbell.ring(pool_id)
    return absence_out(row)


@router.delete("/absences/{absence_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 422))
async def remove_absence(
    executor_id: ExecutorIdPath,
    absence_id: AbsenceIdPath,
    session: SessionDep,
    doorbell: DoorbellDep,
    now: NowDep,
) -> Response:
    """They stay, or are back early."""
    pool_id = await absence_service.remove_absence(
        session, executor_id=ExecutorId(executor_id), absence_id=absence_id, now=now
    )
    doorbell.ring(pool_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/leaving", responses=problems(404, 422))
async def plan_leaving(executor_id: ExecutorIdPath, parts: PartsDep) -> LeavingPlan:
    """Who would get their open tasks if they went now; changes nothing."""
    plan = await hand_over_service.plan_leaving(
        parts.database.hot, parts.previewer, executor_id=ExecutorId(executor_id)
    )
    items = [
        PlannedTask(
            task_id=task.task_id,
            external_id=task.external_id,
            weight=task.weight,
            executor_id=task.executor_id,
            executor_name=task.executor_name,
            wait_reason=task.reason,
        )
        for task in plan
    ]
    waiting = sum(task.executor_id is None for task in plan)
    return LeavingPlan(moves=len(items) - waiting, waiting=waiting, items=items)


@router.post("/hand-over", responses=problems(404, 422))
async def hand_over(
    executor_id: ExecutorIdPath, body: HandOverIn, parts: PartsDep, caller: CallerDep, now: NowDep
) -> HandOverOut:
    """Give everything that they have in hand to others, now or after some minutes."""
    number = ExecutorId(executor_id)
    if body.after_minutes:
        at = now + timedelta(minutes=body.after_minutes)
        await hand_over_service.relieve_later(parts.database.hot, executor_id=number, at=at)
        return HandOverOut(task_ids=[], at=at)
    done = await hand_over_service.hand_over(
        parts.database.hot,
        executor_id=number,
        actor=caller.name,
        reason=body.reason,
        deliver=parts.settings.ais_url is not None,
    )
    parts.doorbell.ring(done.pool_id)
    return HandOverOut(task_ids=list(done.task_ids), at=None)


def absence_out(row: ExecutorAbsence) -> AbsenceOut:
    """The API's form of an absence."""
    fields = {name: getattr(row, name) for name in AbsenceOut.model_fields if name != "absence_id"}
    return AbsenceOut.model_validate({**fields, "absence_id": row.id})
