"""Absences and leaving as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.engine.types import WaitReason
from app.schemas.common import Text, Whole

OpenTasks = Literal["keep", "reassign"]
Minutes = Annotated[Whole, Field(ge=0, le=60 * 24 * 365)]


class AbsenceIn(BaseModel):
    """When somebody is away, and what becomes of what they have in hand."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "starts_at": "2030-07-01T00:00:00+03:00",
                    "ends_at": "2030-07-15T00:00:00+03:00",
                    "reason": "leave",
                    "open_tasks": "reassign",
                }
            ]
        },
    )

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: Text = ""
    open_tasks: OpenTasks = Field("keep", description="reassign: others get them when the absence begins.")
    reassign_after_minutes: Minutes = Field(0, description="So many minutes after it began.")


class AbsenceOut(BaseModel):
    """A planned absence."""

    absence_id: int
    executor_id: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    open_tasks: OpenTasks
    reassign_after_minutes: int
    handled_at: datetime | None = Field(description="When the open tasks were taken.")
    created_at: datetime


class AbsenceList(BaseModel):
    """A person's absences, in order of time."""

    items: list[AbsenceOut]


class HandOverIn(BaseModel):
    """Everything open goes to others."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "fell ill"}]})

    reason: Annotated[Text, Field(min_length=1)] = Field(description="Kept in the tasks' history.")
    after_minutes: Minutes = Field(0, description="Not before so many minutes have passed.")


class HandOverOut(BaseModel):
    """Tasks that were taken back; a worker gives them to others at once."""

    task_ids: list[int]
    at: datetime | None = Field(description="When it will be done; null: it was done.")


class PlannedTask(BaseModel):
    """Executor who would receive one of the tasks."""

    task_id: int
    external_id: str | None
    weight: float
    executor_id: int | None = Field(description="Null: nobody could take it now.")
    executor_name: str | None
    wait_reason: WaitReason | None


class LeavingPlan(BaseModel):
    """Preview of a hand-over: where a person's open tasks would go."""

    moves: int
    waiting: int = Field(description="Tasks that nobody could take now.")
    items: list[PlannedTask]
