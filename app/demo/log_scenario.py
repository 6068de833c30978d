"""A scenario from an event log: each executor may do the activities that they have ever done."""

from collections import Counter
from pathlib import Path
from typing import Any

from app.demo.scenario import Scenario
from app.eventlog import EventLog

RULE_NAME = {"ru": "это действие уже выполнял", "en": "has done this activity before"}


def scenario_of(log: EventLog, path: Path, code: str, language: str = "ru") -> Scenario:
    """The log's work items as tasks, in the order in which they were done."""
    doers = log.doers()
    people = sorted({item.resource for item in log.items})
    activities = sorted(doers)
    return Scenario(
        code=code,
        name=path.name,
        parameters=[
            _parameter("task", "activity", "enum", "Действие", "Activity", activities),
            _parameter("task", "case", "string", "Дело", "Case", []),
            _parameter("executor", "activities", "list", "Действия", "Activities", activities),
        ],
        executors=[
            {
                "external_id": person,
                "name": person,
                "parameters": {"activities": [each for each in activities if person in doers[each]]},
            }
            for person in people
        ],
        rules={"conditions": [_has_done_it(language)]},
        tasks=[
            {
                "external_id": f"{number}",
                "parameters": {"activity": item.activity} | ({"case": item.case} if item.case else {}),
            }
            for number, item in enumerate(log.items, 1)
        ],
        happened=Counter(item.resource for item in log.items),
        dropped=log.dropped,
    )


def _has_done_it(language: str) -> dict[str, Any]:
    return {
        "name": RULE_NAME[language],
        "operator": "contains",
        "field": "executor.parameters.activities",
        "value": {"field": "task.parameters.activity"},
    }


def _parameter(owner: str, key: str, kind: str, ru: str, en: str, options: list[str]) -> dict[str, Any]:
    return {
        "owner": owner,
        "key": key,
        "type": kind,
        "label_ru": ru,
        "label_en": en,
        "options": [{"value": option} for option in options],
    }
