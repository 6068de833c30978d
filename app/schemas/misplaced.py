"""Work that is with an executor who may not have it any more, as the API speaks of it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.common import Reference, Text


class MisplacedTask(BaseModel):
    """An open task and why its executor may not have it."""

    task_id: int
    external_id: str | None
    status: Literal["assigned", "in_progress"]
    executor_id: int
    executor_name: str
    because: Literal["left", "rule"] = Field(
        description="`left`: the executor is not active any more; `rule`: they no longer pass a condition."
    )
    rule: str | None = Field(description="The first condition of the active rules that does not hold.")


class MisplacedList(BaseModel):
    """A pool's misplaced tasks, by id."""

    pool_id: int
    items: list[MisplacedTask]


class MoveMisplacedIn(BaseModel):
    """Which misplaced tasks to give to others."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "moved to another team"}]}
    )

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    task_ids: Annotated[list[Reference], Field(min_length=1, max_length=20_000)] | None = Field(
        None, description="These of them; left out: all."
    )
    reason: Text = Field("the executor may not have it any more", description="Kept in the tasks' history.")


class MovedMisplacedOut(BaseModel):
    """The tasks that were taken; a worker gives them to others at once."""

    task_ids: list[int]
