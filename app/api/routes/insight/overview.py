"""How a pool is right now."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.deps import DirectoryDep, NowDep, OverviewDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.schemas.common import Identifier
from app.schemas.overview import (
    ActiveRulesOut,
    BucketOut,
    LatencyOut,
    OverviewAlertOut,
    OverviewOut,
    PeopleOut,
    WaitingOut,
)
from app.services.live.overview import Minute, PoolOverview

router = APIRouter(prefix="/v1/distribution", route_class=StrictRoute, tags=["distribution"])

MOST_STEPS = 120
_WHOLE_MINUTES = 5


@router.get("/overview", responses=problems(404, 422, 503))
async def get_overview(
    directory: DirectoryDep,
    overview: OverviewDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
    period: Annotated[int, Query(ge=1, le=1440, description="Minutes to look back.")] = 60,
) -> OverviewOut:
    """Work per minute, what waits and why, latency, alerts: one look that costs the same however much there is."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    picture, minutes = await overview.look(pool.id, period=timedelta(minutes=period), now=now)
    return overview_out(pool.id, period, picture, minutes)


def overview_out(
    pool_id: PoolId, period: int, picture: PoolOverview, minutes: Sequence[Minute]
) -> OverviewOut:
    """The API's form of a look at a pool."""
    step = -(-period // MOST_STEPS)
    recent = minutes[-1 - _WHOLE_MINUTES : -1] or minutes
    return OverviewOut(
        pool_id=pool_id,
        now=picture.now,
        period_minutes=period,
        step_minutes=step,
        steps=_steps(minutes, step),
        received=sum(minute.received for minute in minutes),
        assigned=sum(minute.assigned for minute in minutes),
        closed=sum(minute.closed for minute in minutes),
        received_per_minute=sum(minute.received for minute in recent) / len(recent),
        assigned_per_minute=sum(minute.assigned for minute in recent) / len(recent),
        undecided=picture.undecided,
        undecided_since=picture.undecided_since,
        waiting=[WaitingOut.model_validate(each, from_attributes=True) for each in picture.waiting],
        latency=_latency(picture),
        people=PeopleOut(
            total=sum(picture.people.values()),
            available=picture.people.get("available", 0),
            on_break=picture.people.get("break", 0),
            offline=picture.people.get("offline", 0),
        ),
        rule_set=picture.rule_set
        and ActiveRulesOut(
            rule_set_id=picture.rule_set[0], name=picture.rule_set[1], version=picture.rule_set[2]
        ),
        alerts=[OverviewAlertOut.model_validate(each, from_attributes=True) for each in picture.alerts],
    )


def _latency(picture: PoolOverview) -> LatencyOut | None:
    if picture.latency is None:
        return None
    return LatencyOut.model_validate(picture.latency, from_attributes=True)


def _steps(minutes: Sequence[Minute], step: int) -> list[BucketOut]:
    """Minutes put together, the newest group whole, so that steps do not jump as time goes on."""
    groups: dict[int, list[Minute]] = {}
    for minute in minutes:
        groups.setdefault(int(minute.at.timestamp()) // (60 * step), []).append(minute)
    return [
        BucketOut(
            at=group[0].at,
            received=sum(minute.received for minute in group),
            assigned=sum(minute.assigned for minute in group),
            closed=sum(minute.closed for minute in group),
        )
        for group in groups.values()
    ]
