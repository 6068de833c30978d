"""Scenario: a pool with its parameters, people and rules, and the tasks that come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything in the form in which the API takes it.

    `happened` is what each person, by name, received in reality, where a log says so; `dropped` are rows of it that
    were left out, counted by reason.
    """

    code: str
    name: str
    parameters: Sequence[dict[str, Any]]
    executors: Sequence[dict[str, Any]]
    rules: dict[str, Any]
    tasks: Sequence[dict[str, Any]]
    happened: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
