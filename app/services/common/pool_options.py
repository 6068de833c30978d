"""What of a pool's settings the fairness of its work depends on: read strictly, so that a broken value is an error.

A missing or broken limit that silently counted as "no limit" would switch off what it stands for. So whoever reads
settings that make no sense stops: nothing is decided, and the log says where the fault is.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.engine.fairness.alarm import AlarmBounds
from app.messages.message import say
from app.messages.type_faults import fault_message

Share = Annotated[float, Field(strict=True, gt=0, le=10, allow_inf_nan=False)]


class BrokenSettings(ValueError):
    """The settings stored with a pool make no sense; the message names the place and the remedy."""


def pool_zone(name: str) -> ZoneInfo:
    """The time zone stored with a pool. Raises BrokenSettings where this machine has no such zone.

    `ZoneInfo` says so in three ways, one of them (a folder of zones) an OSError, which reads like a broken connection.
    """
    try:
        return ZoneInfo(name)
    except (OSError, LookupError, ValueError) as error:
        raise BrokenSettings(
            say("timezone: '{name}' is not an IANA time zone; mend it with PATCH /v1/pools/{{id}}", name=name)
        ) from error


class FairnessOptions(BaseModel):
    """How a pool's fairness is watched and settled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gap_bound: Share | None = Field(
        0.1, description="Alarm when the gap of the day passes this share; null: never."
    )
    deviation_bound: Share | None = Field(
        0.25,
        description="Alarm when somebody is off their fair share by more than this part of it; null: never.",
    )
    demand_bound: Share | None = Field(
        0.8,
        description="Alarm when somebody's fair share is off an equal one by more than this part of it: nobody else, or"
        " hardly anything, is eligible; null: never.",
    )
    judged_from: Annotated[float, Field(strict=True, ge=1, le=10_000, allow_inf_nan=False)] = Field(
        10.0, description="Usual tasks a person, on average, before anything is judged."
    )
    settle_seconds: Annotated[int, Field(strict=True, ge=0, le=86_400)] = Field(
        60,
        description="Least seconds between two settlements: after people came or went, and with each day, levels start"
        " again from what is still owed. 0: never; whoever comes joins in level.",
    )

    forecast: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="Hold people back for what the same weekdays before brought at this time: targets the totals of the"
        " day. Switched on only after it was measured on past days (POST /v1/pools/{id}/forecast) and did not hurt.",
    )

    def bounds(self) -> AlarmBounds:
        """As the engine judges by them."""
        return AlarmBounds(self.gap_bound, self.deviation_bound, self.demand_bound, self.judged_from)


def fairness_options(settings: Mapping[str, Any]) -> FairnessOptions:
    """The options stored in a pool's settings; what was never set has its default. Raises BrokenSettings."""
    stored = settings.get("fairness", {})
    try:
        return FairnessOptions.model_validate(stored)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["settings", "fairness", *map(str, first["loc"])])
        raise BrokenSettings(
            say(
                "{place}: {reason}; mend it with PATCH /v1/pools/{{id}}",
                place=place,
                reason=fault_message(first),
            )
        ) from error


class EscalationStep(BaseModel):
    """What happens to a task that has waited so long: conditions no longer count, or another pool may have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after_minutes: Annotated[float, Field(strict=True, gt=0, le=525_600, allow_inf_nan=False)]
    relax: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = Field(
        default_factory=list,
        max_length=50,
        description="Names of conditions of the active rules that no longer count.",
    )
    to_pool: Annotated[int, Field(strict=True, gt=0, lt=2**63)] | None = Field(
        None,
        description="The pool that it goes on to, with rules, people and steps of its own; the last step, instead of "
        "relax.",
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if bool(self.relax) == (self.to_pool is not None):
            raise ValueError(say("a step names either conditions to relax or the pool that tasks go on to"))
        return self


class FlowOptions(BaseModel):
    """How work flows through a pool after it was decided, and when it cannot be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offer_seconds: Annotated[int, Field(strict=True, ge=5, le=86_400)] | None = Field(
        None,
        description="Assignments are offers: not accepted within so many seconds, they go on. Null: they stand.",
    )
    offer_again_minutes: Annotated[float, Field(strict=True, gt=0, le=10_080, allow_inf_nan=False)] = Field(
        15.0,
        description="For so long a task is not offered again to whoever declined it, let it lapse, or had it taken "
        "from them; then it may be, if they are still the one to have it.",
    )
    hold_back_minutes: Annotated[float, Field(strict=True, gt=0, le=240, allow_inf_nan=False)] | None = Field(
        None,
        description="Of what has waited, keep a fair part for those who come within so many minutes. Null: the first "
        "who comes may get all of it.",
    )
    escalation: list[EscalationStep] = Field(
        default_factory=list,
        max_length=5,
        description="Steps in the order of their minutes; each adds to the last.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        minutes = [step.after_minutes for step in self.escalation]
        if minutes != sorted(set(minutes)):
            raise ValueError(say("escalation: each step must come after the one before it"))
        if any(step.to_pool is not None for step in self.escalation[:-1]):
            raise ValueError(
                say("escalation: a step to another pool is the last one: from there its own steps count")
            )
        return self


def next_pool(settings: Mapping[str, Any]) -> int | None:
    """The pool that a pool's tasks go on to in the end; None: they stay, also where the settings make no sense."""
    try:
        steps = flow_options(settings).escalation
    except BrokenSettings:
        return None
    return steps[-1].to_pool if steps else None


def flow_options(settings: Mapping[str, Any]) -> FlowOptions:
    """The options stored in a pool's settings. Raises BrokenSettings."""
    try:
        return FlowOptions.model_validate(settings.get("flow", {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["settings", "flow", *map(str, first["loc"])])
        raise BrokenSettings(
            say(
                "{place}: {reason}; mend it with PATCH /v1/pools/{{id}}",
                place=place,
                reason=fault_message(first),
            )
        ) from error
