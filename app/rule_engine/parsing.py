"""From a document to a rule set: everything is checked here, so that nothing can fail on a task."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.messages.message import say
from app.rule_engine.catalogue import Catalogue
from app.rule_engine.checks import LONGEST_STRING, Checker
from app.rule_engine.examples import read_examples
from app.rule_engine.faults import Faults, RuleSetInvalid
from app.rule_engine.language import (
    OPERATORS,
    Comparison,
    Condition,
    Group,
    Negation,
    RuleSet,
    Weight,
    owners_in,
)

MOST_DEPTH: Final = 20
MOST_CONDITIONS: Final = 1000
HEAVIEST: Final = 1000.0
LIGHTEST: Final = 0.001
FURTHEST_PRODUCT: Final = 1e9
"""Bound on the product of all preferences, and on its inverse."""

DOCUMENT_KEYS = ("conditions", "weights", "task_weights", "tests", "comment")
_GROUP_KEYS = ("operator", "conditions", "name", "comment")
_NOT_KEYS = ("operator", "condition", "name", "comment")
_COMPARISON_KEYS = ("operator", "field", "value", "on_missing", "name", "comment")
_WEIGHT_KEYS = ("condition", "weight", "name", "comment")
_NOTHING = Group("and", ())


def parse_rule_set(document: Any, catalogue: Catalogue) -> RuleSet:
    """Read and check a document. Raises RuleSetInvalid with everything that is wrong."""
    faults = Faults()
    rule_set = _Parser(catalogue, faults).rule_set(document)
    if faults.found:
        raise RuleSetInvalid(faults.found)
    return rule_set


class _Parser:
    def __init__(self, catalogue: Catalogue, faults: Faults) -> None:
        self._catalogue = catalogue
        self._faults = faults
        self._checker = Checker(catalogue, faults)
        self._count = 0

    def rule_set(self, document: Any) -> RuleSet:
        if not isinstance(document, Mapping):
            self._faults.add(
                "$", document, say("not an object"), say('send {"conditions": [...], "weights": [...]}')
            )
            return RuleSet()
        self._known_keys(document, DOCUMENT_KEYS, "$")
        self._text(document, "comment", "$")
        conditions = tuple(
            self._condition(each, f"$.conditions[{index}]", 1)
            for index, each in enumerate(self._list(document, "conditions"))
        )
        return RuleSet(
            conditions,
            self._weights(document, "weights"),
            self._weights(document, "task_weights"),
            read_examples(self._list(document, "tests"), self._catalogue, self._faults),
        )

    def _list(self, document: Mapping[str, Any], key: str) -> Sequence[Any]:
        value = document.get(key, [])
        if not isinstance(value, list):
            self._faults.add(f"$.{key}", value, say("not a list"), say('send "{key}": [...]', key=key))
            return []
        return value[: MOST_CONDITIONS + 1]

    def _weights(self, document: Mapping[str, Any], key: str) -> tuple[Weight, ...]:
        weights = []
        for index, each in enumerate(self._list(document, key)):
            path = f"$.{key}[{index}]"
            if not isinstance(each, Mapping) or "condition" not in each:
                self._faults.add(
                    path, each, say("not a weight"), say('send {"condition": {...}, "weight": 2.0}')
                )
                continue
            self._known_keys(each, _WEIGHT_KEYS, path)
            condition = self._condition(each["condition"], f"{path}.condition", 1)
            if key == "task_weights" and "executor" in owners_in(condition):
                self._faults.add(
                    f"{path}.condition",
                    each["condition"],
                    say("the weight of a task is known before its executor"),
                    say("read fields of the task only; to prefer executors use weights"),
                )
            weights.append(Weight(condition, self._weight(each.get("weight"), f"{path}.weight")))
        self._bound_product(weights, key)
        return tuple(weights)

    def _weight(self, weight: Any, path: str) -> float:
        number = not isinstance(weight, bool) and isinstance(weight, int | float)
        if not number or not LIGHTEST <= weight <= HEAVIEST:
            self._faults.add(
                path,
                weight,
                say("not a number from {lightest} to {heaviest:g}", lightest=LIGHTEST, heaviest=HEAVIEST),
                say("send such a number"),
            )
            return 1.0
        return float(weight)

    def _bound_product(self, weights: Sequence[Weight], key: str) -> None:
        """Preferences multiply: keep what they can reach far from where floats end."""
        highest = lowest = 1.0
        for index, each in enumerate(weights):
            highest, lowest = highest * max(each.weight, 1.0), lowest * min(each.weight, 1.0)
            if highest > FURTHEST_PRODUCT or lowest < 1 / FURTHEST_PRODUCT:
                reason = say(
                    "all {key} up to here together could multiply by {highest:g} or by {lowest:g}",
                    key=key,
                    highest=highest,
                    lowest=lowest,
                )
                self._faults.add(
                    f"$.{key}[{index}].weight", each.weight, reason, say("choose weights nearer to 1")
                )
                return

    def _condition(self, value: Any, path: str, depth: int) -> Condition:
        self._count += 1
        if self._faults.full:
            return _NOTHING
        if self._count > MOST_CONDITIONS:
            if self._count == MOST_CONDITIONS + 1:
                self._faults.add(
                    path,
                    "...",
                    say("more than {most} conditions", most=MOST_CONDITIONS),
                    say("use fewer"),
                )
            return _NOTHING
        if depth > MOST_DEPTH:
            self._faults.add(
                path,
                "...",
                say("nested more than {most} deep", most=MOST_DEPTH),
                say("flatten the conditions"),
            )
            return _NOTHING
        if not isinstance(value, Mapping):
            remedy = say('send {"operator": ..., "field": ..., "value": ...}')
            self._faults.add(path, value, say("not an object"), remedy)
            return _NOTHING
        label = self._text(value, "name", path)
        self._text(value, "comment", path)
        match value.get("operator"):
            case "and" | "or" as operator:
                self._known_keys(value, _GROUP_KEYS, path)
                return Group(operator, self._inner(value.get("conditions"), path, depth), label)
            case "not":
                self._known_keys(value, _NOT_KEYS, path)
                inner = self._condition(value.get("condition"), f"{path}.condition", depth + 1)
                return Negation(inner, label)
            case operator if isinstance(operator, str) and operator in OPERATORS:
                self._known_keys(value, _COMPARISON_KEYS, path)
                return self._comparison(value, operator, label, path)
            case operator:
                self._faults.unknown(
                    f"{path}.operator", operator, "operator", [*OPERATORS, "and", "or", "not"]
                )
                return _NOTHING

    def _inner(self, inner: Any, path: str, depth: int) -> tuple[Condition, ...]:
        if not isinstance(inner, list) or not inner:
            reason = say("not a list of conditions") if inner != [] else say("empty: it would say nothing")
            self._faults.add(f"{path}.conditions", inner, reason, say("send at least one condition"))
            return ()
        return tuple(
            self._condition(each, f"{path}.conditions[{index}]", depth + 1)
            for index, each in enumerate(inner[: MOST_CONDITIONS + 1])
        )

    def _comparison(self, value: Mapping[str, Any], operator: str, label: str, path: str) -> Condition:
        missing = value.get("on_missing", "fail")
        if missing not in ("fail", "pass"):
            self._faults.add(
                f"{path}.on_missing", missing, say("neither fail nor pass"), say('send "fail" or "pass"')
            )
        if operator == "is_null" and "on_missing" in value:
            reason = say("is_null asks for what is missing: on_missing has no meaning")
            self._faults.add(f"{path}.on_missing", missing, reason, say("leave it out"))
        field = self._checker.field(value.get("field"), f"{path}.field")
        if field is None:
            return _NOTHING
        if "value" not in value and operator != "is_null":
            self._faults.add(
                f"{path}.value", None, say("missing"), say("send a literal or a reference to a field")
            )
            return _NOTHING
        given = value.get("value", True)
        operand = self._checker.operand(
            operator, field, dict(given) if isinstance(given, Mapping) else given, path
        )
        return Comparison(operator, field, operand, missing == "pass", label)

    def _text(self, value: Mapping[str, Any], key: str, path: str) -> str:
        text = value.get(key, "")
        if not isinstance(text, str) or len(text) > LONGEST_STRING or "\x00" in text:
            self._faults.add(
                f"{path}.{key}",
                text,
                say("not a text of up to {longest}", longest=LONGEST_STRING),
                say("send such a text"),
            )
            return ""
        return text

    def _known_keys(self, value: Mapping[str, Any], known: Sequence[str], path: str) -> None:
        for key in value:
            if key not in known:
                self._faults.unknown_key(path, key, value[key], "key", known)
