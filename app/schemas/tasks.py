"""Tasks as the API speaks of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails

from app.engine.types import AssignmentKind, WaitReason
from app.schemas.common import Instant, Name, Number, Parameters, Reference, StoredParameters, Text, Whole

TaskStatus = Literal["pending", "assigned", "in_progress", "completed", "rejected", "cancelled", "returned"]


class TaskIn(BaseModel):
    """A task to be distributed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"external_id": "INC-1042", "parameters": {"category": "network"}, "priority": 5}]
        },
    )

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    external_id: Name | None = Field(
        None, description="Your own id, unique in the pool: sent again, it answers with the same task."
    )
    parameters: Parameters = Field(
        default_factory=dict, description="Values by parameter key; see /v1/parameters?owner=task."
    )
    weight: Number = Field(1.0, ge=0.001, le=1_000_000, description="Work units; exact to 0.001.")
    priority: Whole = Field(0, ge=-1_000_000, le=1_000_000, description="Higher is placed first.")
    deadline: Instant | None = Field(None, description="Among equal priorities, the earlier is placed first.")
    parent_id: Reference | None = Field(
        None, description="A task whose executor shall take this one too, if they can."
    )


@dataclass(frozen=True, slots=True)
class UnreadableTask:
    """A task of a batch that is not of the form; its neighbours may be taken in."""

    external_id: str | None
    faults: Sequence[ErrorDetails]


def _each_alone(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """All of them at once; one by one only where one of them is wrong."""
    try:
        return read(value)
    except ValidationError:
        if not isinstance(value, list) or not value:
            raise
        return [_alone(item) for item in value]


def _alone(item: Any) -> TaskIn | UnreadableTask:
    try:
        return TaskIn.model_validate(item)
    except ValidationError as error:
        named = item.get("external_id") if isinstance(item, dict) else None
        return UnreadableTask(named if isinstance(named, str) else None, error.errors())


class TaskBatchIn(BaseModel):
    """Many tasks at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"tasks": [{"external_id": "INC-1043"}, {"external_id": "INC-1044", "weight": 2}]}]
        },
    )

    pool_id: Reference | None = Field(None, description="The pool of those that name none.")
    tasks: Annotated[list[TaskIn], Field(min_length=1), WrapValidator(_each_alone)]

    def items(self) -> list[TaskIn | UnreadableTask]:
        """The tasks, and what stands in the place of those that could not be read."""
        return list(self.tasks)


class TaskChange(BaseModel):
    """Changes of a task; omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"priority": 9}]})

    parameters: Parameters | None = Field(
        None, description="Merged over what is there; null removes a value."
    )
    weight: Annotated[Number, Field(ge=0.001, le=1_000_000)] | None = Field(
        None, description="Only while nobody has the task."
    )
    priority: Annotated[Whole, Field(ge=-1_000_000, le=1_000_000)] | None = None
    deadline: Instant | None = Field(None, description="Null removes it.")


class MoveIn(BaseModel):
    """Why a task is moved."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "done by phone"}]})

    reason: Text = Field("", description="Kept in the task's history.")


class ReasonedMoveIn(MoveIn):
    """A move that nobody makes without a reason."""

    reason: Annotated[Text, Field(min_length=1)] = Field(description="Kept in the task's history.")


class ReassignIn(ReasonedMoveIn):
    """Taken from its executor."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "on holiday"}]})

    executor_id: Reference | None = Field(
        None, description="Who gets it, whatever rules and limits say; left out: whom the engine chooses."
    )


class AssignmentOut(BaseModel):
    """Assignment of the task: executor, time and kind."""

    assignment_id: int
    executor_id: int
    executor_name: str
    kind: AssignmentKind
    rule_set_id: int | None
    weight: float
    score: float
    decided_at: datetime
    delivery_state: Literal["decided", "sent", "confirmed", "drifted"]
    accepted_at: datetime | None = None


class TaskOut(BaseModel):
    """A task as it is now."""

    task_id: int
    pool_id: int
    home_pool_id: int | None = Field(
        None, description="Where it was handed in, where that is not the pool that works on it."
    )
    moved_at: datetime | None = Field(None, description="When it came into its pool from another one.")
    external_id: str | None
    parameters: StoredParameters
    weight: float
    priority: int
    deadline: datetime | None
    parent_id: int | None
    status: TaskStatus
    version: int
    executor_id: int | None
    wait_reason: WaitReason | None = Field(
        description="Why nobody can take it now; null while it is on its way."
    )
    waiting_since: datetime | None
    wait_until: datetime | None = Field(
        None,
        description="When it is looked at again in any case; null: when something changes that it waits for.",
    )
    escalation: int = Field(0, description="Steps that it has come to by waiting.")
    created_at: datetime
    updated_at: datetime
    assignment: AssignmentOut | None = None
    allowed_moves: list[str] = Field(
        default_factory=list, description="What can be done with it now: POST /v1/tasks/{id}/<move>."
    )


class TaskCreated(TaskOut):
    """The answer to a new task."""

    duplicate: bool = Field(description="It had been here before: this is the first one.")
    unknown_parameters: list[str] = Field(
        default_factory=list,
        description="Keys that the catalogue does not know: kept, but no rule reads them.",
    )


class BatchItemOut(BaseModel):
    """Result of one task of a batch: an id, or a problem."""

    index: int
    task_id: int | None = None
    external_id: str | None = None
    duplicate: bool = False
    unknown_parameters: list[str] = Field(default_factory=list)
    problem: dict[str, Any] | None = None


class TaskBatchOut(BaseModel):
    """Results of a batch, in its order."""

    accepted: int
    duplicates: int
    refused: int
    items: list[BatchItemOut]


class TaskPage(BaseModel):
    """One page of tasks, newest first."""

    items: list[TaskOut]
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last one."
    )


class TaskEventOut(BaseModel):
    """One step in a task's life."""

    event: str
    from_status: str | None
    to_status: str
    executor_id: int | None
    actor: str
    reason: str
    at: datetime


class TaskHistoryOut(BaseModel):
    """A task's life, oldest first."""

    task_id: int
    items: list[TaskEventOut]
