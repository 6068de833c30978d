"""What the rule checker and the linter say stands in Russian on Russian pages."""

import ast
import re
from pathlib import Path

import pytest

from app.rule_engine.catalogue import Catalogue
from app.rule_engine.faults import meant
from app.rule_engine.findings import look_at_document
from app.rule_engine.parsing import RuleSetInvalid, parse_rule_set
from streamlit_app.words.rule_remarks import fault_in_russian, finding_in_russian

ROOT = Path(__file__).parents[2]
RULE_ENGINE = ROOT / "app" / "rule_engine"
TOLD_AS = {"reason", "remedy"}


def _said(node: ast.expr) -> list[str]:
    """A sentence as it may come out, with something in each of its places."""
    if isinstance(node, ast.IfExp):
        return _said(node.body) + _said(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = [each.value if isinstance(each, ast.Constant) else _filled(each) for each in node.values]
        return ["".join(parts)]
    return []


def _filled(place: ast.expr) -> str:
    source = ast.unparse(place)
    if "_a(" in source or "a list" in source:
        return "a list"
    if "reason" in source:  # why an operator does not go with a field
        return "7 is a list: only numbers and datetimes have an order"
    return "numbers" if "_kinds" in source or "wanted" in source else "a number" if "kind" in source else "7"


def _faults() -> set[str]:
    """Every reason and remedy in the checker's source."""
    found: set[str] = set()
    for name in ("checks", "parsing", "examples"):
        for node in ast.walk(ast.parse((RULE_ENGINE / f"{name}.py").read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "add"
            ):
                for argument in node.args[2:]:
                    found.update(_said(argument))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in TOLD_AS:
                found.update(_said(node.value))
    # Why an operator does not go with a field is a part of a sentence, never one by itself.
    return {each for each in found if not re.match("7 is a list[:,]", each)}


def _findings() -> set[str]:
    """Every finding's code."""
    sources = [*RULE_ENGINE.glob("*.py"), ROOT / "app" / "services" / "rules" / "rule_checks.py"]
    return {
        code for source in sources for code in re.findall(r"Finding\(\s*\"(\w+)\"", source.read_text())
    } | {"always_holds", "never_holds", "nobody_fills", "seldom_filled"}


@pytest.mark.parametrize("what", ["key 'x'", "field", "operator", "parameter 'x'", "field 'x'"])
def test_an_unknown_name_is_told_in_russian(what: str) -> None:
    assert (fault_in_russian(f"unknown {what}") or "").startswith("неизвестн")


def _is_russian(text: str) -> bool:
    """Nothing of English but names in the language of rules."""
    return bool(re.search("[а-я]", text)) and not re.search(
        r"\b(the|an?|is|are|of|not a|send|use|with|this|it|or)\b", text
    )


@pytest.mark.parametrize("sentence", sorted(_faults()))
def test_every_fault_of_the_checker_is_told_in_russian(sentence: str) -> None:
    told = fault_in_russian(sentence)
    assert told, "write it into streamlit_app/words/rule_remarks.py"
    assert _is_russian(told), told


@pytest.mark.parametrize("given", ["prioritty", "совсем", "рriority"])
def test_a_guess_at_what_was_meant_is_told_in_russian(given: str) -> None:
    told = fault_in_russian(meant(given, ["priority", "priorities", "weight"]))
    assert told
    assert _is_russian(told), told


MESSAGES = {
    "contradiction": "no value of task.priority fulfils all of $.conditions[0], $.conditions[1]",
    "repeated": "says the same as $.conditions[0]",
    "compares_with_itself": "task.priority is compared with itself",
    "always_holds": "under the bounds and options of task.parameters.x this always holds",
    "never_holds": "under the bounds and options of task.parameters.x this never holds",
    "deprecated": "task.parameters.x is deprecated: it will not be filled for long",
    "excludes_everyone": "none of 12 executors passes 'Навык', whatever the task",
    "nobody_eligible": "25% of the recent tasks (5 of 20) would have had no one",
    "heavier_than_limits": "5 of 20 recent tasks weigh more than the whole daily limit of anyone eligible",
    "excludes_nobody": "'Навык' excluded nobody from any of 20 recent tasks",
    "nobody_fills": "0 of 12 executors have executor.parameters.x with a value of its type",
    "seldom_filled": "3 of 12 recent tasks have task.parameters.x with a value of its type",
}


@pytest.mark.parametrize("code", sorted(_findings()))
def test_every_finding_of_the_linter_is_told_in_russian(code: str) -> None:
    told = finding_in_russian({"code": code, "message": MESSAGES.get(code, "")})
    assert _is_russian(told), told
    assert "взглянуть" not in told, "write it into streamlit_app/words/rule_remarks.py"
    assert "?" not in told, "its figures are found in the sentence"


def test_what_a_real_document_is_told_stands_in_russian() -> None:
    same = {"operator": "eq", "field": "task.priority", "value": 5}
    other = {"operator": "gt", "field": "task.priority", "value": 7}
    rules = parse_rule_set({"conditions": [same, same, other]}, Catalogue(()))
    found = look_at_document(rules, Catalogue(()))
    assert {each.code for each in found} == {"repeated", "contradiction", "no_tests"}
    for each in found:
        told = finding_in_russian({"code": each.code, "message": each.message})
        assert _is_russian(told), told
        assert "?" not in told
    wrong = {"operator": "gtt", "field": "task.priorty"}, {"operator": "contains", "field": "task.weight"}
    with pytest.raises(RuleSetInvalid) as caught:
        parse_rule_set({"conditions": [*wrong]}, Catalogue(()))
    for issue in caught.value.issues:
        for sentence in (issue.reason, issue.remedy):
            assert _is_russian(fault_in_russian(sentence) or ""), sentence
