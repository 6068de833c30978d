"""Compiled rules give the answers of the plain interpreter, whatever the rules, people and work."""

import os
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.rule_engine import CompiledRules, compile_rules, parse_rule_set
from tests.rules.oracle import Oracle
from tests.rules.worlds import CATALOGUE, SEEDS, a_task, an_executor, comparisons, conditions, documents

EXAMPLES = int(os.environ.get("RULES_EXAMPLES", "240"))
"""Each holds dozens of decisions; RULES_EXAMPLES=20000 digs deep."""


def compiled(document: dict[str, Any], executors: list[Executor]) -> CompiledRules:
    return compile_rules(parse_rule_set(document, CATALOGUE), executors)


def assert_agrees(
    rules: CompiledRules, oracle: Oracle, task: Task, executors: list[Executor], key: Any = None
) -> None:
    key = rules.task_key(task) if key is None else key
    expected = [oracle.first_failed(task, each) for each in executors]
    assert rules.excluded_by(key).tolist() == expected
    assert rules.eligible(key).tolist() == [each < 0 for each in expected]
    preference = rules.preference(key)
    products = [oracle.product("weights", task, each) for each in executors]
    assert (np.ones(len(executors)) if preference is None else preference).tolist() == products
    assert preference is None or any(product != 1.0 for product in products)
    assert rules.task_factor(key) == oracle.product("task_weights", task, executors[0])
    for position, product in enumerate(products):
        terms = [weight for _, weight in rules.preference_terms(key, position)]
        assert np.multiply.reduce(terms) == product or abs(np.multiply.reduce(terms) - product) < 1e-9


@given(documents(), SEEDS, st.integers(1, 6))
@settings(max_examples=EXAMPLES)
def test_compiled_rules_say_what_the_interpreter_says(
    document: dict[str, Any], seed: int, count: int
) -> None:
    dice = random.Random(seed)
    executors = [an_executor(dice, number) for number in range(1, count + 1)]
    rules, oracle = compiled(document, executors), Oracle(document, CATALOGUE)
    for _ in range(6):
        assert_agrees(rules, oracle, a_task(dice), executors)


@given(comparisons(), SEEDS)
@settings(max_examples=EXAMPLES)
def test_every_single_comparison_says_what_the_interpreter_says(
    comparison: dict[str, Any], seed: int
) -> None:
    dice = random.Random(seed)
    executors = [an_executor(dice, number) for number in range(1, 9)]
    document = {"conditions": [comparison]}
    rules, oracle = compiled(document, executors), Oracle(document, CATALOGUE)
    for _ in range(8):
        assert_agrees(rules, oracle, a_task(dice), executors)


@given(documents(), SEEDS)
@settings(max_examples=EXAMPLES // 2)
def test_tasks_with_one_key_get_the_same_answers(document: dict[str, Any], seed: int) -> None:
    dice = random.Random(seed)
    executors = [an_executor(dice, number) for number in range(1, 6)]
    rules, oracle = compiled(document, executors), Oracle(document, CATALOGUE)
    classes: dict[Any, list[Task]] = {}
    for _ in range(12):
        task = a_task(dice)
        classes.setdefault(rules.task_key(task), []).append(task)
    for key, tasks in classes.items():
        for task in tasks:
            assert_agrees(rules, oracle, task, executors, key)


def negated(condition: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "not", "condition": condition}


def grouped(operator: str, *several: dict[str, Any]) -> dict[str, Any]:
    return {"operator": operator, "conditions": list(several)}


@given(conditions(), conditions(), SEEDS)
@settings(max_examples=EXAMPLES // 2)
def test_logic_is_that_of_logic(one: dict[str, Any], other: dict[str, Any], seed: int) -> None:
    dice = random.Random(seed)
    executors = [an_executor(dice, number) for number in range(1, 6)]
    task = a_task(dice)

    def says(*several: dict[str, Any]) -> list[bool]:
        rules = compiled({"conditions": list(several)}, executors)
        return rules.eligible(rules.task_key(task)).tolist()

    assert says(negated(negated(one))) == says(one)
    assert says(negated(grouped("and", one, other))) == says(grouped("or", negated(one), negated(other)))
    assert says(negated(grouped("or", one, other))) == says(grouped("and", negated(one), negated(other)))
    for operator in ("and", "or"):
        assert says(grouped(operator, one, other)) == says(grouped(operator, other, one))
    assert says(one, other) == says(other, one) == says(grouped("and", one, other))


def test_what_a_bitmap_remembers_follows_the_lists() -> None:
    wanted = {
        "operator": "contains",
        "field": "executor.parameters.tags",
        "value": {"field": "task.parameters.text"},
    }
    executors = [Executor(ExecutorId(number), {"tags": ["a"]}) for number in range(1, 21)]
    rules = compiled({"conditions": [wanted]}, executors)
    key = rules.task_key(Task(TaskId(1), {"text": "a"}))
    assert rules.eligible(key).all()
    rules.update([3], [Executor(ExecutorId(4), {"tags": ["b"]})])
    assert np.flatnonzero(~rules.eligible(key)).tolist() == [3]
    rules.update([3], [Executor(ExecutorId(4), {"tags": ["b", "a"]})])
    assert rules.eligible(key).all()


def test_string_that_somebody_has_from_now_on_leaves_the_class_of_those_nobody_has() -> None:
    same = {"operator": "eq", "field": "executor.parameters.text", "value": {"field": "task.parameters.text"}}
    rules = compiled({"conditions": [same]}, [Executor(ExecutorId(1), {"text": "a"})])
    b, c = Task(TaskId(1), {"text": "b"}), Task(TaskId(2), {"text": "c"})
    before = rules.task_key(b)
    assert before == rules.task_key(c)
    rules.update([1], [Executor(ExecutorId(2), {"text": "b"})])
    assert rules.eligible(rules.task_key(b)).tolist() == [False, True]
    assert rules.eligible(rules.task_key(c)).tolist() == rules.eligible(before).tolist() == [False, False]


def test_amounts_share_a_class_between_the_points_that_they_are_compared_with() -> None:
    within = {
        "operator": "lte",
        "field": "task.parameters.number",
        "value": {"field": "executor.parameters.number"},
    }
    executors = [Executor(ExecutorId(number), {"number": number * 100}) for number in (1, 2, 3)]
    rules = compiled({"conditions": [within]}, executors)

    def keys(*amounts: float) -> int:
        return len({rules.task_key(Task(TaskId(1), {"number": amount})) for amount in amounts})

    assert (keys(1, 50, 99.5), keys(100, 100.5), keys(101, 150, 199), keys(301, 1e9)) == (1, 2, 1, 1)
    rules.update([3], [Executor(ExecutorId(4), {"number": 150})])
    assert (keys(101, 149), keys(151, 199), keys(149, 151)) == (1, 1, 2)


def test_preference_follows_the_one_who_changed() -> None:
    senior = {"operator": "gte", "field": "executor.parameters.number", "value": 5}
    executors = [Executor(ExecutorId(number), {"number": 5}) for number in range(1, 11)]
    rules = compiled({"weights": [{"condition": senior, "weight": 2}]}, executors)
    assert rules.preference(()).tolist() == [2.0] * 10
    rules.update([3], [Executor(ExecutorId(4), {"number": 4})])
    rules.eligible(())
    assert rules.preference(()).tolist() == [2.0] * 3 + [1.0] + [2.0] * 6


def test_answers_are_shared_and_cannot_be_written_to() -> None:
    rules = compiled({}, [Executor(ExecutorId(1))])
    for array in (rules.eligible(()), rules.excluded_by(())):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


class Invalidation(RuleBasedStateMachine):
    """Whatever changes in whatever order, what is remembered is what would be decided anew."""

    @initialize(document=documents(), seed=SEEDS)
    def begin(self, document: dict[str, Any], seed: int) -> None:
        self.document = document
        self.dice = random.Random(seed)
        self.executors = [an_executor(self.dice, number) for number in range(1, 13)]
        self.rules = compiled(document, self.executors)
        self.keys: list[Any] = []
        self.given: list[tuple[Any, bytes]] = []

    @rule()
    def a_class_is_met(self) -> None:
        key = self.rules.task_key(a_task(self.dice))
        self.keys.append(key)
        self.ask(key)

    @rule()
    def a_known_class_is_asked_again(self) -> None:
        if self.keys:
            self.ask(self.dice.choice(self.keys))

    @rule(many=st.integers(1, 5))
    def executors_change(self, many: int) -> None:
        positions = self.dice.sample(range(len(self.executors)), min(many, len(self.executors)))
        self.put(positions)

    @rule(many=st.integers(1, 3))
    def executors_come(self, many: int) -> None:
        first = len(self.executors)
        self.put([*range(first, first + many), self.dice.randrange(first)])

    @rule()
    def one_value_of_one_executor_changes(self) -> None:
        position = self.dice.randrange(len(self.executors))
        before = self.executors[position]
        fresh = an_executor(self.dice, 1).parameters
        changed = replace(
            before, parameters={**before.parameters, **dict([self.dice.choice([*fresh.items(), ("x", 1)])])}
        )
        self.executors[position] = changed
        self.rules.update([position], [changed])

    def put(self, positions: list[int]) -> None:
        fresh = [an_executor(self.dice, position + 1) for position in positions]
        self.executors += [Executor(ExecutorId(0))] * (max(positions) + 1 - len(self.executors))
        for position, executor in zip(positions, fresh, strict=True):
            self.executors[position] = executor
        self.rules.update(positions, fresh)

    def ask(self, key: Any) -> None:
        arrays = [self.rules.eligible(key), self.rules.excluded_by(key), self.rules.preference(key)]
        self.given += [(array, array.tobytes()) for array in arrays if array is not None]
        anew = compiled(self.document, self.executors)
        assert arrays[0].tolist() == anew.eligible(key).tolist()
        assert arrays[1].tolist() == anew.excluded_by(key).tolist()
        preference = anew.preference(key)
        assert (arrays[2] is None) == (preference is None)
        assert preference is None or arrays[2].tolist() == preference.tolist()

    @rule()
    def the_interpreter_agrees(self) -> None:
        assert_agrees(self.rules, Oracle(self.document, CATALOGUE), a_task(self.dice), self.executors)

    @invariant()
    def what_was_given_out_stays_as_it_was(self) -> None:
        for array, content in getattr(self, "given", ())[-30:]:
            assert array.tobytes() == content


Invalidation.TestCase.settings = settings(max_examples=EXAMPLES // 4, stateful_step_count=12)
TestInvalidation = Invalidation.TestCase
