"""Replays as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.engine.types import Policy
from app.schemas.common import Instant, Number, Whole


class ReplayIn(BaseModel):
    """A period, and what would be otherwise in it; what is left out is as the pool is now."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"since": "2026-03-01T00:00:00+03:00", "until": "2026-03-08T00:00:00+03:00"}]
        },
    )

    since: Instant | None = Field(None, description="Seven days before `until` where left out.")
    until: Instant | None = Field(None, description="Now where left out.")
    policy: Policy | None = None
    compare: list[Policy] = Field(default_factory=list, max_length=4, description="Other policies beside it.")
    theta: Annotated[Number, Field(ge=0, le=100)] | None = None
    forecast: bool = Field(
        False,
        description="Also `fair` with a forecast from the same weekdays before, and whether it would have helped.",
    )
    daily_limit: Annotated[Number, Field(ge=0, le=1e9)] | None = Field(None, description="For everybody.")
    max_open: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = Field(None, description="For everybody.")


class ReplayOut(BaseModel):
    """How far a replay is, and when it is done, its result."""

    replay_id: int
    pool_id: int
    rule_set_id: int | None
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(description="0 to 1.")
    request: dict[str, Any]
    error: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    result: dict[str, Any] | None = Field(
        description="`source`, and `runs`: what happened (`actual`), then each policy: fairness, load per executor,"
        " waits, what was not placed, by day and by hour of the day."
    )
