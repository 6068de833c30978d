"""Names of places in what is sent, as pages call them."""

import re

PLACES = {
    "body": "запрос", "file": "файл", "name": "имя", "external_id": "номер в вашей системе", "daily_limit": "дневной предел",
    "max_open": "открыто не больше", "qualification": "квалификация", "active": "работает", "parameters": "параметры",
    "working_hours": "рабочие часы", "days": "дни", "days_off": "выходные", "timezone": "часовой пояс", "weight": "вес",
    "priority": "приоритет", "deadline": "срок", "parent_id": "родительская заявка", "executor_id": "исполнитель",
    "reason": "причина", "starts_at": "начало", "ends_at": "конец", "reassign_after_minutes": "через, минут",
    "username": "имя", "password": "пароль", "old_password": "прежний пароль", "new_password": "новый пароль", "role": "роль",
    "pool_ids": "команды", "scopes": "права", "expires_at": "срок", "key": "ключ", "type": "тип", "label_ru": "название по-русски",
    "label_en": "название по-английски", "options": "варианты", "default": "по умолчанию", "minimum": "наименьшее",
    "maximum": "наибольшее", "code": "код", "url": "адрес", "secret": "секрет", "rules": "правила", "conditions": "условия",
    "weights": "предпочтения", "task_weights": "веса заявок", "tests": "примеры", "since": "начало", "until": "конец",
    "fairness": "справедливость", "flow": "ход работы", "escalation": "шаги", "relax": "снять условия", "to_pool": "команда",
    "after_minutes": "через, минут", "offer_seconds": "принять за, секунд", "executors": "исполнители", "tasks": "заявки",
    "value": "значение", "cursor": "страница", "page": "страница", "forecast": "прогноз",
}  # fmt: skip
"""Names of fields as pages call them."""


_LINE = re.compile(r"line (\d+), (.+)", re.DOTALL)


def place_in_russian(field: str) -> str:
    """Where a wrong value is: `line 3, daily_limit`, `parameters.grade`, `tasks[2].weight`."""
    if found := _LINE.fullmatch(field):
        return f"строка {found[1]}, {place_in_russian(found[2])}"
    parts = (re.fullmatch(r"([^\[]*)((?:\[\d+\])*)", part) for part in field.split("."))
    return " · ".join(PLACES.get(part[1], part[1]) + part[2] if part else field for part in parts)
