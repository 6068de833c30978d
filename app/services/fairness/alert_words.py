"""An alarm of fairness in one sentence."""

from app.engine.fairness.alarm import AlarmKind
from app.messages.message import Message, Template, decimal, say, tell
from app.services.fairness.alerts import StandingAlarm

_TEMPLATES = {
    "gap": Template(
        "The fairness gap of today is {value} (bound {bound}): some work is with the wrong people."
    ),
    "deviation_less": Template(
        "{name} received {received} where {fair} would be fair: {value} less (bound {bound})."
    ),
    "deviation_more": Template(
        "{name} received {received} where {fair} would be fair: {value} more (bound {bound})."
    ),
    "demand_less": Template(
        "{name} may take little of what comes in: at best {fair}, where an equal share would be {even}."
        " Other rules or skills would change it, another distribution would not."
    ),
    "demand_more": Template(
        "{name} has {fair} at best, where an equal share would be {even}: hardly anybody else may take that"
        " work. Other rules or people would change it, another distribution would not."
    ),
}


def alarm_text(alert: StandingAlarm) -> Message:
    """What is wrong, by how much, and what would change it."""
    kind = alert.kind.value
    if alert.kind is not AlarmKind.GAP:
        kind += "_less" if alert.value < 0 else "_more"
    numbers = {name: _number(alert.facts.get(name, 0.0)) for name in ("received", "fair", "even")}
    return tell(
        _TEMPLATES[kind],
        name=alert.name or f"#{alert.executor_id}",
        value=_percent(abs(alert.value)),
        bound=_percent(alert.bound),
        **numbers,
    )


def _number(value: float) -> Message:
    return decimal(f"{value:.1f}".removesuffix(".0"))


def _percent(share: float) -> Message:
    return say("{number} %", number=_number(100 * share))
