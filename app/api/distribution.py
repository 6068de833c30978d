"""How fair it is."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.deps import DirectoryDep, NowDep, SessionDep
from app.api.problems import problems
from app.engine.types import PoolId
from app.schemas.common import Day, Identifier
from app.schemas.distribution import DistributionStats, FairnessOut, FairShareOut, ShareOut
from app.services.distribution import get_distribution

router = APIRouter(prefix="/v1/distribution", tags=["distribution"])


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
    )


@router.get("/fairness", responses=problems(404, 422, 503))
async def get_fairness(
    session: SessionDep,
    directory: DirectoryDep,
    now: NowDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
    day: Annotated[Day | None, Query(description="A business day; today where left out.")] = None,
) -> FairnessOut:
    """What everybody received beside what would have been fair; solved from figures kept as they happened."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    figures = await get_distribution(session, pool_id=pool.id, now=now, day=day)
    return FairnessOut(
        pool_id=figures.pool_id,
        business_day=figures.day,
        fairness_gap=figures.fairness_gap,
        mae=figures.mae,
        mae_optimum=figures.mae_optimum,
        executors=[
            FairShareOut(
                executor_id=share.executor_id,
                name=share.name,
                received=share.received,
                fair_share=round(share.fair, 6),
                deviation=round(share.deviation, 6),
            )
            for share in figures.shares
        ],
    )
