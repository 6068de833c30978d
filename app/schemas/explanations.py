"""Explanations as the API speaks of them."""

from typing import Literal

from pydantic import BaseModel, Field

from app.engine.placement.explain import Because
from app.engine.types import AssignmentKind, Policy, WaitReason
from app.messages.catalogue import Language, told
from app.messages.message import Message


class Words(BaseModel):
    """The same in two languages."""

    ru: str
    en: str


_BOTH: tuple[Language, ...] = ("ru", "en")


def in_both(*sentences: Message) -> Words:
    """Sentences one after another, in both languages."""
    russian, english = (" ".join(told(each, language) for each in sentences) for language in _BOTH)
    return Words(ru=russian, en=english)


class Term(BaseModel):
    """A preference that held."""

    name: str
    weight: float


class ContenderOut(BaseModel):
    """An executor who could have taken the task, with their load at that time."""

    executor_id: int
    name: str
    level: float = Field(
        description="Weight received since levels were last settled (a day began, somebody came or went), before this"
        " task, and what they were then ahead of those who are owed most."
    )
    qualification: float
    score: float = Field(description="What was compared; the lowest wins.")
    preference: float
    terms: list[Term]
    open: int
    used: float = Field(description="Routed weight of the day, which the daily limit binds.")
    held: float = Field(
        0.0,
        description="By how much they were held back for work to come, in task weight: by a forecast (then there is a"
        " `target`), or by the mix of the day so far.",
    )
    target: float | None = Field(
        None, description="The day's routed work that a forecast expected them to come to; null: no forecast."
    )


class WhyNotOut(BaseModel):
    """Why one executor did not receive the task."""

    executor_id: int
    because: Because
    rule: str | None
    text: Words


class ExplanationOut(BaseModel):
    """Why a task was decided as it was."""

    outcome: Literal["assigned", "waiting"]
    policy: Policy
    kind: AssignmentKind | None
    wait_reason: WaitReason | None
    weight: float
    executor_id: int | None
    chosen: ContenderOut | None
    runners_up: list[ContenderOut]
    eligible: int = Field(description="How many pass the rules.")
    absent: int
    at_limit: int
    busy: int
    excluded: dict[str, int] = Field(description="How many failed each condition first.")
    text: Words
    why_not: WhyNotOut | None = Field(None, description="Where an executor was asked about.")
