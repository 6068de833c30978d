"""How fair the distribution is, as the API speaks of it."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.engine.fairness.alarm import AlarmKind
from app.schemas.explanations import Words


class ShareOut(BaseModel):
    """Work that one executor received today."""

    executor_id: int
    name: str
    assigned_today: float = Field(description="Task weight received on this business day, of whatever kind.")
    daily_limit: float | None
    utilization: float = Field(
        description="assigned_today over daily_limit; without a limit, over qualification times the pool's mean."
    )


class FairnessAlarmOut(BaseModel):
    """A bound of fairness that was passed and still is."""

    kind: AlarmKind
    cause: Literal["allocation", "demand"] = Field(
        description="allocation: it could have been otherwise; demand: nobody else, or hardly anything, is eligible."
    )
    executor_id: int | None = Field(description="Whom it is about; null for the pool.")
    name: str
    value: float = Field(description="The gap, or how far off as a share of what it should be; signed.")
    bound: float
    raised_at: datetime
    text: Words


class AlertsOut(BaseModel):
    """The bounds of fairness that are passed now, the pool's own first."""

    alerts: list[FairnessAlarmOut]


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
    alerts: list[FairnessAlarmOut] = Field(
        description="Bounds of fairness that are passed now; see PATCH /v1/pools/{id}."
    )


class FairShareOut(BaseModel):
    """Work that one executor received, beside the fair share."""

    executor_id: int
    name: str
    received: float
    fair_share: float = Field(description="What the rules, limits and presence allow at best, most evenly.")
    deviation: float = Field(description="received - fair_share: positive is too much.")


class DayFairnessOut(BaseModel):
    """One business day of the period."""

    business_day: date
    received: float
    fairness_gap: float | None


class HourFairnessOut(BaseModel):
    """One hour: what it brought, and how the business day stood at its end."""

    hour: datetime
    received: float
    fairness_gap: float | None = Field(description="Of the business day up to the end of this hour.")
    mae: float
    mae_optimum: float | None
    executors: list[FairShareOut] = Field(description="What this hour brought to each.")


class FairnessOut(BaseModel):
    """A period beside its fair optimum: a business day, or a week or month so far."""

    pool_id: int
    business_day: date = Field(description="The last day of the period.")
    first_day: date
    fairness_gap: float | None
    mae: float
    mae_optimum: float | None
    executors: list[FairShareOut]
    days: list[DayFairnessOut]
    hours: list[HourFairnessOut]
