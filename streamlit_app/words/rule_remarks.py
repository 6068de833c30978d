"""What the rule checker says of a document, in Russian: faults by their sentence, findings by their code.

Paths, names, operators and figures go into the Russian sentence as they are. A sentence that is new here is told by a
general one with the place: nothing English stands on a Russian page.
"""

import re
from collections.abc import Mapping
from typing import Any

_KINDS = {
    "datetimes (ISO 8601 with an offset)": "моменты времени со смещением",
    "true or false": "да/нет",
    "a single value": "одно значение",
    "a datetime": "момент времени",
    "a boolean": "да/нет",
    "a string": "текст",
    "a number": "число",
    "a text": "текст",
    "a list": "список",
    "an enum": "значение из списка",
    "strings": "тексты",
    "numbers": "числа",
    " or ": " или ",
}
_WHAT = {
    "key": "неизвестный ключ",
    "field": "неизвестное поле",
    "operator": "неизвестный оператор",
    "parameter": "неизвестный параметр",
}

_FINDINGS = {
    "prefers_everybody": (r"", "условие смотрит только на заявку и потому предпочитает всех одинаково: возможно, это вес заявки"),
    "weight_of_one": (r"", "умножение на 1 ничего не меняет"),
    "no_tests": (r"", "нет примеров, которые говорят, что эти правила должны делать"),
    "contradiction": (r"no value of (\S+) fulfils all of (.+)", "нет такого значения {0}, чтобы выполнялись сразу {1}"),
    "repeated": (r"says the same as (.+)", "говорит то же, что {0}"),
    "compares_with_itself": (r"(\S+) is .+", "{0} сравнивается само с собой"),
    "always_holds": (r"under the bounds and options of (\S+) .+", "при границах и вариантах {0} выполняется всегда"),
    "never_holds": (r"under the bounds and options of (\S+) .+", "при границах и вариантах {0} не выполняется никогда"),
    "deprecated": (r"(\S+) is deprecated.+", "{0} выводится из употребления: скоро его перестанут заполнять"),
    "excludes_everyone": (r"none of (\d+) executors passes '(.+)', .+", "«{1}» не проходит никто, какой бы ни была заявка; исполнителей: {0}"),
    "nobody_eligible": (r"(\S+) of the recent tasks \((\d+) of (\d+)\).+", "некому было бы отдать {0} недавних заявок ({1} из {2})"),
    "heavier_than_limits": (r"(\d+) of (\d+) recent tasks weigh more.+", "тяжелее дневного предела любого, кому их можно отдать: {0} из {1} недавних заявок"),
    "excludes_nobody": (r"'(.+)' excluded nobody from any of (\d+).+", "«{0}» никого не исключает; недавних заявок просмотрено: {1}"),
    "nobody_fills": (r"\d+ of (\d+) (?:executors|recent tasks) have (\S+) .+", "{1} не заполнено ни у кого (просмотрено: {0})"),
    "seldom_filled": (r"(\d+) of (\d+) (?:executors|recent tasks) have (\S+) .+", "{2} заполнено редко: {0} из {1}"),
    "no_rules": (r"", "правил нет: любую заявку может получить любой"),
}  # fmt: skip

_FAULTS = [
    (r"unknown (key|field|operator|parameter)(?: '(.+)')?", "{what} {1}"),
    (r"did you mean (\S+)\? Some letters .+", "возможно, {0}: здесь есть буквы, лишь похожие на латинские"),
    (r"did you mean (.+)\?", "возможно, {0}?"),
    (r"use one of: (.*)", "допустимо: {0}"),
    (r"see the documentation", "смотрите описание языка правил"),
    (r"(\S+) does not go with it: (\S+) is (an? \w+).*", "{0} сюда не подходит: {1} — {kind}"),
    (r"ask whether the list contains .+", "спросите contains для одного значения, contains_all для нескольких"),
    (r"compare with eq or in, .+", "сравните через eq или in либо сделайте параметр числом"),
    (r"use (contains_any|between|in|eq or in|fewer)", "используйте {use}"),
    (r"neither true nor false", "ни true, ни false"),
    (r"leave it out: it means true", "уберите: это и значит true"),
    (r"not a reference", "не ссылка на поле"),
    (r"send (\{.+\}) or a literal", "укажите {0} или значение"),
    (r"between takes two (?:literals|values)", "between нужны два значения"),
    (r"use gte and lte, each with a field", "используйте gte и lte, каждое со своим полем"),
    (r"(\S+) is (an? \w+); (\S+) needs (a list|a single value)", "{0} — {kind}; {2} нужно: {needs}"),
    (r"refer to another field, .+", "укажите другое поле или другой оператор"),
    (r"(\S+) has (.+), (\S+) has (.+): they never meet", "{0} и {2} разного типа и никогда не совпадут"),
    (r"refer to a field of the same type", "укажите поле того же типа"),
    (r"the low end is above the high end", "начало больше конца"),
    (r"(\S+) takes a list", "{0} нужен список"),
    (r"not 1 to (\d+) values", "значений должно быть от 1 до {0}"),
    (r"send so many", "укажите столько"),
    (r"null equals nothing", "null ничему не равен"),
    (r"use (\{.+\})", "используйте {0}"),
    (r"(\S+) has (.+), this is not one", "{0}: ожидается {kind}, а здесь другое"),
    (r"longer than (\d+), or no text", "длиннее {0} знаков или не текст"),
    (r"send a shorter text", "укажите текст короче"),
    (r"beyond (\d+) no number is exact", "за {0} числа уже не точны"),
    (r"send a smaller one", "укажите меньшее"),
    (r"no option of (\S+)", "такого варианта у {0} нет"),
    (r"not an object", "не объект"),
    (r"not a list", "не список"),
    (r"not a weight", "не вес"),
    (r"not a list of conditions", "не список условий"),
    (r"empty: it would say nothing", "пусто: это ничего не значит"),
    (r"send at least one condition", "добавьте хотя бы одно условие"),
    (r"the weight of a task is known before its executor", "вес заявки известен раньше, чем исполнитель"),
    (r"read fields of the task only; .+", "читайте только поля заявки; для предпочтения исполнителей есть weights"),
    (r"not a number from (\S+) to (\S+)", "не число от {0} до {1}"),
    (r"send such a (?:number|text)", "укажите такое"),
    (r"all (\w+) up to here together could multiply by (\S+) or by (\S+)", "все {0} до этого вместе могут дать множитель {1} или {2}"),
    (r"choose weights nearer to 1", "возьмите веса ближе к 1"),
    (r"more than (\d+) conditions", "условий больше {0}"),
    (r"more than (\d+)", "больше {0}"),
    (r"keep the telling ones", "оставьте самые нужные"),
    (r"nested more than (\d+) deep", "вложенность больше {0}"),
    (r"flatten the conditions", "уменьшите вложенность"),
    (r"neither fail nor pass", "ни fail, ни pass"),
    (r"is_null asks for what is missing: .+", "is_null и спрашивает об отсутствии: on_missing здесь не нужно"),
    (r"leave it out", "уберите"),
    (r"missing", "не задано"),
    (r"send a literal or a reference to a field", "укажите значение или ссылку на поле"),
    (r"not a text of up to (\d+)", "не текст до {0} знаков"),
    (r"not a test", "не пример"),
    (r"not an expectation", "не ожидаемый исход"),
    (r"send values by key", "укажите значения по ключам"),
    (r"not an instant", "не момент времени"),
    (r"send ISO 8601 with an offset.*", "укажите время ISO 8601 со смещением, например ...T09:00:00Z"),
    (r"not (a text|a number|true or false)", "не {kind}"),
    (r"send ([\[{\"].*)", "укажите {0}"),
    (r"send true, false, or (\{.+\})", "укажите true, false или {0}"),
    (r"send \"(?:fail|pass)\".*", "укажите fail или pass"),
    (r"send (an? .+|true or false.*|strings.*|numbers.*|datetimes.*)", "ожидается: {kind}"),
]  # fmt: skip
_COMPILED = [(re.compile(pattern, re.DOTALL), text) for pattern, text in _FAULTS]
_USES = {"eq or in": "eq или in", "fewer": "меньше условий"}


_JSON = {
    "Expecting value": "ожидается значение",
    "Expecting property name enclosed in double quotes": "ожидается имя в двойных кавычках",
    "Expecting ':' delimiter": "после имени нужно двоеточие",
    "Expecting ',' delimiter": "не хватает запятой или закрывающей скобки",
    "Illegal trailing comma before end of object": "лишняя запятая перед скобкой",
    "Illegal trailing comma before end of array": "лишняя запятая перед скобкой",
    "Extra data": "после документа есть лишнее",
    "Unterminated string starting at": "кавычка не закрыта",
    "Invalid control character at": "перенос строки или другой знак, которого в тексте не бывает",
    "Invalid \\escape": "неверный знак после обратной черты",
    "Invalid \\uXXXX escape": "неверный знак после обратной черты",
}


def json_fault_in_russian(message: str) -> str:
    """What Python's reader of JSON says; what it says with the place is told by the line that stands beside."""
    return _JSON.get(message, message if message.startswith("{") else "запись нарушена")


def fault_in_russian(sentence: str) -> str | None:
    """A fault's reason or remedy; None for one that is not known here."""
    for pattern, text in _COMPILED:
        if found := pattern.fullmatch(sentence):
            groups = [each or "" for each in found.groups()]
            told = [each.replace(" or ", " или ") for each in groups]
            return text.format(*told, **_fields(groups)).strip()
    return None


def finding_in_russian(finding: Mapping[str, Any]) -> str:
    """A finding by its code."""
    pattern, text = _FINDINGS.get(finding["code"], ("", "на это место стоит взглянуть"))
    found = re.fullmatch(pattern, finding["message"], re.DOTALL) if pattern else None
    return text.format(*(found.groups() if found else ("?",) * 3))


def _fields(groups: list[str]) -> dict[str, str]:
    """The words among what a sentence holds."""
    kinds = [_kind(each) for each in groups if _kind(each)]
    first = groups[0] if groups else ""
    return {
        "what": _WHAT.get(first, first),
        "use": _USES.get(first, first),
        "kind": kinds[0] if kinds else "другое",
        "needs": kinds[-1] if kinds else "другое",
    }


def _kind(text: str) -> str:
    """A kind of values; empty where it names none."""
    for english, russian in _KINDS.items():
        text = text.replace(english, russian)
    return "" if re.search("[A-Za-z]", text) else text
