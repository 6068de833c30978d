"""No refusal of the API stands in English on a Russian page: every sentence is read out of its source."""

import re
from typing import Any

import pytest
from pydantic_core._pydantic_core import list_all_errors

from app.errors import ForbiddenMove
from app.rule_engine import Catalogue, Parameter, ParameterType
from streamlit_app.words.refusal_words import OF_THE_API
from streamlit_app.words.refusals import in_russian, place_in_russian
from tests.dashboard.refusals import sentences

PYTHON_ONLY = re.compile(
    "attribute|frozen_(field|instance)|needs_python|default_factory|dataclass|named_tuple|ordered_dict|counter|deque"
    "|iter|ellipsis|sentinel|instance_of|subclass_of|callable|argument|complex|fraction|bytes_type|value_error|frozen_dict"
    "|invalid_key"
)
"""Types of pydantic's errors that need an object of Python, and the one whose sentence is ours."""
PLACE = re.compile(r"{\w+}")


def is_russian(text: str | None) -> bool:
    """Whether it is in Russian, but for names and what was filled in."""
    return bool(text and re.search("[а-яё]", text)) and not re.search(
        r"\b(the|an?|is|are|of|not|send|use|with|this|it|or|should|valid|input|must)\b",
        text or "",
        re.IGNORECASE,
    )


@pytest.mark.parametrize("sentence", sorted(sentences()))
def test_every_refusal_has_its_words_in_russian(sentence: str) -> None:
    told = in_russian(sentence.replace("{}", "7"))
    said_by = sentences()[sentence]
    assert is_russian(told), f"{said_by} says it: write it into streamlit_app/words/refusal_words.py"


def test_enough_refusals_are_found_in_the_source() -> None:
    assert len(sentences()) > 200


@pytest.mark.parametrize("english", sorted(OF_THE_API))
def test_what_is_filled_in_is_filled_into_the_russian_too(english: str) -> None:
    places = {int(number) for number in re.findall(r"{(\d)}", OF_THE_API[english])}
    assert places <= set(range(english.count("{}")))


def _messages() -> dict[str, str]:
    return {
        template: error["type"]
        for error in list_all_errors()
        for template in (error["message_template_python"], error.get("message_template_json"))
        if template and not PYTHON_ONLY.search(error["type"])
    }


@pytest.mark.parametrize("template", sorted(_messages()))
@pytest.mark.parametrize("plural", ["", "s"])
def test_every_check_of_a_type_is_told_in_russian(template: str, plural: str) -> None:
    filled = PLACE.sub("7", template.replace("{expected_plural}", plural))
    assert is_russian(in_russian(filled)), f"{_messages()[template]}: {filled}"


VALUES: dict[ParameterType, Any] = {
    ParameterType.STRING: 1, ParameterType.ENUM: {}, ParameterType.NUMBER: "x", ParameterType.BOOLEAN: "x",
    ParameterType.DATETIME: "x", ParameterType.LIST: "x",
}  # fmt: skip


@pytest.mark.parametrize("kind", ParameterType)
def test_a_value_of_another_type_is_told_in_russian(kind: ParameterType) -> None:
    catalogue = Catalogue([Parameter("executor", "grade", kind)])
    [wrong] = catalogue.check_values("executor", {"grade": VALUES[kind]}).errors
    assert is_russian(in_russian(wrong.reason)), wrong.reason
    assert is_russian(in_russian(wrong.remedy)), wrong.remedy


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        (ForbiddenMove("completed", "reassign", ()).detail,
         "Состояние заявки — «завершена»: передать нельзя. Сейчас можно: ничего."),
        (ForbiddenMove("pending", "start", ("cancel", "reassign")).detail,
         "Состояние заявки — «ожидает»: начать нельзя. Сейчас можно: отменить, передать."),
        ("Input should be 'pending' or 'completed'", "нужно одно из: ожидает или завершена"),
        ("Input should be greater than or equal to 5", "нужно не меньше 5"),
        ("'много' is no number", "«много» — не число"),
        ("9 is above 5", "9 больше, чем 5"),
    ],
)  # fmt: skip
def test_words_that_are_filled_in_are_russian_too(english: str, russian: str) -> None:
    assert in_russian(english) == russian


@pytest.mark.parametrize(
    ("field", "russian"),
    [
        ("line 3, daily_limit", "строка 3, дневной предел"),
        ("executors[0].parameters.grade", "исполнители[0] · параметры · grade"),
        ("body", "запрос"),
    ],
)
def test_a_place_is_named_as_pages_name_it(field: str, russian: str) -> None:
    assert place_in_russian(field) == russian
