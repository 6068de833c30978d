"""Starter rule sets of four domains: small enough to be read at once, with tests that say what they are meant to do."""

from collections.abc import Mapping
from typing import Any, Final

from app.services.rules.rule_files import FORMAT


def _contains(field: str, value: str, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "operator": "contains",
        "field": f"executor.parameters.{field}",
        "value": {"field": f"task.parameters.{value}"},
    }


def _within(field: str, value: str, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "operator": "lte",
        "field": f"task.parameters.{field}",
        "value": {"field": f"executor.parameters.{value}"},
        "on_missing": "pass",
    }


def _for(condition: Mapping[str, Any], weight: float) -> dict[str, Any]:
    return {"condition": dict(condition), "weight": weight}


def _test(name: str, task: Any, executor: Any, expected: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task": {"parameters": task},
        "executor": {"parameters": executor},
        "expected": expected,
    }


def _parameter(
    owner: str, key: str, kind: str, ru: str, en: str, options: Mapping[str, str] | None = None
) -> Any:
    listed = [
        {"value": value, "label_ru": label, "label_en": _ENGLISH.get(value, value.capitalize())}
        for value, label in (options or {}).items()
    ]
    return {"owner": owner, "key": key, "type": kind, "label_ru": ru, "label_en": en, "options": listed}


def _template(code: str, ru: str, en: str, rules: Any, parameters: list[Any]) -> dict[str, Any]:
    file = {
        "format": FORMAT,
        "name": en,
        "description": f"{en}: starter rules",
        "rules": rules,
        "parameters": parameters,
    }
    return {"code": code, "name_ru": ru, "name_en": en, "file": file}


_IT = {"network": "Сеть", "hardware": "Оборудование", "software": "Программы", "access": "Доступ"}
_WORKS = {"estimate": "Смета", "inspection": "Осмотр", "project": "Проект", "acceptance": "Приёмка"}
_LINES = {"motor": "Авто", "health": "Здоровье", "property": "Имущество", "travel": "Поездки"}
_TOPICS = {"audit": "Аудит", "tax": "Налоги", "strategy": "Стратегия", "legal": "Право"}
_TONGUES = {"ru": "Русский", "en": "Английский", "kk": "Казахский"}

_ENGLISH = {"ru": "Russian", "en": "English", "kk": "Kazakh"}

TEMPLATES: Final = [
    _template(
        "it",
        "ИТ-поддержка",
        "IT support",
        {
            "conditions": [
                _contains("skills", "category", "has the skill"),
                _within("difficulty", "grade", "hard work for high grades"),
            ],
            "weights": [_for({"operator": "eq", "field": "executor.parameters.on_call", "value": True}, 1.5)],
            "task_weights": [_for({"operator": "eq", "field": "task.parameters.vip", "value": True}, 3)],
            "tests": [
                _test("no skill, no task", {"category": "network"}, {"skills": ["access"]}, False),
                _test(
                    "on call is preferred, VIP counts as three",
                    {"category": "network", "difficulty": 3, "vip": True},
                    {"skills": ["network"], "grade": 3, "on_call": True},
                    {"eligible": True, "preference": 1.5, "task_weight": 3},
                ),
                _test(
                    "too hard",
                    {"category": "access", "difficulty": 5},
                    {"skills": ["access"], "grade": 2},
                    False,
                ),
            ],
        },
        [
            _parameter("task", "category", "enum", "Категория", "Category", _IT),
            _parameter("task", "difficulty", "number", "Сложность", "Difficulty"),
            _parameter("task", "vip", "boolean", "Важный клиент", "VIP client"),
            _parameter("executor", "skills", "list", "Навыки", "Skills", _IT),
            _parameter("executor", "grade", "number", "Разряд", "Grade"),
            _parameter("executor", "on_call", "boolean", "Дежурит", "On call"),
        ],
    ),
    _template(
        "construction",
        "Строительство",
        "Construction",
        {
            "conditions": [
                _contains("works", "work", "admitted to this kind of work"),
                _within("budget", "max_budget", "within the budget authority"),
                {
                    "name": "admission is still valid at the deadline",
                    "operator": "gte",
                    "field": "executor.parameters.admitted_until",
                    "value": {"field": "task.deadline"},
                    "on_missing": "pass",
                },
            ],
            "weights": [_for(_contains("regions", "region", "knows the region"), 2)],
            "task_weights": [
                _for({"operator": "gte", "field": "task.parameters.budget", "value": 10_000_000}, 2)
            ],
            "tests": [
                _test(
                    "over the authority",
                    {"work": "estimate", "budget": 5_000_000},
                    {"works": ["estimate"], "max_budget": 1_000_000},
                    False,
                ),
                _test(
                    "a large project weighs double",
                    {"work": "project", "budget": 10_000_000, "region": "north"},
                    {"works": ["project", "estimate"], "max_budget": 50_000_000, "regions": ["north"]},
                    {"eligible": True, "preference": 2, "task_weight": 2},
                ),
            ],
        },
        [
            _parameter("task", "work", "enum", "Вид работ", "Kind of work", _WORKS),
            _parameter("task", "budget", "number", "Бюджет", "Budget"),
            _parameter("task", "region", "string", "Регион", "Region"),
            _parameter("executor", "works", "list", "Допуск к работам", "Admitted to", _WORKS),
            _parameter("executor", "max_budget", "number", "Наибольший бюджет", "Budget authority"),
            _parameter("executor", "admitted_until", "datetime", "Допуск до", "Admitted until"),
            _parameter("executor", "regions", "list", "Регионы", "Regions"),
        ],
    ),
    _template(
        "insurance",
        "Страхование",
        "Insurance",
        {
            "conditions": [
                _contains("lines", "line", "licensed for the line"),
                _within("claim", "max_claim", "within the claim authority"),
                {
                    "name": "fraud goes to investigators",
                    "operator": "or",
                    "conditions": [
                        {
                            "operator": "ne",
                            "field": "task.parameters.suspicious",
                            "value": True,
                            "on_missing": "pass",
                        },
                        {"operator": "eq", "field": "executor.parameters.investigator", "value": True},
                    ],
                },
            ],
            "weights": [],
            "task_weights": [
                _for({"operator": "eq", "field": "task.parameters.suspicious", "value": True}, 2)
            ],
            "tests": [
                _test(
                    "a suspicious claim needs an investigator",
                    {"line": "motor", "claim": 100, "suspicious": True},
                    {"lines": ["motor"], "max_claim": 1000},
                    False,
                ),
                _test(
                    "an investigator takes it, and it weighs double",
                    {"line": "motor", "claim": 100, "suspicious": True},
                    {"lines": ["motor"], "max_claim": 1000, "investigator": True},
                    {"eligible": True, "task_weight": 2},
                ),
                _test("an ordinary claim", {"line": "travel", "claim": 100}, {"lines": ["travel"]}, True),
            ],
        },
        [
            _parameter("task", "line", "enum", "Вид страхования", "Line", _LINES),
            _parameter("task", "claim", "number", "Сумма убытка", "Claim"),
            _parameter("task", "suspicious", "boolean", "Подозрение", "Suspicious"),
            _parameter("executor", "lines", "list", "Лицензии", "Lines", _LINES),
            _parameter("executor", "max_claim", "number", "Лимит убытка", "Claim authority"),
            _parameter("executor", "investigator", "boolean", "Расследует", "Investigator"),
        ],
    ),
    _template(
        "consulting",
        "Консалтинг",
        "Consulting",
        {
            "conditions": [
                _contains("topics", "topic", "knows the topic"),
                {
                    "name": "speaks all languages of the client",
                    "operator": "contains_all",
                    "field": "executor.parameters.languages",
                    "value": {"field": "task.parameters.languages"},
                    "on_missing": "pass",
                },
                {
                    "name": "no conflict of interest",
                    "operator": "not",
                    "condition": {
                        "operator": "contains",
                        "field": "executor.parameters.conflicts",
                        "value": {"field": "task.parameters.client"},
                    },
                },
            ],
            "weights": [
                _for(
                    {"operator": "in", "field": "executor.parameters.role", "value": ["partner", "senior"]},
                    1.5,
                )
            ],
            "task_weights": [],
            "tests": [
                _test(
                    "a conflict of interest excludes",
                    {"topic": "tax", "client": "Acme"},
                    {"topics": ["tax"], "conflicts": ["Acme"]},
                    False,
                ),
                _test(
                    "a senior who speaks both languages is preferred",
                    {"topic": "tax", "client": "Acme", "languages": ["ru", "en"]},
                    {"topics": ["tax"], "languages": ["en", "kk", "ru"], "role": "senior"},
                    {"eligible": True, "preference": 1.5},
                ),
                _test(
                    "one language is missing",
                    {"topic": "tax", "client": "Acme", "languages": ["ru", "en"]},
                    {"topics": ["tax"], "languages": ["ru"]},
                    False,
                ),
            ],
        },
        [
            _parameter("task", "topic", "enum", "Тема", "Topic", _TOPICS),
            _parameter("task", "languages", "list", "Языки клиента", "Languages", _TONGUES),
            _parameter("task", "client", "string", "Клиент", "Client"),
            _parameter("executor", "topics", "list", "Темы", "Topics", _TOPICS),
            _parameter("executor", "languages", "list", "Языки", "Languages", _TONGUES),
            _parameter("executor", "conflicts", "list", "Конфликт интересов", "Conflicts of interest"),
            _parameter(
                "executor",
                "role",
                "enum",
                "Роль",
                "Role",
                {"partner": "Партнёр", "senior": "Старший", "junior": "Младший"},
            ),
        ],
    ),
]

RUSSIAN: Final = {
    "IT support": "ИТ-поддержка",
    "Construction": "Строительство",
    "Insurance": "Страхование",
    "Consulting": "Консалтинг",
    "IT support: starter rules": "ИТ-поддержка: правила для начала",
    "Construction: starter rules": "Строительство: правила для начала",
    "Insurance: starter rules": "Страхование: правила для начала",
    "Consulting: starter rules": "Консалтинг: правила для начала",
    "has the skill": "есть навык",
    "hard work for high grades": "сложное — высоким разрядам",
    "no skill, no task": "нет навыка — нет заявки",
    "on call is preferred, VIP counts as three": "дежурный предпочтительнее, VIP считается за три",
    "too hard": "слишком сложно",
    "admitted to this kind of work": "допущен к этому виду работ",
    "within the budget authority": "бюджет в пределах полномочий",
    "admission is still valid at the deadline": "допуск действует до срока заявки",
    "knows the region": "знает регион",
    "over the authority": "сверх полномочий",
    "a large project weighs double": "крупный проект весит вдвое",
    "licensed for the line": "есть лицензия на вид страхования",
    "within the claim authority": "убыток в пределах лимита",
    "fraud goes to investigators": "подозрительное — расследующим",
    "a suspicious claim needs an investigator": "подозрительному убытку нужен расследующий",
    "an investigator takes it, and it weighs double": "расследующий возьмёт, и весит оно вдвое",
    "an ordinary claim": "обычный убыток",
    "knows the topic": "знает тему",
    "speaks all languages of the client": "говорит на всех языках клиента",
    "no conflict of interest": "нет конфликта интересов",
    "a conflict of interest excludes": "конфликт интересов исключает",
    "a senior who speaks both languages is preferred": "старший с обоими языками предпочтительнее",
    "one language is missing": "одного языка не хватает",
}
"""What the starters call themselves, their conditions and their tests: explanations name conditions by it."""


def in_language(value: Any, language: str) -> Any:
    """A starter, or a part of one, with its names in this language."""
    if isinstance(value, list):
        return [in_language(each, language) for each in value]
    if not isinstance(value, dict):
        return value
    named = {key: in_language(part, language) for key, part in value.items()}
    if language == "ru":
        told = {key: RUSSIAN[named[key]] for key in ("name", "description") if named.get(key) in RUSSIAN}
        named |= told
    return named
