"""Catalogues, rules, people and work that Hypothesis invents: few values, so that they meet; many of a wrong type."""

import random
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

from hypothesis import strategies as st

from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.rule_engine import Catalogue, Parameter, ParameterType, RuleSetInvalid, parse_rule_set
from app.rule_engine.language import OPERATORS

TEXTS = ["a", "b", "ab", "abc", "", "é", "1", "true", "true "]
NUMBERS = [0, 1, 1.0, 2, 2.5, 0.1, -1, -0.0, 10**15, 2**53, 1e-9]
INSTANTS = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T03:00:00+03:00",
    "2026-01-01T00:00:00.000001Z",
    "2026-06-01T00:00:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]
OPTIONS = ["a", "b", "ab"]
MIXED = ["a", "1", 1, True]
WRONG: list[Any] = [
    None, None, "x", 7, True, [], [None], ["a", None, [1]], {"a": 1}, float("nan"), float("inf"),
    -float("inf"), 10**400, "2026-01-01", "2026-01-01T00:00:00", "\ud800", "\x00", ["a", "a", "b"], 1, False, "1", 3.0,
]  # fmt: skip
MOMENTS = [
    None,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3))),
    datetime(2027, 1, 1, tzinfo=UTC),
]


def _parameters(owner: Any) -> list[Parameter]:
    return [
        Parameter(owner, "text", ParameterType.STRING),
        Parameter(owner, "number", ParameterType.NUMBER),
        Parameter(owner, "other", ParameterType.NUMBER),
        Parameter(owner, "flag", ParameterType.BOOLEAN),
        Parameter(owner, "when", ParameterType.DATETIME),
        Parameter(owner, "choice", ParameterType.ENUM, options=tuple(OPTIONS)),
        Parameter(owner, "grade", ParameterType.ENUM, options=(1, 2, 2.5)),
        Parameter(owner, "any", ParameterType.ENUM, options=tuple(MIXED), open_options=True),
        Parameter(owner, "free", ParameterType.ENUM),
        Parameter(owner, "tags", ParameterType.LIST, options=tuple(OPTIONS)),
        Parameter(owner, "things", ParameterType.LIST),
        Parameter(owner, "sizes", ParameterType.LIST, options=(1, 2, 2.5)),
    ]


CATALOGUE = Catalogue([*_parameters("task"), *_parameters("executor")])
RIGHT: dict[str, list[Any]] = {
    "text": TEXTS,
    "number": NUMBERS,
    "other": NUMBERS,
    "flag": [True, False],
    "when": INSTANTS,
    "choice": OPTIONS,
    "grade": [1, 2, 2.5, 2.0],
    "any": MIXED,
    "free": [*TEXTS[:4], *NUMBERS[:4], True, False],
}
LISTS = {"tags": OPTIONS, "things": [*TEXTS[:4], 1, 1.0, 2, True, False], "sizes": [1, 2, 2.5]}


@cache
def legal_comparisons() -> list[dict[str, Any]]:
    """Every comparison on these fields and values that may be saved."""
    literals: list[Any] = ["a", "ab", "", "true", 0, 1, 2, 2.5, 0.1, True, False, *INSTANTS[:3], None]
    literals += [["a"], ["a", "1", 1], ["ab", "b"], [1, 2.5], [True], [0, 2], INSTANTS[::3]]
    paths = CATALOGUE.paths()
    operands = [*literals, *({"field": path} for path in paths)]
    return [
        comparison
        for operator in OPERATORS
        for path in paths
        for operand in operands
        if is_legal(comparison := {"operator": operator, "field": path, "value": operand})
    ]


def is_legal(condition: dict[str, Any]) -> bool:
    try:
        parse_rule_set({"conditions": [condition]}, CATALOGUE)
    except RuleSetInvalid:
        return False
    return True


def among(several: list[Any]) -> st.SearchStrategy[Any]:
    """One of many, without a word on all the others when something fails."""
    return st.integers(0, len(several) - 1).map(lambda index: several[index])


CROSSING = [name for name in OPERATORS if name not in ("between", "is_null")]


@cache
def comparisons() -> st.SearchStrategy[dict[str, Any]]:
    legal = legal_comparisons()
    passing = [{**each, "on_missing": "pass"} for each in legal if each["operator"] != "is_null"]
    crossing = [each for each in [*legal, *passing] if "task." in str(each) and "executor." in str(each)]
    by_operator = [among([each for each in crossing if each["operator"] == name]) for name in CROSSING]
    return st.one_of(among(legal), among(passing), *by_operator)


@cache
def comparisons_of_tasks() -> st.SearchStrategy[dict[str, Any]]:
    return among([each for each in legal_comparisons() if reads_task_only(each)])


def reads_task_only(condition: dict[str, Any]) -> bool:
    return "executor." not in str(condition)


def conditions(leaves: st.SearchStrategy[dict[str, Any]] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        groups = st.builds(
            lambda operator, several: {"operator": operator, "conditions": several},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3),
        )
        return groups | inner.map(lambda condition: {"operator": "not", "condition": condition})

    return st.recursive(comparisons() if leaves is None else leaves, grow, max_leaves=5)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document that may be saved."""
    weights = st.sampled_from([0.5, 1.0, 2.0, 3.0, 0.1, 1.7])
    return {
        "conditions": draw(st.lists(conditions(), max_size=4)),
        "weights": draw(st.lists(st.builds(_weight, conditions(), weights), max_size=3)),
        "task_weights": draw(
            st.lists(st.builds(_weight, conditions(comparisons_of_tasks()), weights), max_size=2)
        ),
    }


def _weight(condition: dict[str, Any], weight: float) -> dict[str, Any]:
    return {"condition": condition, "weight": weight}


def values(dice: random.Random) -> dict[str, Any]:
    """Raw parameters: two thirds right, the others absent or wrong."""
    chosen: dict[str, Any] = {}
    for key, right in RIGHT.items():
        chosen[key] = dice.choice(right) if dice.random() < 0.7 else dice.choice(WRONG)
    for key, members in LISTS.items():
        some = dice.sample(members, dice.randint(0, 3))
        chosen[key] = some if dice.random() < 0.7 else dice.choice(WRONG)
    return {key: value for key, value in chosen.items() if dice.random() < 0.9}


def a_task(dice: random.Random) -> Task:
    return Task(
        TaskId(1),
        values(dice),
        external_id=dice.choice(TEXTS),
        weight=dice.choice([1.0, 2.0, 2.5]),
        priority=dice.choice([0, 1, 2]),
        deadline=dice.choice(MOMENTS),
        created_at=dice.choice(MOMENTS),
    )


def an_executor(dice: random.Random, number: int) -> Executor:
    return Executor(
        ExecutorId(number),
        values(dice),
        external_id=dice.choice(TEXTS),
        name=dice.choice(TEXTS),
        qualification=dice.choice([1.0, 2.0, 2.5]),
        daily_limit=dice.choice([None, 0.0, 1.0, 2.5]),
        max_open=dice.choice([None, 0, 1, 2]),
    )


SEEDS = st.integers(0, 2**32)
