"""Messages in English and Russian: places, words of the API, plural forms, what Pydantic says, the rule checker."""

import pickle
import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.errors import ForbiddenMove
from app.messages.catalogue import all_told, language_of, told
from app.messages.message import as_is, either, joined, message_of, say, say_count
from app.messages.type_faults import fault_message
from app.rule_engine import Catalogue, Parameter, ParameterType
from app.rule_engine.faults import meant
from app.rule_engine.findings import look_at_document
from app.rule_engine.parsing import RuleSetInvalid, parse_rule_set
from app.schemas.tasks import TaskIn


def is_russian(text: str) -> bool:
    """Whether it is in Russian, but for names and what was filled in."""
    return bool(re.search("[а-яё]", text)) and not re.search(
        r"\b(the|an?|is|are|of|not|send|use|with|this|it|or|should|valid|input|must)\b", text, re.IGNORECASE
    )


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"), ("", "en"), ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"), ("en-GB, ru;q=0.5", "en"),
        ("de, ru;q=0.4", "ru"), ("de-DE", "en"), ("*", "en"), ("ru;q=0", "en"), ("en;q=0.2, RU ; q=0.8", "ru"),
        ("ru;q=nonsense", "en"), (",,;q=1", "en"), ("ru;q=nan, en", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_that_a_client_prefers(header: str | None, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize(
    ("error", "russian"),
    [
        (ForbiddenMove("completed", "reassign", ()),
         "Состояние заявки — «завершена»: передать нельзя. Сейчас можно: ничего."),
        (ForbiddenMove("pending", "start", ("cancel", "reassign")),
         "Состояние заявки — «ожидает»: начать нельзя. Сейчас можно: отменить, передать."),
    ],
)  # fmt: skip
def test_words_of_the_api_that_are_filled_in_are_russian_too(error: ForbiddenMove, russian: str) -> None:
    assert told(error.detail, "ru") == russian


def test_english_is_the_message_itself() -> None:
    message = say("There is no task {task_id}.", task_id=5)
    assert message == "There is no task 5."
    assert told(message, "en") == message
    assert told(message, "ru") == "Заявки 5 нет."


@pytest.mark.parametrize(
    ("count", "form"), [(1, "1 открытая заявка."), (3, "3 открытые заявки."), (12, "12 открытых заявок.")]
)
def test_numbers_take_their_form(count: int, form: str) -> None:
    message = say_count(
        "The executor has {count} open task: reassign or finish it first.",
        "The executor has {count} open tasks: reassign or finish them first.",
        count,
    )
    assert message.startswith(f"The executor has {count} open task{'' if count == 1 else 's'}:")
    assert form in told(message, "ru")


def test_a_text_of_a_person_stays_as_it_is() -> None:
    assert told(as_is("Not found"), "ru") == "Not found"
    assert told("Not found", "ru") == "Not found"
    named = say("There is no pool '{code}'.", code="pending")
    assert told(named, "ru") == "Команды «pending» нет."


def test_messages_within_messages_and_within_json_are_told() -> None:
    parts = joined([say("it is empty"), say("use {known}", known=["a", "b"])])
    assert parts == "it is empty; use a, b"
    assert told(parts, "ru") == "пусто; допустимо: a, b"
    assert told(say("send a {kind}", kind=either(["number", "string"])), "ru") == "нужно: число или текст"
    assert all_told({"errors": [{"reason": say("it is empty"), "n": 1}]}, "ru") == {
        "errors": [{"reason": "пусто", "n": 1}]
    }


def test_a_message_survives_a_process_and_an_error() -> None:
    message = say("There is no task {task_id}.", task_id=5)
    again = pickle.loads(pickle.dumps(message))  # noqa: S301 - made here
    assert told(again, "ru") == "Заявки 5 нет."
    assert message_of(ValueError(message)) is message
    assert told(message_of(ValueError("plain")), "ru") == "plain"


@pytest.mark.parametrize(
    ("kind", "value", "russian"),
    [
        (int, "x", "нужно целое число"),
        (list[int], "x", "нужен список"),
        (dict[str, int], "x", "нужен объект"),
    ],
)
def test_what_pydantic_says_is_told_in_russian(kind: Any, value: Any, russian: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    [fault] = caught.value.errors()
    assert fault_message(fault) == fault["msg"]
    assert told(fault_message(fault), "ru") == russian


def test_bounds_and_our_own_checks_are_told_in_russian() -> None:
    with pytest.raises(ValidationError) as caught:
        TaskIn.model_validate(
            {
                "weight": -1,
                "external_id": "x" * 1000,
                "parameters": {"": 1},
                "deadline": "2026-01-01T00:00:00",
            }
        )
    messages = {fault["loc"][0]: fault_message(fault) for fault in caught.value.errors()}
    assert messages.keys() == {"weight", "external_id", "parameters", "deadline"}
    for message in messages.values():
        assert is_russian(told(message, "ru")), message


VALUES: dict[ParameterType, Any] = {
    ParameterType.STRING: 1, ParameterType.ENUM: {}, ParameterType.NUMBER: "x", ParameterType.BOOLEAN: "x",
    ParameterType.DATETIME: "x", ParameterType.LIST: "x",
}  # fmt: skip


@pytest.mark.parametrize("kind", ParameterType)
def test_a_value_of_another_type_is_told_in_russian(kind: ParameterType) -> None:
    catalogue = Catalogue([Parameter("executor", "grade", kind)])
    [wrong] = catalogue.check_values("executor", {"grade": VALUES[kind]}).errors
    assert is_russian(told(wrong.reason, "ru")), wrong.reason
    assert is_russian(told(wrong.remedy, "ru")), wrong.remedy


@pytest.mark.parametrize("given", ["prioritty", "совсем", "рriority"])
def test_a_guess_at_what_was_meant_is_told_in_russian(given: str) -> None:
    assert is_russian(told(meant(given, ["priority", "priorities", "weight"]), "ru"))


def test_what_a_real_document_is_told_stands_in_russian() -> None:
    same = {"operator": "eq", "field": "task.priority", "value": 5}
    other = {"operator": "gt", "field": "task.priority", "value": 7}
    rules = parse_rule_set({"conditions": [same, same, other]}, Catalogue(()))
    found = look_at_document(rules, Catalogue(()))
    assert {each.code for each in found} == {"repeated", "contradiction", "no_tests"}
    for each in found:
        assert is_russian(told(each.message, "ru")), each.message
    wrong = {"operator": "gtt", "field": "task.priorty"}, {"operator": "contains", "field": "task.weight"}
    with pytest.raises(RuleSetInvalid) as caught:
        parse_rule_set({"conditions": [*wrong], "extra": 1}, Catalogue(()))
    for issue in caught.value.issues:
        for sentence in (issue.reason, issue.remedy):
            assert is_russian(told(sentence, "ru")), sentence
    assert "неизвестный ключ 'extra'" in {told(issue.reason, "ru") for issue in caught.value.issues}
