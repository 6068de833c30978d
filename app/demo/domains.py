"""Generated work of four domains: the people differ in skills, regions, grades and powers, the work in what it asks for.

Seeded: the same seed gives the same scenario. Each domain has over 20 executor and over 15 task parameters; the rules
read those that decide, the others are what real catalogues carry along.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from app.demo.scenario import Scenario

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Domain:
    """The words of a domain."""

    code: str
    name_ru: str
    name_en: str
    categories: Mapping[str, str]
    products: Mapping[str, str]
    amounts: tuple[int, int]


DOMAINS = {
    domain.code: domain
    for domain in (
        Domain(
            "it",
            "ИТ-поддержка",
            "IT support",
            {
                "network": "Сеть",
                "hardware": "Оборудование",
                "software": "Программы",
                "access": "Доступ",
                "security": "Защита",
            },
            {"mail": "Почта", "erp": "ERP", "phone": "Телефония", "laptop": "Ноутбук"},
            (0, 200_000),
        ),
        Domain(
            "construction",
            "Строительство",
            "Construction",
            {
                "permit": "Разрешение",
                "estimate": "Смета",
                "inspection": "Осмотр",
                "project": "Проект",
                "acceptance": "Приёмка",
            },
            {"house": "Дом", "road": "Дорога", "bridge": "Мост", "office": "Офис"},
            (100_000, 90_000_000),
        ),
        Domain(
            "insurance",
            "Страхование",
            "Insurance",
            {
                "claim": "Убыток",
                "policy": "Полис",
                "appraisal": "Оценка",
                "fraud": "Мошенничество",
                "renewal": "Продление",
            },
            {"motor": "Авто", "health": "Здоровье", "property": "Имущество", "travel": "Поездки"},
            (1_000, 5_000_000),
        ),
        Domain(
            "consulting",
            "Консалтинг",
            "Consulting",
            {"audit": "Аудит", "tax": "Налоги", "strategy": "Стратегия", "legal": "Право", "hr": "Персонал"},
            {"report": "Отчёт", "workshop": "Семинар", "review": "Проверка", "advice": "Консультация"},
            (10_000, 20_000_000),
        ),
    )
}

REGIONS = {"moscow": "Москва", "spb": "Санкт-Петербург", "ural": "Урал", "siberia": "Сибирь", "south": "Юг"}
SEGMENTS = {"mass": "Массовый", "business": "Бизнес", "vip": "VIP"}
CHANNELS = {"web": "Сайт", "phone": "Телефон", "office": "Офис", "partner": "Партнёр"}
LANGUAGES = {"ru": "Русский", "en": "Английский", "kk": "Казахский"}
_ENGLISH = {
    "spb": "St Petersburg", "vip": "VIP", "erp": "ERP", "hr": "HR", "ru": "Russian", "en": "English", "kk": "Kazakh",
}  # fmt: skip
"""Labels that are not the value with a capital letter."""
TEAMS = {"alpha": "Альфа", "beta": "Бета", "gamma": "Гамма"}

RULE_NAMES = {
    "ru": {"skill": "навык", "region": "регион", "authority": "полномочия по сумме", "language": "язык клиента", "vip": "клиенты VIP", "product": "знает продукт"},
    "en": {"skill": "skill", "region": "region", "authority": "authority for the amount", "language": "client's language", "vip": "VIP clients", "product": "knows the product"},
}  # fmt: skip
RULES: Values = {
    "conditions": [
        {"name": "skill", "operator": "contains", "field": "executor.parameters.skills", "value": {"field": "task.parameters.category"}},
        {"name": "region", "operator": "contains", "field": "executor.parameters.regions", "value": {"field": "task.parameters.region"}},
        {"name": "authority", "operator": "lte", "field": "task.parameters.amount", "value": {"field": "executor.parameters.max_amount"}},
        {"name": "language", "operator": "contains", "field": "executor.parameters.languages", "value": {"field": "task.parameters.language"}},
        {
            "name": "vip",
            "operator": "or",
            "conditions": [
                {"operator": "ne", "field": "task.parameters.segment", "value": "vip"},
                {"operator": "gte", "field": "executor.parameters.grade", "value": 3},
            ],
        },
    ],
    "weights": [
        {"condition": {"name": "product", "operator": "contains", "field": "executor.parameters.products", "value": {"field": "task.parameters.product"}}, "weight": 1.5}
    ],
    "task_weights": [
        {"condition": {"operator": "eq", "field": "task.parameters.segment", "value": "vip"}, "weight": 3},
        {"condition": {"operator": "gte", "field": "task.parameters.complexity", "value": 4}, "weight": 1.5},
    ],
}  # fmt: skip


def generate(
    domain: Domain, *, code: str, people: int, tasks: int, seed: int, language: str = "ru"
) -> Scenario:
    """A scenario of a domain: this many people and tasks."""
    dice = random.Random(f"{seed}-{domain.code}")  # noqa: S311 - made up work, not secrets
    return Scenario(
        code=code,
        name=domain.name_ru if language == "ru" else domain.name_en,
        parameters=[*_executor_parameters(domain), *_task_parameters(domain)],
        executors=[
            _person(domain, dice, number, name)
            for number, name in enumerate(_names(dice, people, language), 1)
        ],
        rules=_named(RULES, RULE_NAMES[language]),
        tasks=[_task(domain, dice, number) for number in range(1, tasks + 1)],
    )


def _named(rules: Any, names: Mapping[str, str]) -> Any:
    """The rules with their names in one language."""
    if isinstance(rules, list):
        return [_named(each, names) for each in rules]
    if not isinstance(rules, dict):
        return rules
    return {key: names[value] if key == "name" else _named(value, names) for key, value in rules.items()}


def _names(dice: random.Random, count: int, language: str) -> list[str]:
    """Names of people, no two alike."""
    names = [" ".join(pair) for pair in product(*_NAMES[language])]
    dice.shuffle(names)
    rounds = range(1, 2 + count // len(names))
    return [name if turn == 1 else f"{name} {turn}" for turn in rounds for name in names][:count]


def _person(domain: Domain, dice: random.Random, number: int, name: str) -> Values:
    grade = dice.choices([1, 2, 3, 4, 5], [2, 4, 4, 2, 1])[0]
    generalist = number % 7 == 1  # somebody who can take anything, so that every class has somebody
    low, high = domain.amounts
    return {
        "external_id": f"P-{number}",
        "name": name,
        "qualification": dice.choice([0.5, 1, 1, 1, 1.5, 2]),
        "parameters": {
            "skills": _some(dice, domain.categories, 2, generalist),
            "products": _some(dice, domain.products, 2, False),
            "regions": _some(dice, REGIONS, 3, generalist),
            "languages": (
                list(LANGUAGES) if generalist else ["ru", *dice.sample(["en", "kk"], dice.randint(0, 1))]
            ),
            "segments": _some(dice, SEGMENTS, 2, generalist),
            "channels": _some(dice, CHANNELS, 3, generalist),
            "grade": 5 if generalist else grade,
            "max_amount": high if generalist else round(low + (high - low) * (grade / 5)),
            "team": dice.choice(list(TEAMS)),
            "city": dice.choice(list(REGIONS)),
            "experience_years": dice.randint(0, 25),
            "rating": round(dice.uniform(3, 5), 1),
            "certified": dice.random() < 0.4,
            "certified_until": f"2027-{dice.randint(1, 12):02}-01T00:00:00Z",
            "remote": dice.random() < 0.5,
            "mentor": dice.random() < 0.2,
            "on_probation": dice.random() < 0.1,
            "night_shifts": dice.random() < 0.2,
            "contract": dice.choice(["staff", "contractor"]),
            "hours_per_week": dice.choice([20, 30, 40]),
            "quality_score": round(dice.uniform(60, 100), 1),
            "speed_score": round(dice.uniform(60, 100), 1),
            "note": "",
        },
    }


def _task(domain: Domain, dice: random.Random, number: int) -> Values:
    low, high = domain.amounts
    return {
        "external_id": f"T-{number}",
        "priority": dice.choices([0, 1, 2], [80, 15, 5])[0],
        "parameters": {
            "category": dice.choices(list(domain.categories), [5, 4, 3, 2, 1])[0],
            "product": dice.choice(list(domain.products)),
            "region": dice.choices(list(REGIONS), [5, 3, 2, 2, 1])[0],
            "segment": dice.choices(list(SEGMENTS), [80, 15, 5])[0],
            "channel": dice.choice(list(CHANNELS)),
            "language": dice.choices(list(LANGUAGES), [90, 7, 3])[0],
            "amount": round(low + (high - low) * dice.betavariate(1, 6)),
            "complexity": dice.choices([1, 2, 3, 4, 5], [4, 5, 4, 2, 1])[0],
            "urgent": dice.random() < 0.1,
            "documents": dice.randint(0, 30),
            "client_age_days": dice.randint(0, 4000),
            "risk": round(dice.random(), 2),
            "repeat": dice.random() < 0.15,
            "source": dice.choice(["new", "transfer", "return"]),
            "requested_at": f"2026-11-{dice.randint(1, 28):02}T09:00:00Z",
            "discount": dice.choice([0, 5, 10]),
            "comment": "",
        },
    }


def _some(dice: random.Random, options: Mapping[str, str], most: int, everything: bool) -> list[str]:
    return list(options) if everything else sorted(dice.sample(list(options), dice.randint(1, most)))


def _executor_parameters(domain: Domain) -> list[Values]:
    made = [
        _parameter("executor", "skills", "list", "Навыки", "Skills", domain.categories),
        _parameter("executor", "products", "list", "Продукты", "Products", domain.products),
        _parameter("executor", "regions", "list", "Регионы", "Regions", REGIONS),
        _parameter("executor", "languages", "list", "Языки", "Languages", LANGUAGES),
        _parameter("executor", "segments", "list", "Сегменты", "Segments", SEGMENTS),
        _parameter("executor", "channels", "list", "Каналы", "Channels", CHANNELS),
        _parameter("executor", "team", "enum", "Команда", "Team", TEAMS),
        _parameter("executor", "city", "enum", "Город", "City", REGIONS),
        _parameter(
            "executor", "contract", "enum", "Договор", "Contract", {"staff": "Штат", "contractor": "Подряд"}
        ),
        _parameter("executor", "certified_until", "datetime", "Сертификат до", "Certified until"),
        _parameter("executor", "note", "string", "Заметка", "Note"),
    ]
    made += [_number("executor", *each) for each in _PERSON_NUMBERS]
    return made + [_parameter("executor", key, "boolean", ru, en) for key, ru, en in _PERSON_FLAGS]


def _task_parameters(domain: Domain) -> list[Values]:
    made = [
        _parameter("task", "category", "enum", "Категория", "Category", domain.categories),
        _parameter("task", "product", "enum", "Продукт", "Product", domain.products),
        _parameter("task", "region", "enum", "Регион", "Region", REGIONS),
        _parameter("task", "segment", "enum", "Сегмент", "Segment", SEGMENTS),
        _parameter("task", "channel", "enum", "Канал", "Channel", CHANNELS),
        _parameter("task", "language", "enum", "Язык", "Language", LANGUAGES),
        _parameter(
            "task",
            "source",
            "enum",
            "Источник",
            "Source",
            {"new": "Новая", "transfer": "Перевод", "return": "Возврат"},
        ),
        _parameter("task", "requested_at", "datetime", "Запрошено", "Requested at"),
        _parameter("task", "comment", "string", "Комментарий", "Comment"),
        _parameter("task", "urgent", "boolean", "Срочно", "Urgent"),
        _parameter("task", "repeat", "boolean", "Повторная", "Repeat"),
    ]
    return made + [_number("task", *each) for each in _TASK_NUMBERS]


_PERSON_NUMBERS = (
    ("grade", "Разряд", "Grade", 1, 5),
    ("max_amount", "Наибольшая сумма", "Authority", 0, None),
    ("experience_years", "Опыт, лет", "Experience, years", 0, 70),
    ("rating", "Оценка", "Rating", 0, 5),
    ("hours_per_week", "Часов в неделю", "Hours per week", 0, 80),
    ("quality_score", "Качество", "Quality", 0, 100),
    ("speed_score", "Скорость", "Speed", 0, 100),
)
_PERSON_FLAGS = (
    ("certified", "Сертифицирован", "Certified"),
    ("remote", "Удалённо", "Remote"),
    ("mentor", "Наставник", "Mentor"),
    ("on_probation", "На испытании", "On probation"),
    ("night_shifts", "Ночные смены", "Night shifts"),
)
_TASK_NUMBERS = (
    ("amount", "Сумма", "Amount", 0, None),
    ("complexity", "Сложность", "Complexity", 1, 5),
    ("documents", "Документов", "Documents", 0, 1000),
    ("client_age_days", "Клиент, дней", "Client for, days", 0, None),
    ("risk", "Риск", "Risk", 0, 1),
    ("discount", "Скидка, %", "Discount, %", 0, 100),
)


def _number(owner: str, key: str, ru: str, en: str, low: float | None, high: float | None) -> Values:
    return {**_parameter(owner, key, "number", ru, en), "minimum": low, "maximum": high}


def _parameter(
    owner: str, key: str, kind: str, ru: str, en: str, options: Mapping[str, str] | None = None
) -> Values:
    listed: Sequence[Values] = [
        {"value": value, "label_ru": label, "label_en": _ENGLISH.get(value, value.title())}
        for value, label in (options or {}).items()
    ]
    return {"owner": owner, "key": key, "type": kind, "label_ru": ru, "label_en": en, "options": listed}


_NAMES = {
    "ru": (
        ("Анна", "Борис", "Вера", "Глеб", "Дарья", "Егор", "Жанна", "Захар", "Ирина", "Кирилл", "Лариса", "Максим"),
        ("Ким", "Белых", "Долгих", "Черных", "Шевченко", "Дюма", "Гойя", "Короленко", "Савченко", "Живаго"),
    ),
    "en": (
        ("Anna", "Boris", "Vera", "Gleb", "Daria", "Egor", "Zhanna", "Zakhar", "Irina", "Kirill", "Larisa", "Maxim"),
        ("Kim", "Belykh", "Dolgikh", "Chernykh", "Shevchenko", "Dumas", "Goya", "Korolenko", "Savchenko", "Zhivago"),
    ),
}  # fmt: skip
"""First and last names that fit each other in any combination."""
