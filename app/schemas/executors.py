"""Executors as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.common import (
    Flag,
    Name,
    Number,
    Parameters,
    Reference,
    StoredObject,
    StoredParameters,
    Whole,
)

Weight = Annotated[Number, Field(ge=0, le=1_000_000_000)]
Qualification = Annotated[Number, Field(ge=0.001, le=1_000_000)]
Most = Annotated[Whole, Field(ge=0, lt=2**31)]
Availability = Literal["available", "break", "offline"]
EXAMPLE: Any = {
    "name": "Anna Petrova",
    "parameters": {"skills": ["network"]},
    "daily_limit": 40,
    "qualification": 1.5,
}


class ExecutorFields(BaseModel):
    """Fields of an executor."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: Name
    external_id: Name | None = Field(None, description="Your own id, unique in the pool.")
    parameters: Parameters = Field(default_factory=dict, description="See /v1/parameters?owner=executor.")
    active: Flag = True
    availability: Availability = "available"
    working_hours: dict[str, Any] | None = Field(
        None,
        description="Null: always.",
        examples=[{"days": {"mon": [["09:00", "18:00"]]}, "days_off": ["2026-01-01"]}],
    )
    daily_limit: Weight | None = Field(None, description="Task weight per business day; null: no limit.")
    max_open: Most | None = Field(None, description="Open tasks at once.")
    qualification: Qualification = Field(1.0, description="Share of work relative to others.")


class ExecutorIn(ExecutorFields):
    """A new executor."""

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")


class ExecutorReplacement(ExecutorFields):
    """All that is said of a person, anew."""


class ExecutorChange(BaseModel):
    """Changes of an executor; omitted fields stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"availability": "break"}]})

    name: Name | None = None
    external_id: Name | None = None
    parameters: Parameters | None = Field(
        None, description="Merged over what is there; null removes a value."
    )
    active: Flag | None = None
    availability: Availability | None = None
    working_hours: dict[str, Any] | None = None
    daily_limit: Weight | None = None
    max_open: Most | None = None
    qualification: Qualification | None = None


class ExecutorBatchIn(BaseModel):
    """Many executors; those with a known external_id are changed, in what is sent of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"executors": [{"external_id": "E-7", "name": "Boris Orlov"}]}]},
    )

    pool_id: Reference | None = None
    executors: list[ExecutorFields] = Field(min_length=1, max_length=10_000)


class ExecutorOut(BaseModel):
    """An executor as they are now, with what they carry."""

    executor_id: int
    pool_id: int
    external_id: str | None
    name: str
    parameters: StoredParameters
    active: bool
    availability: Availability
    working_hours: StoredObject
    daily_limit: float | None
    max_open: int | None
    qualification: float
    version: int
    open_count: int
    open_weight: float
    assigned_today: float = Field(description="Routed task weight of this business day.")
    declined_today: int = Field(0, description="Offers declined or let pass on this business day.")
    created_at: datetime
    updated_at: datetime
    unknown_parameters: list[str] = Field(default_factory=list)


class ExecutorBatchOut(BaseModel):
    """The ids of a batch, in its order."""

    executor_ids: list[int]


class ExecutorSyncOut(BaseModel):
    """Result of a pull from the external system."""

    seen: int
    added: int
    changed: int
    refused: list[str] = Field(description="People whose values cannot be kept, each with the reason.")


class CellProblem(BaseModel):
    """One wrong cell."""

    field: str = Field(examples=["line 3, daily_limit"])
    reason: str
    remedy: str


class ColumnReadOut(BaseModel):
    """How a column is read."""

    heading: str
    field: str = Field(description="The field or parameter; the heading itself where none is known.")
    read_as: str = Field(description="Its form.", examples=["number", "dd.mm.yyyy"])
    example: str = Field(description="Its first cell.")


class RowOutcome(BaseModel):
    """Effect of one row."""

    line: int
    name: str
    what: Literal["added", "changed", "unchanged"]
    fields: list[str] = Field(description="Those that change, by their keys.")


class ExecutorImportOut(BaseModel):
    """Result of an import."""

    rows: int
    form: str = Field(description="How it was read.", examples=["csv, cp1251, ;"])
    added: int
    changed: int
    unchanged: int
    applied: bool = Field(description="False: nothing was written (dry run).")
    notes: list[str] = Field(default_factory=list, description="What was guessed, and how.")
    columns: list[ColumnReadOut] = Field(default_factory=list, description="How each column is read.")
    errors: list[CellProblem]
    unknown_columns: list[str] = Field(description="Kept as parameters, but no rule reads them.")
    people: list[dict[str, Any]] = Field(description="The first 50 of them as they would be written.")
    outcomes: list[RowOutcome] = Field(description="What the rows without errors do, the first 1,000.")


class ExecutorPage(BaseModel):
    """One page of executors, by id."""

    items: list[ExecutorOut]
    next_cursor: str | None
