"""Key figures, as the API speaks of them."""

from datetime import date, datetime

from pydantic import BaseModel, Field


class CountsOut(BaseModel):
    """Key figures of a span of time."""

    received: int = Field(description="Tasks taken in.")
    assigned: int = Field(
        description="Tasks given to somebody; one that comes back to the same person after the client's answer is not "
        "given anew."
    )
    parked: int = Field(description="Tasks that nobody could take when they were first looked at.")
    completed: int
    rejected: int
    returned: int
    cancelled: int
    reassigned: int
    delivered: int = Field(description="Messages that the external system took.")
    moved_in: int = Field(description="Tasks that came from another pool; taken in there, not here.")
    moved_out: int = Field(description="Tasks that went on to another pool, having waited too long.")
    latency_mean: float | None = Field(description="Seconds from a task's commit to its first assignment.")
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None = Field(
        description="From a histogram whose buckets lie a factor of 1.4 apart, interpolated."
    )
    wait_mean: float | None = Field(
        description="Seconds that parked tasks waited until somebody could take them."
    )


class HourOut(CountsOut):
    """An hour of the pool's clock."""

    hour: datetime


class DayOut(CountsOut):
    """A business day. Fairness is null where nothing was received."""

    business_day: date
    weight: float = Field(description="Task weight assigned.")
    mae: float | None
    mae_optimum: float | None
    fairness_gap: float | None


class KpiOut(BaseModel):
    """A pool's key figures, oldest first; spans in which nothing happened are left out."""

    pool_id: int
    by: str
    hours: list[HourOut]
    days: list[DayOut]
