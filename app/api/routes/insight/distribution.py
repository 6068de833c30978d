"""How fair it is."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.deps import DirectoryDep, NowDep, SessionDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.fairness.alarm import AlarmKind
from app.engine.types import PoolId
from app.schemas.common import Day, Identifier
from app.schemas.distribution import (
    AlertsOut,
    DayFairnessOut,
    DistributionStats,
    FairnessAlarmOut,
    FairnessOut,
    FairShareOut,
    HourFairnessOut,
    ShareOut,
)
from app.schemas.explanations import in_both
from app.services.fairness.alert_words import alarm_text
from app.services.fairness.alerts import StandingAlarm, list_alerts
from app.services.fairness.distribution import get_distribution
from app.services.fairness.fairness_report import HourFairness, Period, PersonFairness, get_fairness_report

router = APIRouter(prefix="/v1/distribution", route_class=StrictRoute, tags=["distribution"])


@router.get("/stats", responses=problems(404, 422, 503))
async def get_stats(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
) -> DistributionStats:
    """Who received how much today, how even that is, and how even it could have been."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    day = await get_distribution(session, pool_id=pool.id, now=now)
    return DistributionStats(
        pool_id=day.pool_id,
        business_day=day.day,
        total_tasks=day.total_tasks,
        total_executors=len(day.shares),
        assigned_tasks=day.assigned_tasks,
        waiting_tasks=day.waiting_tasks,
        assignments=[
            ShareOut(
                executor_id=share.executor_id,
                name=share.name,
                assigned_today=share.received,
                daily_limit=share.daily_limit,
                utilization=share.utilization,
            )
            for share in day.shares
        ],
        mae=day.mae,
        mae_optimum=day.mae_optimum,
        fairness_gap=day.fairness_gap,
        avg_latency=day.avg_latency,
        alerts=[_alert(alert) for alert in await list_alerts(session, pool_id=pool.id)],
    )


@router.get("/fairness", responses=problems(404, 422, 503))
async def get_fairness(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
    day: Annotated[Day | None, Query(description="The last business day; today where left out.")] = None,
    period: Annotated[Period, Query(description="That day alone, or its week or month so far.")] = "day",
    hours: Annotated[bool, Query(description="Whether to tell each hour too, person by person.")] = True,
) -> FairnessOut:
    """What everybody received beside what would have been fair; solved from figures kept as they happened."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    report = await get_fairness_report(
        session, pool_id=pool.id, now=now, day=day, period=period, with_hours=hours
    )
    return FairnessOut(
        pool_id=report.pool_id,
        business_day=report.last,
        first_day=report.first,
        fairness_gap=report.fairness_gap,
        mae=report.mae,
        mae_optimum=report.mae_optimum,
        executors=[_share(person) for person in report.people],
        days=[
            DayFairnessOut(business_day=each.day, received=each.received, fairness_gap=each.fairness_gap)
            for each in report.days
        ],
        hours=[_hour(each) for each in report.hours],
    )


@router.get("/alerts", responses=problems(404, 422, 503))
async def get_alerts(
    session: SessionDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
) -> AlertsOut:
    """Bounds of fairness that are passed now: a look that solves and counts nothing."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    return AlertsOut(alerts=[_alert(alert) for alert in await list_alerts(session, pool_id=pool.id)])


def _share(person: PersonFairness) -> FairShareOut:
    return FairShareOut(
        executor_id=person.executor_id,
        name=person.name,
        received=person.received,
        fair_share=round(person.fair, 6),
        deviation=round(person.deviation, 6),
    )


def _hour(each: HourFairness) -> HourFairnessOut:
    return HourFairnessOut(
        hour=each.hour,
        received=each.received,
        fairness_gap=each.fairness_gap,
        mae=each.mae,
        mae_optimum=each.mae_optimum,
        executors=[_share(person) for person in each.people],
    )


def _alert(alert: StandingAlarm) -> FairnessAlarmOut:
    return FairnessAlarmOut(
        kind=alert.kind,
        cause="demand" if alert.kind is AlarmKind.DEMAND else "allocation",
        executor_id=alert.executor_id,
        name=alert.name,
        value=alert.value,
        bound=alert.bound,
        raised_at=alert.raised_at,
        text=in_both(alarm_text(alert)),
    )
