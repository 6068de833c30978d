"""Who may take a task: how long it takes to know, against other rule engines and the plain interpreter."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import rule_engine
import zen
from json_logic import jsonLogic

from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.rule_engine import Catalogue, CompiledRules, Parameter, ParameterType, compile_rules, parse_rule_set
from benchmarks.results import Chart, Result, Series, Table, Target
from tests.rules.oracle import Oracle

ABOUT = """
One team, one set of rules, one stream of tasks for all. A third of the rules compares a list of the executor with a
value of the task, a third a number of the task with one of the executor, a third is an `or` of a condition on the task
and one on the executor. Asked is who of the team may take a task, from the task to the whole set.

*Cold* is the first task of its eligibility class, *warm* any later one; both include making the class's key. The
references are asked in the same run with the same rules, put together to one expression and compiled beforehand where
the library can: `json-logic-qubit`, `rule-engine` and `zen-engine` from PyPI, and the plain interpreter of documents
that is the oracle of our tests. All must name the same executors, or the benchmark fails.
"""
OPTIONS = tuple(f"c{number}" for number in range(20))
CATALOGUE = Catalogue(
    [Parameter("task", f"s{n}", ParameterType.ENUM, options=OPTIONS) for n in range(6)]
    + [Parameter("task", f"n{n}", ParameterType.NUMBER) for n in range(4)]
    + [Parameter("executor", f"l{n}", ParameterType.LIST, options=OPTIONS) for n in range(6)]
    + [Parameter("executor", f"m{n}", ParameterType.NUMBER) for n in range(4)]
)
RULES = (5, 13, 50)


def conditions(count: int) -> list[dict[str, Any]]:
    """That many rules of the three kinds in turn."""
    found: list[dict[str, Any]] = []
    for n in range(count):
        text, number = f"s{(n + n // 6) % 6}", f"{(n // 4) % 4}"
        task, person = f"task.parameters.n{number}", f"executor.parameters.m{number}"
        if n % 3 == 0:
            found.append(
                _compare("contains", f"executor.parameters.l{n % 6}", {"field": f"task.parameters.{text}"})
            )
        elif n % 3 == 1:
            found.append(_compare("lte", task, {"field": person}))
        else:
            either = [_compare("ne", f"task.parameters.{text}", OPTIONS[n % 20]), _compare("gte", person, 60)]
            found.append({"operator": "or", "conditions": either})
    return found


def _compare(operator: str, field: str, value: Any) -> dict[str, Any]:
    return {"operator": operator, "field": field, "value": value}


def a_person(dice: random.Random, number: int) -> Executor:
    lists = {f"l{n}": dice.sample(OPTIONS, 17) for n in range(6)}
    return Executor(ExecutorId(number), {**lists, **{f"m{n}": dice.randint(2, 5) * 20 for n in range(4)}})


def a_task(dice: random.Random) -> Task:
    texts = {f"s{n}": dice.choice(OPTIONS) for n in range(6)}
    return Task(TaskId(1), {**texts, **{f"n{n}": round(dice.random() * 60, 2) for n in range(4)}})


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    into.append(time.perf_counter() - started)


def cold_and_warm(rules: CompiledRules, tasks: Sequence[Task]) -> tuple[float, float]:
    """Median seconds of the first task of a class, and of one of a class that is known."""
    cold: list[float] = []
    warm: list[float] = []
    met = set()
    for task in tasks:
        if rules.task_key(task) not in met:
            met.add(rules.task_key(task))
            fresh = replace(task)
            with stopwatch(cold):
                rules.eligible(rules.task_key(fresh))
    known = [task for task in tasks if rules.task_key(task) in met][:200]
    for _ in range(20):
        with stopwatch(warm):
            for task in known:
                rules.eligible(rules.task_key(task))
    return median(cold), median(warm) / len(known)


def mended(rules: CompiledRules, task: Task, person: Executor) -> float:
    """Median seconds from the change of one executor to the mended class."""
    spent: list[float] = []
    for turn in range(20):
        with stopwatch(spent):
            rules.update([0], [replace(person, name=str(turn))])
            rules.eligible(rules.task_key(task))
    return median(spent)


Asks = Callable[[Task], list[bool]]


def references(count: int, people: Sequence[Executor]) -> dict[str, Asks]:
    """Every other way to ask who may take a task."""
    rules = conditions(count)
    oracle = Oracle({"conditions": rules}, CATALOGUE)
    logic = {"and": [to_json_logic(each) for each in rules]}
    one = rule_engine.Rule(" and ".join(to_text(each, "rule-engine") for each in rules))
    other = zen.compile_expression(" and ".join(to_text(each, "zen") for each in rules))
    known = [dict(person.parameters) for person in people]

    def pairs(task: Task) -> Iterator[dict[str, Any]]:
        return ({"task": task.parameters, "executor": person} for person in known)

    return {
        "plain interpreter": lambda task: [oracle.first_failed(task, person) < 0 for person in people],
        "json-logic": lambda task: [bool(jsonLogic(logic, pair)) for pair in pairs(task)],
        "rule-engine": lambda task: [one.matches(pair) for pair in pairs(task)],
        "zen-engine": lambda task: [bool(other.evaluate(pair)) for pair in pairs(task)],
    }


def _path(field: str) -> str:
    return field.replace("parameters.", "")


def to_json_logic(condition: dict[str, Any]) -> dict[str, Any]:
    if condition["operator"] == "or":
        return {"or": [to_json_logic(each) for each in condition["conditions"]]}
    left, value = {"var": _path(condition["field"])}, condition["value"]
    right = {"var": _path(value["field"])} if isinstance(value, dict) else value
    if condition["operator"] == "contains":
        return {"in": [right, left]}
    return {{"lte": "<=", "gte": ">=", "ne": "!="}[condition["operator"]]: [left, right]}


def to_text(condition: dict[str, Any], dialect: str) -> str:
    if condition["operator"] == "or":
        return f"({' or '.join(to_text(each, dialect) for each in condition['conditions'])})"

    def name(field: str) -> str:
        owner, key = _path(field).split(".")
        return f'{owner}["{key}"]' if dialect == "rule-engine" else f"{owner}.{key}"

    left, value = name(condition["field"]), condition["value"]
    right = (
        name(value["field"]) if isinstance(value, dict) else f'"{value}"' if isinstance(value, str) else value
    )
    if condition["operator"] == "contains":
        return f"{right} in {left}"
    return f"{left} {({'lte': '<=', 'gte': '>=', 'ne': '!='})[condition['operator']]} {right}"


def run(*, short: bool) -> Result:
    """Measure, and hold against the targets."""
    dice = random.Random(7)
    sizes = (10, 1000) if short else (10, 100, 1000, 10_000)
    tasks = [a_task(dice) for _ in range(100 if short else 1000)]
    people = [a_person(dice, number) for number in range(1, max(sizes) + 1)]
    result = Result("rules", "Rules", ABOUT)
    warm, cold = _ours(sizes, people, tasks, result)
    best = _theirs(people[:1000], tasks, 1 if short else 3, result)
    result.targets = [
        Target("Warm class, the slowest of all sizes", "us", warm, 3.0, better="lower"),
        Target(f"Cold class, {sizes[-1]:,} executors x 50 rules", "ms", cold, 2.0, better="lower"),
        Target(
            "Cold class against the best library, 1,000 executors, the least of all rule counts",
            "x",
            best,
            100.0,
        ),
    ]
    return result


def _ours(
    sizes: Sequence[int], people: Sequence[Executor], tasks: Sequence[Task], result: Result
) -> tuple[float, float]:
    rows: list[list[Any]] = []
    series = [Series(f"{rules} rules", []) for rules in RULES]
    slowest = last = 0.0
    for size in sizes:
        for line, count in zip(series, RULES, strict=True):
            built: list[float] = []
            with stopwatch(built):
                rules = compile_rules(
                    parse_rule_set({"conditions": conditions(count)}, CATALOGUE), people[:size]
                )
            cold, warm = cold_and_warm(rules, tasks)
            mend = mended(rules, tasks[0], people[0])
            per_second = round(size * count / cold)
            rows.append(
                [
                    size,
                    count,
                    1000 * built[0],
                    1e6 * cold,
                    per_second,
                    1e6 * warm,
                    round(size * count / warm),
                    1e6 * mend,
                ]
            )
            line.points.append([size, 1e6 * cold])
            slowest, last = max(slowest, 1e6 * warm), 1000 * cold
    columns = [
        "executors",
        "rules",
        "compiled, ms",
        "cold, us",
        "cold evaluations/s",
        "warm, us",
        "warm evaluations/s",
    ]
    result.tables.append(Table("Compiled rules", [*columns, "one executor changed, us"], rows))
    result.charts.append(Chart("A cold class", "line", "executors", "us", series, log_x=True))
    return slowest, last


def _theirs(people: Sequence[Executor], tasks: Sequence[Task], asked: int, result: Result) -> float:
    rows: list[list[Any]] = []
    least = float("inf")
    for count in RULES:
        document = {"conditions": conditions(count)}
        rules = compile_rules(parse_rule_set(document, CATALOGUE), people)
        ours, _ = cold_and_warm(rules, tasks)
        times = {"compiled, cold": ours}
        for name, asks in references(count, people).items():
            spent: list[float] = []
            for task in tasks[:asked]:
                with stopwatch(spent):
                    found = asks(task)
                assert found == rules.eligible(rules.task_key(task)).tolist(), f"{name} names others"
            times[name] = median(spent)
        rows += [
            [count, name, 1000 * each, round(len(people) * count / each), each / ours]
            for name, each in times.items()
        ]
        libraries = [
            each for name, each in times.items() if name not in ("compiled, cold", "plain interpreter")
        ]
        least = min(least, min(libraries) / ours)
    columns = ["rules", "engine", "one task, ms", "evaluations/s", "times the compiled"]
    result.tables.append(Table("Against others, 1,000 executors", columns, rows))
    return least
