"""How fair the distribution is, as the API speaks of it."""

from datetime import date

from pydantic import BaseModel, Field


class ShareOut(BaseModel):
    """What one person received today."""

    executor_id: int
    name: str
    assigned_today: float = Field(description="Task weight received on this business day, of whatever kind.")
    daily_limit: float | None
    utilization: float = Field(
        description="assigned_today over daily_limit; without a limit, over qualification times the pool's mean."
    )


class DistributionStats(BaseModel):
    """How evenly a pool's work of this business day is spread over its active executors."""

    pool_id: int
    business_day: date = Field(description="Today in the pool's time zone.")
    total_tasks: int = Field(description="Tasks taken in today.")
    total_executors: int = Field(description="Active executors.")
    assigned_tasks: int = Field(description="Assignments made today.")
    waiting_tasks: int = Field(description="Tasks that nobody can take now.")
    assignments: list[ShareOut]
    mae: float = Field(
        description="Mean absolute deviation of utilization from its mean. Where specialists exist even a perfect "
        "distribution has one: compare it with mae_optimum."
    )
    mae_optimum: float | None = Field(
        description="The same figure of the fair optimum; null where nothing was routed."
    )
    fairness_gap: float | None = Field(
        description="Sum of |received - fair share| over the sum of fair shares: 0 is perfect."
    )
    avg_latency: float | None = Field(
        description="Mean seconds from a task's arrival to its assignment, today."
    )


class FairShareOut(BaseModel):
    """What one person received and what would have been fair."""

    executor_id: int
    name: str
    received: float
    fair_share: float = Field(description="What the rules, limits and presence allow at best, most evenly.")
    deviation: float = Field(description="received - fair_share: positive is too much.")


class FairnessOut(BaseModel):
    """A pool's business day beside its fair optimum."""

    pool_id: int
    business_day: date
    fairness_gap: float | None
    mae: float
    mae_optimum: float | None
    executors: list[FairShareOut]
