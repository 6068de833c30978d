"""A pool as it is right now, as the API speaks of it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.engine.types import WaitReason


class BucketOut(BaseModel):
    """Counts of one step of time."""

    at: datetime = Field(description="When the step begins.")
    received: int
    assigned: int
    closed: int = Field(description="Completed, rejected or cancelled.")


class WaitingOut(BaseModel):
    """Tasks that nobody can take now, for one reason."""

    reason: WaitReason
    count: int
    oldest: datetime | None


class LatencyOut(BaseModel):
    """Seconds from a task's arrival to its first assignment."""

    sample: int = Field(description="How many of the last first assignments these are percentiles of.")
    p50: float
    p95: float
    p99: float


class PeopleOut(BaseModel):
    """The active people of a pool."""

    total: int
    available: int
    on_break: int
    offline: int


class ActiveRulesOut(BaseModel):
    """The rule set in force."""

    rule_set_id: int
    name: str
    version: int


class OverviewAlertOut(BaseModel):
    """Something to look at, as a stable code with the numbers that belong into the sentence."""

    code: str
    severity: Literal["critical", "warning", "info"]
    values: dict[str, float]


class OverviewOut(BaseModel):
    """A pool right now and in the period that ends now."""

    pool_id: int
    now: datetime
    period_minutes: int
    step_minutes: int
    steps: list[BucketOut] = Field(description="Oldest first; the last one is not over yet.")
    received: int = Field(description="Tasks taken in within the period.")
    assigned: int = Field(description="Assignments made within the period.")
    closed: int = Field(description="Tasks completed, rejected or cancelled within the period.")
    received_per_minute: float = Field(description="Mean of the last five whole minutes.")
    assigned_per_minute: float = Field(description="Mean of the last five whole minutes.")
    undecided: int = Field(description="Tasks that no worker has looked at yet (counted up to 100,000).")
    undecided_since: datetime | None
    waiting: list[WaitingOut] = Field(description="Counted up to 100,000 in all; the most first.")
    latency: LatencyOut | None = Field(description="Null where nothing was assigned in the period.")
    people: PeopleOut
    rule_set: ActiveRulesOut | None
    alerts: list[OverviewAlertOut]
