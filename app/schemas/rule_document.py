"""The rule language as JSON Schema: published in the OpenAPI, by GET /v1/rules/schema, and for every editor.

The schema says what form a document has; whether fields exist and types fit only the pool's catalogue knows, which
POST /v1/rules/validate asks. So bodies carry plain objects that are described by these models, and checked by the rule
engine, whose refusals name the path, the value, the reason and the remedy.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.rule_engine.checks import LONGEST_STRING, MOST_MEMBERS
from app.rule_engine.examples import MOST_EXAMPLES
from app.rule_engine.parsing import HEAVIEST, LIGHTEST, MOST_CONDITIONS

Label = Annotated[str, Field(max_length=LONGEST_STRING, pattern=r"^[^\x00]*$")]
Scalar = str | float | bool


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RuleFieldReference(_Part):
    """A field in the place of a literal: task and executor meet in one condition."""

    field: str = Field(examples=["executor.parameters.max_sum"])


class RuleComparison(_Part):
    """One operator on a field and a value."""

    operator: Literal[
        "eq",
        "ne",
        "gt",
        "gte",
        "lt",
        "lte",
        "between",
        "in",
        "not_in",
        "contains",
        "contains_any",
        "contains_all",
        "is_null",
        "starts_with",
    ]
    field: str = Field(description="A dotted path, such as task.parameters.X, task.priority, executor.name.")
    value: (
        Scalar | RuleFieldReference | Annotated[list[Scalar], Field(min_length=1, max_length=MOST_MEMBERS)]
    ) = Field(default=True, description="A literal, a list of literals, or a reference to a field.")
    on_missing: Literal["fail", "pass"] = Field("fail", description="What an absent value means.")
    name: Label = ""
    comment: Label = ""


class RuleGroup(_Part):
    """All or any of some conditions."""

    operator: Literal["and", "or"]
    conditions: list["RuleCondition"] = Field(min_length=1, max_length=MOST_CONDITIONS)
    name: Label = ""
    comment: Label = ""


class RuleNegation(_Part):
    """Not this condition."""

    operator: Literal["not"]
    condition: "RuleCondition"
    name: Label = ""
    comment: Label = ""


RuleCondition = RuleComparison | RuleGroup | RuleNegation


class RuleWeight(_Part):
    """Where the condition holds, multiply by this."""

    condition: RuleCondition
    weight: float = Field(ge=LIGHTEST, le=HEAVIEST)
    name: Label = ""
    comment: Label = ""


class RuleExampleTask(_Part):
    """A task of an example; what is left out is absent or as in a new task."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    priority: float | None = 0
    weight: float | None = 1.0
    deadline: datetime | None = None
    created_at: datetime | None = None
    external_id: str = ""


class RuleExampleExecutor(_Part):
    """An executor of an example."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    daily_limit: float | None = None
    max_open: float | None = None
    qualification: float | None = 1.0
    name: str = ""
    external_id: str = ""


class RuleExpectation(_Part):
    """Expected result of an example."""

    eligible: bool = True
    preference: float = 1.0
    task_weight: float = 1.0


class RuleExample(_Part):
    """A task, an executor, and what must become of them, before the rule set may be activated."""

    task: RuleExampleTask = Field(default_factory=RuleExampleTask)
    executor: RuleExampleExecutor = Field(default_factory=RuleExampleExecutor)
    expected: bool | RuleExpectation
    name: Label = ""


class RuleDocument(_Part):
    """A rule set: who may take a task, who is preferred, and what a task weighs."""

    conditions: list[RuleCondition] = Field(
        default_factory=list,
        max_length=MOST_CONDITIONS,
        description="All must hold for an executor to be eligible.",
    )
    weights: list[RuleWeight] = Field(
        default_factory=list,
        max_length=MOST_CONDITIONS,
        description="Multiply an executor's preference for a task.",
    )
    task_weights: list[RuleWeight] = Field(
        default_factory=list,
        max_length=MOST_CONDITIONS,
        description="Multiply the task's own weight, up to 1,000,000 in all.",
    )
    tests: list[RuleExample] = Field(default_factory=list, max_length=MOST_EXAMPLES)
    comment: Label = ""


class _AsDocument:
    """Describes a plain object by the models above."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A reference to the model, which comes into the components with all that it refers to."""
        return handler(RuleDocument.__pydantic_core_schema__)


Rules = Annotated[dict[str, Any], _AsDocument]


def document_schema() -> dict[str, Any]:
    """The schema by itself."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RuleDocument.model_json_schema()}
