"""What touches the whole installation."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.deps import PartsDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.services.audit.recount import reset_daily_counts as reset

router = APIRouter(prefix="/v1/admin", tags=["admin"], route_class=StrictRoute)


class DailyCountsReset(BaseModel):
    """What was counted again."""

    pools: int
    turned_over: int = Field(description="People whose counters were of a day that is past.")


@router.post("/reset-daily-counts", responses=problems(503))
async def reset_daily_counts(parts: PartsDep) -> DailyCountsReset:
    """Begin the day's counters anew where their day is past, and count today's again from the assignments."""
    done = await reset(parts.database.hot)
    for pool_id in done.pool_ids:
        parts.doorbell.ring(pool_id)
    return DailyCountsReset(pools=len(done.pool_ids), turned_over=done.turned_over)
