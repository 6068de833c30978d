"""Pools as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.engine.calendar import zone_of
from app.engine.types import Policy
from app.schemas.common import Flag, Instant, Name, Number, StoredObject
from app.schemas.explanations import Words
from app.services.common.pool_options import FairnessOptions, FlowOptions

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


def _known_zone(name: str) -> str:
    return zone_of(name).key


Zone = Annotated[str, AfterValidator(_known_zone)]


class PoolIn(BaseModel):
    """A new pool."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"code": "it", "name": "IT support"}]}
    )

    code: Code
    name: Name
    timezone: Zone = Field("Europe/Moscow", description="Daily limits turn over at its midnight.")
    policy: Policy = Policy.FAIR
    fairness_window: Literal["day", "week", "month"] = "day"
    theta: Number = Field(0.05, ge=0, le=100, description="Day loads that one point of preference is worth.")


class PoolChange(BaseModel):
    """Changes of a pool; omitted fields stay as they are."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"timezone": "Asia/Yekaterinburg"}]}
    )

    name: Name | None = None
    timezone: Zone | None = None
    policy: Policy | None = None
    fairness_window: Literal["day", "week", "month"] | None = None
    theta: Annotated[Number, Field(ge=0, le=100)] | None = None
    fairness: FairnessOptions | None = Field(
        None, description="Bounds of alarms, and settling; what is left out of it stays."
    )
    flow: FlowOptions | None = Field(None, description="Offers and escalation; what is left out of it stays.")
    active: Flag | None = Field(None, description="False: the pool is paused, and gives nothing out.")
    paused_until: Instant | None = Field(
        None,
        description="With `active: false`: when the pool goes on by itself. Left out: when it is told to.",
    )


class PoolOut(BaseModel):
    """A pool as it is now."""

    pool_id: int
    code: str
    name: str
    timezone: str
    policy: Policy
    fairness_window: Literal["day", "week", "month"]
    theta: float
    settings: StoredObject
    fairness: FairnessOptions | None = Field(
        description="Null: what is stored makes no sense, and nothing is decided until it is mended."
    )
    active: bool
    paused_until: datetime | None = Field(None, description="When a paused pool goes on by itself.")
    created_at: datetime
    updated_at: datetime


class ForecastOut(BaseModel):
    """Whether a pool's days are distributed with a forecast, and what it would have done on past days."""

    on: bool
    effect: Literal["helps", "neutral", "hurts", "unknown"] | None = Field(
        description="Null: not measured yet."
    )
    days: int = Field(description="Days that were judged.")
    gap_without: float | None = Field(description="Mean gap of a day, as a share of one.")
    gap_with: float | None
    measured_at: datetime | None
    replay_id: int | None = Field(description="The measurement in full: GET /v1/replays/{id}.")
    text: Words


class PoolList(BaseModel):
    """All pools."""

    items: list[PoolOut]
