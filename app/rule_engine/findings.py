"""Findings: rules that are legal but hardly meant, seen in the document alone.

Found are conditions that contradict each other, that can never hold or always do under the catalogue, that say the same
twice, and fields that are on their way out. `roster` looks at the same rules with people and work.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from app.messages.message import Message, say
from app.rule_engine.catalogue import Catalogue, Parameter
from app.rule_engine.language import Comparison, Condition, Field, Group, Negation, RuleSet, owners_in
from app.rule_engine.values import TRUE, Atom, read_atom

Severity: TypeAlias = Literal["warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark: a stable code, the place, the sentence, and the figures in it."""

    code: str
    path: str
    message: Message
    severity: Severity = "warning"
    numbers: Mapping[str, Any] = field(default_factory=dict)


def look_at_document(rule_set: RuleSet, catalogue: Catalogue) -> list[Finding]:
    """Everything that the document shows by itself."""
    found = [*_together(rule_set.conditions, "$.conditions")]
    for path, condition in _tops(rule_set):
        found += _inside(condition, path, catalogue)
    for index, weight in enumerate(rule_set.weights):
        path = f"$.weights[{index}]"
        if owners_in(weight.condition) == {"task"}:
            reason = say("it reads the task alone, so it prefers everybody alike: meant as a task_weight?")
            found.append(Finding("prefers_everybody", f"{path}.condition", reason))
        if weight.weight == 1.0:
            found.append(
                Finding("weight_of_one", f"{path}.weight", say("multiplying by 1 changes nothing"), "note")
            )
    found += _deprecated(rule_set, catalogue)
    if not rule_set.tests:
        found.append(
            Finding("no_tests", "$.tests", say("no examples say what these rules are meant to do"), "note")
        )
    return found


def _tops(rule_set: RuleSet) -> Iterator[tuple[str, Condition]]:
    for index, condition in enumerate(rule_set.conditions):
        yield f"$.conditions[{index}]", condition
    for key, weights in (("weights", rule_set.weights), ("task_weights", rule_set.task_weights)):
        for index, weight in enumerate(weights):
            yield f"$.{key}[{index}].condition", weight.condition


def _inside(condition: Condition, path: str, catalogue: Catalogue) -> Iterator[Finding]:
    match condition:
        case Group(operator, conditions):
            if operator == "and":
                yield from _together(conditions, f"{path}.conditions")
            else:
                yield from _repeated(conditions, f"{path}.conditions")
            for index, each in enumerate(conditions):
                yield from _inside(each, f"{path}.conditions[{index}]", catalogue)
        case Negation(negated):
            yield from _inside(negated, f"{path}.condition", catalogue)
        case Comparison():
            yield from _alone(condition, path, catalogue)


def _together(conditions: Sequence[Condition], path: str) -> Iterator[Finding]:
    """Conditions that must all hold, and what they leave."""
    yield from _repeated(conditions, path)
    left: dict[str, _Left] = {}
    for index, each in enumerate(conditions):
        if not isinstance(each, Comparison) or isinstance(each.value, Field) or each.on_missing:
            continue
        known = left.setdefault(each.field.path, _Left())
        known.take(each, index)
        if known.empty and not known.told:
            known.told = True
            places = ", ".join(f"{path}[{place}]" for place in known.places)
            yield Finding(
                "contradiction",
                f"{path}[{index}]",
                say("no value of {path} fulfils all of {places}", path=each.field.path, places=places),
            )


def _repeated(conditions: Sequence[Condition], path: str) -> Iterator[Finding]:
    seen: dict[Condition, int] = {}
    for index, each in enumerate(conditions):
        bare = _bare(each)
        if bare in seen:
            yield Finding(
                "repeated",
                f"{path}[{index}]",
                say("says the same as {path}", path=f"{path}[{seen[bare]}]"),
                "note",
            )
        seen.setdefault(bare, index)


def _bare(condition: Condition) -> Condition:
    """The condition without names."""
    match condition:
        case Group(operator, conditions):
            return Group(operator, tuple(_bare(each) for each in conditions))
        case Negation(negated):
            return Negation(_bare(negated))
        case Comparison(operator, left, right, on_missing):
            return Comparison(operator, left, right, on_missing)


class _Left:
    """The values that some comparisons of one field leave."""

    def __init__(self) -> None:
        self.low: float | int = float("-inf")
        self.high: float | int = float("inf")
        self.open_low = self.open_high = False
        self.among: set[Atom] | None = None
        self.without: set[Atom] = set()
        self.null = False
        self.present = False
        self.places: list[int] = []
        self.told = False

    def take(self, comparison: Comparison, index: int) -> None:
        """Leave only what this comparison lets through."""
        self.places.append(index)
        operator, literals = comparison.operator, comparison.literals
        if operator == "is_null":
            self.null = self.null or comparison.value == TRUE
            self.present = self.present or comparison.value != TRUE
            return
        self.present = True
        if comparison.field.is_list:
            return
        if operator in ("eq", "in"):
            self.among = set(literals) if self.among is None else self.among & set(literals)
        elif operator in ("ne", "not_in"):
            self.without |= set(literals)
        elif operator in ("gt", "gte", "lt", "lte", "between"):
            self._bound(operator, [each for each in literals if isinstance(each, int | float)])

    def _bound(self, operator: str, ends: Sequence[float | int]) -> None:
        if operator in ("gt", "gte", "between") and ends[0] >= self.low:
            self.open_low = operator == "gt" or (self.open_low and ends[0] == self.low)
            self.low = ends[0]
        if operator in ("lt", "lte", "between") and ends[-1] <= self.high:
            self.open_high = operator == "lt" or (self.open_high and ends[-1] == self.high)
            self.high = ends[-1]

    @property
    def empty(self) -> bool:
        """Whether no value is left."""
        if self.null and self.present:
            return True
        if self.low > self.high or (self.low == self.high and (self.open_low or self.open_high)):
            return True
        return self.among is not None and not any(self._within(atom) for atom in self.among - self.without)

    def _within(self, atom: Atom) -> bool:
        if not isinstance(atom, int | float):
            return True
        above = atom > self.low or (atom == self.low and not self.open_low)
        return above and (atom < self.high or (atom == self.high and not self.open_high))


def _alone(comparison: Comparison, path: str, catalogue: Catalogue) -> Iterator[Finding]:
    """One comparison under the bounds and options of its parameter."""
    if isinstance(comparison.value, Field):
        if comparison.value.path == comparison.field.path:
            yield Finding(
                "compares_with_itself",
                path,
                say("{path} is compared with itself", path=comparison.field.path),
            )
        return
    parameter = catalogue.parameter_of(comparison.field)
    if parameter is None or comparison.operator == "is_null":
        return
    verdict = _within_bounds(comparison, parameter) or _within_options(comparison, parameter)
    if verdict is not None:
        holds = (
            say("under the bounds and options of {path} this always holds", path=comparison.field.path)
            if verdict == "always_holds"
            else say("under the bounds and options of {path} this never holds", path=comparison.field.path)
        )
        yield Finding(
            verdict,
            path,
            holds,
        )


def _within_bounds(comparison: Comparison, parameter: Parameter) -> str | None:
    low, high = parameter.minimum, parameter.maximum
    if not comparison.field.is_ordered or (low is None and high is None):
        return None
    ends = [each for each in comparison.literals if isinstance(each, int | float)]
    least, most = (float("-inf") if low is None else low), (float("inf") if high is None else high)
    holds_at = {
        "gt": (least > ends[0], most <= ends[0]),
        "gte": (least >= ends[0], most < ends[0]),
        "lt": (most < ends[0], least >= ends[0]),
        "lte": (most <= ends[0], least > ends[0]),
        "between": (ends[0] <= least and most <= ends[-1], ends[-1] < least or most < ends[0]),
        "eq": (False, not least <= ends[0] <= most),
        "ne": (not least <= ends[0] <= most, False),
    }
    always, never = holds_at.get(comparison.operator, (False, False))
    return "always_holds" if always else "never_holds" if never else None


def _within_options(comparison: Comparison, parameter: Parameter) -> str | None:
    if not parameter.closed or comparison.operator not in ("in", "not_in") or comparison.field.is_list:
        return None
    everything = {read_atom(option) for option in parameter.options} <= set(comparison.literals)
    if not everything:
        return None
    return "always_holds" if comparison.operator == "in" else "never_holds"


def _deprecated(rule_set: RuleSet, catalogue: Catalogue) -> Iterator[Finding]:
    told: set[str] = set()
    for path, condition in _tops(rule_set):
        for each in _fields_in(condition):
            parameter = catalogue.parameter_of(each)
            if parameter is not None and parameter.deprecated and each.path not in told:
                told.add(each.path)
                yield Finding(
                    "deprecated",
                    path,
                    say("{path} is deprecated: it will not be filled for long", path=each.path),
                )


def _fields_in(condition: Condition) -> Iterator[Field]:
    match condition:
        case Group(_, conditions):
            for each in conditions:
                yield from _fields_in(each)
        case Negation(negated):
            yield from _fields_in(negated)
        case Comparison():
            yield from condition.fields
