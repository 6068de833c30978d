"""What docs/rules.md promises: every example runs, every operator has one, and both languages show the same ones."""

import json
import re
from typing import Any

import pytest

from app.rule_engine import Catalogue, Parameter, ParameterType, parse_rule_set, run_examples
from app.rule_engine.language import OPERATORS
from tests.servers import ROOT

PAGES = ("docs/rules.md", "docs/rules.ru.md")


def blocks(page: str) -> list[Any]:
    text = (ROOT / page).read_text()
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def catalogue() -> Catalogue:
    [listed] = [block["catalogue"] for block in blocks(PAGES[0]) if "catalogue" in block]
    return Catalogue(
        [
            Parameter(
                each["owner"],
                each["key"],
                ParameterType(each["type"]),
                options=tuple(each.get("options", ())),
            )
            for each in listed
        ]
    )


EXAMPLES = [block for block in blocks(PAGES[0]) if "condition" in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["condition"]["operator"])
def test_example_comes_out_as_the_page_says(example: dict[str, Any]) -> None:
    test = {name: example[name] for name in ("task", "executor", "expected")}
    document = {"conditions": [example["condition"]], "tests": [test]}
    assert run_examples(parse_rule_set(document, catalogue())) == []


def test_whole_document_of_the_page_is_right() -> None:
    [document] = [block for block in blocks(PAGES[0]) if "conditions" in block]
    rule_set = parse_rule_set(document, catalogue())
    assert len(rule_set.tests) == 2
    assert run_examples(rule_set) == []


def test_every_operator_has_an_example() -> None:
    shown = {example["condition"]["operator"] for example in EXAMPLES}
    assert shown == {*OPERATORS, "and", "or", "not"}


def test_both_languages_show_the_same_examples() -> None:
    assert blocks(PAGES[0]) == blocks(PAGES[1])
