"""The meaning of the language, vector by vector, and what is refused before it can be saved."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.rule_engine import Catalogue, Parameter, ParameterType, RuleSetInvalid, compile_rules, parse_rule_set
from app.rule_engine.difference import differences
from app.rule_engine.examples import values_of
from app.rule_engine.findings import look_at_document
from app.rule_engine.language import holds
from tests.rules.oracle import Oracle
from tests.rules.worlds import CATALOGUE, conditions
from tests.servers import ROOT

VECTORS = json.loads((ROOT / "tests/rules/vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """Kept by hand. Whoever writes another engine for these rules begins here."""
    document = {"conditions": [vector["condition"]]}
    rule_set = parse_rule_set(document, CATALOGUE)
    task, executor = Task(TaskId(1), vector["task"]), Executor(ExecutorId(1), vector["executor"])
    rules = compile_rules(rule_set, [executor])
    assert rules.eligible(rules.task_key(task)).tolist() == [vector["expected"]]
    assert holds(rule_set.conditions[0], values_of(rule_set, task, executor)) is vector["expected"]
    assert Oracle(document, CATALOGUE).holds(vector["condition"], task, executor) is vector["expected"]


def faults(document: Any, catalogue: Catalogue = CATALOGUE) -> list[tuple[str, str, str]]:
    try:
        parse_rule_set(document, catalogue)
    except RuleSetInvalid as error:
        return [(each.path, each.reason, each.remedy) for each in error.issues]
    return []


TEXT, NUMBER, TAGS = "task.parameters.text", "task.parameters.number", "executor.parameters.tags"
REFUSED = [
    ({"operator": "eqq", "field": TEXT, "value": "a"}, "operator", "unknown operator", "did you mean eq"),
    (
        {"operator": "eq", "field": "task.parameters.tekst", "value": "a"},
        "field",
        "unknown field",
        f"did you mean {TEXT}",
    ),
    (
        {"operator": "eq", "field": "task.priorety", "value": 1},
        "field",
        "unknown field",
        "did you mean task.priority",
    ),
    ({"operator": "eq", "field": TEXT, "valu": "a"}, "valu", "unknown key", "did you mean value"),
    ({"operator": "eq", "field": TEXT}, "value", "missing", "send a literal"),
    ({"operator": "eq", "field": TEXT, "value": None}, "value", "null equals nothing", "is_null"),
    ({"operator": "eq", "field": TEXT, "value": 1}, "value", "has strings", "send strings"),
    ({"operator": "eq", "field": NUMBER, "value": "1"}, "value", "has numbers", "send numbers"),
    ({"operator": "eq", "field": NUMBER, "value": True}, "value", "has numbers", "send numbers"),
    ({"operator": "eq", "field": NUMBER, "value": float("nan")}, "value", "has numbers", "send numbers"),
    ({"operator": "eq", "field": TAGS, "value": "a"}, "operator", "is a list", "contains"),
    (
        {"operator": "gt", "field": TEXT, "value": "a"},
        "operator",
        "have an order",
        "make the parameter a number",
    ),
    ({"operator": "between", "field": NUMBER, "value": [2, 1]}, "value", "above the high end", "[low, high]"),
    ({"operator": "between", "field": NUMBER, "value": [1]}, "value", "two values", "[low, high]"),
    (
        {"operator": "between", "field": NUMBER, "value": {"field": "executor.max_open"}},
        "value",
        "two literals",
        "gte",
    ),
    ({"operator": "in", "field": TEXT, "value": "a"}, "value", "takes a list", "[...]"),
    ({"operator": "in", "field": TEXT, "value": []}, "value", "not 1 to 1000", "send so many"),
    ({"operator": "in", "field": TAGS, "value": ["a"]}, "operator", "is a list", "contains_any"),
    ({"operator": "in", "field": TEXT, "value": ["a", 1]}, "value[1]", "has strings", "send strings"),
    (
        {"operator": "contains", "field": NUMBER, "value": 1},
        "operator",
        "neither a list nor a string",
        "eq or in",
    ),
    ({"operator": "contains", "field": TAGS, "value": "c"}, "value", "no option", "use one of: a, b, ab"),
    ({"operator": "contains_any", "field": TEXT, "value": ["a"]}, "operator", "not a list", "use in"),
    (
        {"operator": "starts_with", "field": "task.parameters.any", "value": "a"},
        "operator",
        "not a string",
        "eq or in",
    ),
    ({"operator": "eq", "field": TEXT, "value": {"field": NUMBER}}, "value.field", "never meet", "same type"),
    (
        {"operator": "eq", "field": TEXT, "value": {"field": TAGS}},
        "value.field",
        "needs a single value",
        "another",
    ),
    ({"operator": "in", "field": TEXT, "value": {"field": NUMBER}}, "value.field", "needs a list", "another"),
    (
        {"operator": "eq", "field": TEXT, "value": {"path": NUMBER}},
        "value",
        "not a reference",
        "or a literal",
    ),
    ({"operator": "eq", "field": TEXT, "value": "a", "on_missing": "maybe"}, "on_missing", "neither", "fail"),
    ({"operator": "is_null", "field": TEXT, "value": 1}, "value", "neither true nor false", "leave it out"),
    ({"operator": "and", "conditions": []}, "conditions", "empty", "at least one"),
    ({"operator": "not", "conditions": []}, "conditions", "unknown key", "condition"),
    (
        {"operator": "eq", "field": "task.parameters.when", "value": "2026-01-01"},
        "value",
        "datetimes",
        "offset",
    ),
    ("eq", "", "not an object", "operator"),
]


@pytest.mark.parametrize(("condition", "place", "reason", "remedy"), REFUSED)
def test_wrong_condition_is_refused_with_path_reason_and_remedy(
    condition: Any, place: str, reason: str, remedy: str
) -> None:
    found = faults({"conditions": [{"operator": "is_null", "field": TEXT}, condition]})
    path = f"$.conditions[1].{place}".rstrip(".")
    assert path in [each[0] for each in found], found
    [first] = [each for each in found if each[0] == path][:1]
    assert reason in first[1] and remedy in first[2], first


def test_weights_are_bounded_one_by_one_and_together() -> None:
    held = {"operator": "is_null", "field": "task.deadline"}
    for wrong in (0, -1, 1001, float("inf"), float("nan"), "2", True, None):
        assert faults({"weights": [{"condition": held, "weight": wrong}]})[0][0] == "$.weights[0].weight"
    many = [{"condition": held, "weight": 1000}] * 4
    assert "could multiply" in faults({"weights": many})[0][1]


def test_task_weights_may_not_read_executors() -> None:
    condition = {"operator": "gte", "field": "executor.qualification", "value": 1}
    [(path, reason, _)] = faults({"task_weights": [{"condition": condition, "weight": 2}]})
    assert (path, "before its executor" in reason) == ("$.task_weights[0].condition", True)


def test_everything_wrong_is_told_at_once_up_to_a_bound() -> None:
    wrong = {"operator": "eq", "field": "task.nothing", "value": 1}
    assert len(faults({"conditions": [wrong] * 50, "x": 1})) == 51
    assert len(faults({"conditions": [wrong] * 900})) == 100


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["operator", "field", "value", "conditions", "condition", "weight", "weights", "tests", "x"]
            ),
            inner | st.sampled_from(["and", "not", "eq", "in", TEXT, TAGS, NUMBER]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("conditions", "weights", "tests"), ANYTHING)))
@settings(max_examples=200)
def test_any_document_is_accepted_or_refused_and_nothing_else(document: Any) -> None:
    for path, reason, remedy in faults(document):
        assert path.startswith("$") and reason and remedy


RAW = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
PARAMETERS = st.dictionaries(st.sampled_from([each.key for each in CATALOGUE.parameters]), RAW, max_size=12)


@given(conditions(), PARAMETERS, PARAMETERS)
@settings(max_examples=200)
def test_saved_rule_cannot_raise_on_any_task(condition: Any, of_task: Any, of_executor: Any) -> None:
    rules = compile_rules(
        parse_rule_set(
            {"conditions": [condition], "weights": [{"condition": condition, "weight": 2}]}, CATALOGUE
        ),
        [Executor(ExecutorId(1), of_executor), Executor(ExecutorId(2))],
    )
    key = rules.task_key(Task(TaskId(1), of_task))
    assert hash(key) == hash(rules.task_key(Task(TaskId(2), of_task)))
    assert rules.eligible(key).shape == rules.excluded_by(key).shape == (2,)
    assert rules.task_factor(key) == 1.0
    rules.preference(key)


BOUNDED = Catalogue(
    [
        Parameter("executor", "grade", ParameterType.NUMBER, minimum=1, maximum=5),
        Parameter("executor", "city", ParameterType.ENUM, options=("a", "b")),
        Parameter("executor", "old", ParameterType.STRING, deprecated=True),
        Parameter("task", "vip", ParameterType.BOOLEAN),
    ]
)
GRADE, CITY = "executor.parameters.grade", "executor.parameters.city"


def codes(*several: Any, **more: Any) -> list[tuple[str, str]]:
    rule_set = parse_rule_set({"conditions": list(several), **more}, BOUNDED)
    return [(each.code, each.path) for each in look_at_document(rule_set, BOUNDED) if each.code != "no_tests"]


@pytest.mark.parametrize(
    ("several", "found"),
    [
        ([("gt", GRADE, 3), ("lt", GRADE, 3)], [("contradiction", "$.conditions[1]")]),
        ([("gte", GRADE, 3), ("lte", GRADE, 3)], []),
        ([("eq", CITY, "a"), ("eq", CITY, "b")], [("contradiction", "$.conditions[1]")]),
        ([("in", CITY, ["a", "b"]), ("ne", CITY, "a")], [("always_holds", "$.conditions[0]")]),
        ([("eq", CITY, "a"), ("not_in", CITY, ["a"])], [("contradiction", "$.conditions[1]")]),
        ([("is_null", GRADE, True), ("gte", GRADE, 2)], [("contradiction", "$.conditions[1]")]),
        ([("between", GRADE, [2, 3]), ("eq", GRADE, 4)], [("contradiction", "$.conditions[1]")]),
        ([("gt", GRADE, 5)], [("never_holds", "$.conditions[0]")]),
        ([("lte", GRADE, 5)], [("always_holds", "$.conditions[0]")]),
        ([("between", GRADE, [6, 9])], [("never_holds", "$.conditions[0]")]),
        ([("gte", GRADE, 2), ("gte", GRADE, 2)], [("repeated", "$.conditions[1]")]),
        ([("eq", GRADE, {"field": GRADE})], [("compares_with_itself", "$.conditions[0]")]),
        ([("eq", "executor.parameters.old", "x")], [("deprecated", "$.conditions[0]")]),
    ],
)
def test_rules_that_are_hardly_meant_are_found(several: Any, found: Any) -> None:
    conditions = [
        {"operator": operator, "field": field, "value": value} for operator, field, value in several
    ]
    assert codes(*conditions) == found


def test_preference_that_prefers_everybody_is_found() -> None:
    vip = {"operator": "eq", "field": "task.parameters.vip", "value": True}
    assert codes(weights=[{"condition": vip, "weight": 2}]) == [
        ("prefers_everybody", "$.weights[0].condition")
    ]


@given(st.lists(st.integers(0, 5), max_size=5), st.lists(st.integers(0, 5), max_size=5))
def test_difference_is_empty_for_equal_documents_alone(before: list[int], after: list[int]) -> None:
    one, other = ({"conditions": [{"value": each} for each in several]} for several in (before, after))
    assert (differences(one, other) == []) == (before == after)
