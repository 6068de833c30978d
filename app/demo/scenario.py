"""What is played: a pool with its parameters, people and rules, and the tasks that come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything in the form in which the API takes it; `notes` say what was left out on the way."""

    code: str
    name: str
    parameters: Sequence[dict[str, Any]]
    executors: Sequence[dict[str, Any]]
    rules: dict[str, Any]
    tasks: Sequence[dict[str, Any]]
    notes: Sequence[str] = field(default_factory=tuple)
