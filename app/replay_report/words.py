"""Every text of a replay's report, ru and en."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["ru", "en"]

_EN = {
    "title": "Replay: {name}",
    "actual": "what happened",
    "fair": "fair",
    "fair_forecast": "fair, with forecast",
    "forecast_helps": "A forecast by weekday would have helped: mean gap of a day {before} → {after} ({days} days).",
    "forecast_hurts": "A forecast by weekday would have hurt: mean gap of a day {before} → {after} ({days} days).",
    "forecast_neutral": "A forecast by weekday would have changed next to nothing: {before} → {after} ({days} days).",
    "forecast_unknown": "No day had the same weekday before it: a forecast by weekday had nothing to go by.",
    "round_robin": "round robin",
    "longest_idle": "longest idle",
    "best_match": "best match",
    "proposed": "proposed",
    "period": "{items} work items, {people} people, {activities} activities, {first} to {last}",
    "no_period": "{items} work items, {people} people, {activities} activities",
    "dropped": "Left out: {listed}.",
    "nothing_dropped": "Nothing was left out.",
    "verdict": "Fairness gap {before} → {after}: of every 100 units of work {moved_before} were with"
    " the wrong people, {moved_after} would be.",
    "gap": "Fairness gap",
    "gap_help": "The sum of |received − fair share| over all fair shares: 0 % is perfect. The fair share is what the"
    " rules, limits and presence allow at best, solved exactly.",
    "placed": "Placed",
    "unplaced": "Not placed",
    "moved": "To somebody else",
    "worst": "Farthest from fair",
    "mae": "MAE",
    "mae_optimum": "MAE of the optimum",
    "wait": "Mean wait",
    "wait_p90": "Wait p90",
    "broken": "Against rules or presence",
    "people_title": "Who received how much",
    "person": "Person",
    "received": "Received",
    "would": "Would receive",
    "share": "Fair share",
    "deviation": "Deviation",
    "days_title": "The gap so far, day by day",
    "hours_title": "Work by hour of the day",
    "arrived": "arrived",
    "presence_day": "present on the days on which they did something",
    "presence_always": "present throughout",
    "presence_trail": "present as each decision found them",
    "assumptions": "How it was read",
    "rules_none": "no rules given: whoever has ever done an activity may do it",
    "rules_given": "rules: {name}",
    "zone": "business days in {zone}",
    "more": "… and {count} more people; --json has all",
    "no_one_eligible": "nobody passes the rules",
    "nobody_on_shift": "nobody at work",
    "too_heavy": "heavier than any limit",
    "all_at_limit": "all at their limit",
    "all_busy": "all busy",
    "offered_again_later": "declined by all who could",
    "held_back": "kept for who comes",
    "paused": "pool paused",
    "set_aside": "set aside",
    "never_assigned": "never assigned",
    "ineligible": "against the rules",
    "absent": "to people who were away",
    "units": "work received, in task weight",
    "lifecycle": "lifecycle {phase}",
}

_RU = {
    "title": "Проигрывание: {name}",
    "actual": "как было",
    "fair": "справедливо",
    "fair_forecast": "справедливо, с прогнозом",
    "forecast_helps": "Прогноз по дням недели помог бы: среднее отклонение дня {before} → {after} (дней: {days}).",
    "forecast_hurts": "Прогноз по дням недели повредил бы: среднее отклонение дня {before} → {after} (дней: {days}).",
    "forecast_neutral": "Прогноз по дням недели почти ничего не изменил бы: {before} → {after} (дней: {days}).",
    "forecast_unknown": "Ни у одного дня нет такого же дня недели раньше: прогнозу не на что опереться.",
    "round_robin": "по кругу",
    "longest_idle": "кто дольше ждал",
    "best_match": "кто лучше подходит",
    "proposed": "предлагается",
    "period": "работ: {items}, людей: {people}, действий: {activities}, с {first} по {last}",
    "no_period": "работ: {items}, людей: {people}, действий: {activities}",
    "dropped": "Не учтено: {listed}.",
    "nothing_dropped": "Учтено всё.",
    "verdict": "Отклонение от справедливого {before} → {after}: из каждых 100 единиц работы не у тех людей было"
    " {moved_before}, станет {moved_after}.",
    "gap": "Отклонение от справедливого",
    "gap_help": "Сумма |получено − справедливая доля| к сумме справедливых долей: 0 % значит идеально. Справедливая"
    " доля: лучшее, что допускают правила, лимиты и присутствие; вычислена точно.",
    "placed": "Распределено",
    "unplaced": "Не распределено",
    "moved": "Другому человеку",
    "worst": "Дальше всех от справедливого",
    "mae": "MAE",
    "mae_optimum": "MAE оптимума",
    "wait": "Среднее ожидание",
    "wait_p90": "Ожидание p90",
    "broken": "Вопреки правилам или присутствию",
    "people_title": "Кто сколько получил",
    "person": "Исполнитель",
    "received": "Получено",
    "would": "Получил бы",
    "share": "Справедливая доля",
    "deviation": "Отклонение",
    "days_title": "Отклонение нарастающим итогом по дням",
    "hours_title": "Работа по часам суток",
    "arrived": "поступило",
    "presence_day": "на месте в те дни, когда что-то делали",
    "presence_always": "на месте всё время",
    "presence_trail": "на месте так, как это видело каждое решение",
    "assumptions": "Как прочитано",
    "rules_none": "правил нет: действие может выполнять тот, кто хоть раз его выполнял",
    "rules_given": "правила: {name}",
    "zone": "рабочие дни по часовому поясу {zone}",
    "more": "… и ещё {count}; все есть в --json",
    "no_one_eligible": "никто не подходит по правилам",
    "nobody_on_shift": "никого нет на месте",
    "too_heavy": "тяжелее любого лимита",
    "all_at_limit": "у всех исчерпан лимит",
    "all_busy": "все заняты",
    "offered_again_later": "отказались все, кто мог",
    "held_back": "придержано для тех, кто придёт",
    "paused": "пул на паузе",
    "set_aside": "отложено",
    "never_assigned": "не назначено",
    "ineligible": "вопреки правилам",
    "absent": "отсутствующим",
    "units": "получено работы, в единицах веса",
    "no resource": "без исполнителя",
    "no activity": "без действия",
    "no readable time": "время не прочитать",
    "no usable weight": "вес не годится",
    "lifecycle": "этап {phase}",
    "no times: work is taken in the order of the file": "Времени нет: работа взята в порядке файла.",
    "who was at work is not kept for this period: all count as present": "Кто был на работе в это время, не сохранено:"
    " все считаются на месте.",
}

_NOTES_RU = (
    (r"headings read from row (.+)", "названия столбцов взяты из строки {0}"),
    (r"read from the sheet '(.*)'", "прочитан лист «{0}»"),
    (r"read as (\S+); if letters look wrong.*", "кодировка {0}; если буквы не те, назовите другую: --encoding"),
    (r"(\w+): column '(.*)', read as (.+)", "{0}: столбец «{1}», прочитан как {2}"),
    (r"(\w+): column '(.*)'", "{0}: столбец «{1}»"),
    (r"(\w+) read as (.+)", "{0}: прочитано как {1}"),
)  # fmt: skip
"""How the reader of a log says in what way it read something."""
_ROLES_RU = {
    "case": "дело", "activity": "действие", "resource": "исполнитель", "time": "время", "start": "начало",
    "lifecycle": "этап", "weight": "вес",
}  # fmt: skip

TEXTS: Mapping[Language, Mapping[str, str]] = {"en": _EN, "ru": _RU}


class Voice:
    """Texts and numbers in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._texts = TEXTS[language]

    def say(self, key: str, **values: object) -> str:
        """The text with this key; an unknown key is said as it is."""
        text = self._texts.get(key)
        return key if text is None else text.format(**values)

    def note(self, text: str) -> str:
        """Translate a note on how the log was read; an unknown note stays as it is."""
        if self.language == "ru" and text not in self._texts:
            for pattern, told in _NOTES_RU:
                if found := re.fullmatch(pattern, text, re.DOTALL):
                    first, *others = found.groups()
                    return told.format(_ROLES_RU.get(first, first), *others)
        return self.say(text)

    def reason(self, name: str) -> str:
        """Why something was left out, as a log's reader names it."""
        if name not in self._texts and name.startswith("lifecycle "):
            return self.say("lifecycle", phase=name.removeprefix("lifecycle "))
        return self.say(name)

    def number(self, value: float, digits: int = 0) -> str:
        """With thousands apart by a thin space, and the language's comma."""
        text = f"{value:,.{digits}f}".replace(",", "\u202f")
        return text.replace(".", ",") if self.language == "ru" else text

    def percent(self, share: float | None, digits: int = 1) -> str:
        """A share of one as per cent."""
        return "–" if share is None else f"{self.number(100 * share, digits)}\u202f%"

    def counts(self, counted: Mapping[str, int]) -> str:
        """`name: count` for each, or a dash."""
        return (
            ", ".join(f"{self.reason(name)}: {self.number(count)}" for name, count in counted.items()) or "–"
        )

    def seconds(self, value: float | None) -> str:
        """A stretch of time in the unit that suits it."""
        if value is None:
            return "–"
        ru = self.language == "ru"
        for size, unit in (
            (86400, "д" if ru else "d"),
            (3600, "ч" if ru else "h"),
            (60, "мин" if ru else "min"),
        ):
            if value >= size:
                return f"{self.number(value / size, 1)} {unit}"
        return f"{self.number(value, 1)} {'с' if ru else 's'}"
