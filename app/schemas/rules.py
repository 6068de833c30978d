"""Rule sets as the API speaks of them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.common import Name, Reference

EXAMPLE: Any = {
    "name": "Skills first",
    "rules": {
        "conditions": [
            {
                "operator": "contains",
                "field": "executor.parameters.skills",
                "value": {"field": "task.parameters.category"},
            }
        ],
        "weights": [
            {
                "condition": {"operator": "gte", "field": "executor.parameters.grade", "value": 4},
                "weight": 2.0,
            }
        ],
    },
}


class RulesIn(BaseModel):
    """A document to be checked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rules": EXAMPLE["rules"]}]})

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    rules: dict[str, Any] = Field(description="The document: conditions, weights, task_weights.")


class RuleSetIn(RulesIn):
    """A new version of a pool's rules."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: Name


class RulesVerdict(BaseModel):
    """What the check of a document found."""

    valid: bool
    errors: list[dict[str, Any]] = Field(
        description="Each with the JSON path, the value, the reason and the remedy."
    )
    warnings: list[dict[str, Any]] = Field(default_factory=list, description="Legal, but hardly meant.")


class RuleSetOut(BaseModel):
    """A rule set as it is."""

    rule_set_id: int
    pool_id: int
    name: str
    version: int
    state: Literal["draft", "active", "archived"]
    rules: dict[str, Any]
    author: str
    created_at: datetime
    activated_at: datetime | None
    archived_at: datetime | None


class RuleSetPage(BaseModel):
    """One page of rule sets, newest first."""

    items: list[RuleSetOut]
    next_cursor: str | None
