"""An alarm of fairness in one sentence, ru and en."""

from typing import Literal

from app.engine.fairness.alarm import AlarmKind
from app.services.fairness.alerts import Alert

_EN = {
    "gap": "The fairness gap of today is {value} (bound {bound}): some work is with the wrong people.",
    "deviation_less": "{name} received {received} where {fair} would be fair: {value} less (bound {bound}).",
    "deviation_more": "{name} received {received} where {fair} would be fair: {value} more (bound {bound}).",
    "demand_less": "{name} may take little of what comes in: at best {fair}, where an equal share would be {even}."
    " Other rules or skills would change it, another distribution would not.",
    "demand_more": "{name} has {fair} at best, where an equal share would be {even}: hardly anybody else may take that"
    " work. Other rules or people would change it, another distribution would not.",
}
_RU = {
    "gap": "Отклонение от справедливого за сегодня {value} (граница {bound}): часть работы не у тех людей.",
    "deviation_less": "{name}: получено {received}, справедливо было бы {fair}, меньше на {value} (граница {bound}).",
    "deviation_more": "{name}: получено {received}, справедливо было бы {fair}, больше на {value} (граница {bound}).",
    "demand_less": "{name}: из поступающего подходит мало, в лучшем случае {fair} при равной доле {even}. Это изменят"
    " другие правила или навыки, но не другое распределение.",
    "demand_more": "{name}: даже в лучшем случае {fair} при равной доле {even}, эту работу почти никто больше"
    " не может взять. Это изменят другие правила или люди, но не другое распределение.",
}


def alarm_text(alert: Alert, language: Literal["ru", "en"]) -> str:
    """What is wrong, by how much, and what would change it."""
    texts = _RU if language == "ru" else _EN
    kind = alert.kind.value
    if alert.kind is not AlarmKind.GAP:
        kind += "_less" if alert.value < 0 else "_more"
    numbers = {name: _number(alert.facts.get(name, 0.0), language) for name in ("received", "fair", "even")}
    return texts[kind].format(
        name=alert.name or f"#{alert.executor_id}",
        value=_percent(abs(alert.value), language),
        bound=_percent(alert.bound, language),
        **numbers,
    )


def _number(value: float, language: str) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return text.replace(".", ",") if language == "ru" else text


def _percent(share: float, language: str) -> str:
    return f"{_number(100 * share, language)} %"
