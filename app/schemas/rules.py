"""Rule sets as the API speaks of them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.common import Name, Reference
from app.schemas.parameters import ParameterFields
from app.schemas.rule_document import Rules
from app.schemas.tasks import TaskIn

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
        "tests": [
            {
                "name": "a network engineer takes network work",
                "task": {"parameters": {"category": "network"}},
                "executor": {"parameters": {"skills": ["network"], "grade": 4}},
                "expected": {"eligible": True, "preference": 2.0},
            }
        ],
    },
}
RULES: Any = {"rules": EXAMPLE["rules"]}
TASK: Any = {"parameters": {"category": "network"}}


class RulesIn(BaseModel):
    """A document to be checked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [RULES]})

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    rules: Rules = Field(description="The document.")


class RuleSetIn(RulesIn):
    """A new version of a pool's rules."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    name: Name


class RulesTrialIn(BaseModel):
    """A task, and the rules to try: those of the document, or the active ones where it is left out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{**RULES, "task": TASK}]})

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    rules: Rules | None = Field(None, description="The document; the active rules where left out.")
    task: TaskIn = Field(description="The task as it would be sent; pool_id in it has no meaning here.")


class RulesFunnelIn(BaseModel):
    """The rules to look at, and the task; without one, the pool's recent tasks."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [RULES, {"task": TASK}]})

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    rules: Rules | None = Field(None, description="The document; the active rules where left out.")
    task: TaskIn | None = Field(None, description="One task; the pool's recent tasks where left out.")


class FunnelStep(BaseModel):
    """One top-level condition for one class of tasks."""

    label: str
    path: str
    excludes: int = Field(description="Executors whom it excludes by itself.")
    left: int = Field(description="Executors left after it and those before it.")


class FunnelOut(BaseModel):
    """From everybody to the eligible, for one task."""

    executors: int
    eligible: int
    steps: list[FunnelStep]


class StreamStepOut(BaseModel):
    """One top-level condition over recent tasks; shares are of executors, in the mean over tasks."""

    label: str
    path: str
    excludes: float
    left: float
    ends: int = Field(description="Tasks for which it took away the last candidates.")


class TaskClass(BaseModel):
    """Tasks that the rules cannot tell apart."""

    values: dict[str, Any] = Field(
        description="Of the fields that the rules read. A number or instant stands for its stretch between the"
        " points with which it is compared."
    )
    tasks: int
    eligible: int
    steps: list[FunnelStep]


class StreamFunnelOut(BaseModel):
    """From everybody to the eligible, over recent tasks."""

    executors: int
    tasks: int
    tasks_without_anyone: int
    eligible: float
    steps: list[StreamStepOut]
    classes: list[TaskClass] = Field(description="Those with the fewest eligible first.")


class RulesFunnelOut(BaseModel):
    """The funnel of one task, or of the recent ones."""

    task: FunnelOut | None = None
    recent: StreamFunnelOut | None = None


class TriedExecutorOut(BaseModel):
    """One executor and the task that was tried."""

    executor_id: int
    name: str
    eligible: bool
    preference: float
    preferences: list[tuple[str, float]] = Field(description="What it is the product of.")
    excluded_by: str | None = Field(description="The first condition that fails.")


class RulesTrial(BaseModel):
    """Executors who could take the task: the eligible and preferred first."""

    funnel: FunnelOut
    candidates: list[TriedExecutorOut] = Field(description="At most 500.")


class FindingOut(BaseModel):
    """Legal, but hardly meant."""

    code: str
    severity: Literal["warning", "note"]
    path: str
    message: str
    numbers: dict[str, Any]


class FaultOut(BaseModel):
    """A fault: its place, meaning and remedy."""

    path: str
    value: str
    reason: str
    remedy: str


class SurpriseOut(BaseModel):
    """A test of the rule set that comes out otherwise."""

    path: str
    label: str
    expected: Any
    found: Any


class RulesVerdict(BaseModel):
    """Result of checking a document with the pool's people and recent tasks."""

    valid: bool = Field(description="Whether it may be saved.")
    errors: list[FaultOut] = Field(
        description="Each with the JSON path, the value, the reason and the remedy."
    )
    failed_tests: list[SurpriseOut] = Field(default_factory=list, description="Must be none to activate.")
    warnings: list[FindingOut] = Field(default_factory=list, description="Legal, but hardly meant.")
    executors: int = Field(0, description="People it was looked at with.")
    tasks: int = Field(0, description="Recent tasks it was looked at with.")
    tasks_without_anyone: int = 0
    classes: list[TaskClass] = Field(
        default_factory=list, description="Classes of recent tasks, those with the fewest eligible first."
    )


class ActiveVerdict(RulesVerdict):
    """The active rules on the live stream."""

    rule_set_id: int | None


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


class DifferenceOut(BaseModel):
    """One part that is in one document and not, or not so, in the other."""

    change: Literal["added", "removed", "changed", "moved"]
    path: str
    before: Any
    after: Any


class RulesDiff(BaseModel):
    """From one version to another."""

    before: int | None
    after: int
    differences: list[DifferenceOut]


class ParameterInFile(ParameterFields):
    """A parameter that the rules of a file read."""

    owner: Literal["task", "executor"]
    key: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    type: Literal["string", "number", "boolean", "datetime", "enum", "list"]


class RulesFile(BaseModel):
    """A rule set with the parameters that it reads: what is exported, imported, and given as a template."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["executor-balancer/rules/1"] = "executor-balancer/rules/1"
    name: Name
    description: str = Field("", max_length=2000)
    rules: Rules
    parameters: list[ParameterInFile] = Field(default_factory=list, max_length=500)


class RulesFileIn(BaseModel):
    """A file to be imported as a draft."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"file": {"format": "executor-balancer/rules/1", **EXAMPLE}}]},
    )

    pool_id: Reference | None = None
    add_parameters: bool = Field(False, description="Add parameters that the pool does not have yet.")
    file: RulesFile


class RulesTemplate(BaseModel):
    """A starter rule set of a domain."""

    code: str
    name_ru: str
    name_en: str
    file: RulesFile


class RulesTemplates(BaseModel):
    """The starters."""

    items: list[RulesTemplate]
