"""The report of a demo: in the terminal, in Russian or English, or as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.demo.player import Played

_SHOWN = 8
_BAR = 24

WORDS = {
    "ru": {
        "placed": "распределено",
        "of": "из",
        "speed": "заявок в секунду, от первой отправки до последнего назначения",
        "latency": "от записи заявки до решения: p50 {p50:.0f} мс, p99 {p99:.0f} мс",
        "gap": "отклонение от справедливой доли (fairness gap): {gap:.2%}",
        "mae": "MAE загрузки: {mae:.4f}; у справедливого оптимума: {optimum:.4f}",
        "waiting": "ждут: {count}, причина: {reason}",
        "executor": "Исполнитель",
        "received": "Получил",
        "fair": "Справедливо",
        "deviation": "Отклонение",
        "example": "Почему так (одно из решений):",
        "more": "… ещё {count}",
        "none": "нет",
        "sending": "отправлено",
    },
    "en": {
        "placed": "placed",
        "of": "of",
        "speed": "tasks a second, from the first one sent to the last one assigned",
        "latency": "from a task's commit to its decision: p50 {p50:.0f} ms, p99 {p99:.0f} ms",
        "gap": "fairness gap (distance from the fair shares): {gap:.2%}",
        "mae": "MAE of utilisation: {mae:.4f}; of the fair optimum: {optimum:.4f}",
        "waiting": "waiting: {count}, because: {reason}",
        "executor": "Executor",
        "received": "Received",
        "fair": "Fair share",
        "deviation": "Deviation",
        "example": "Why (one of the decisions):",
        "more": "… {count} more",
        "none": "none",
        "sending": "sent",
    },
}


def summary(played: Played) -> dict[str, Any]:
    """The figures of one scenario, for machines."""
    latencies = played.latencies
    placed = len(latencies)
    return {
        "scenario": played.scenario.code,
        "name": played.scenario.name,
        "pool_id": played.pool_id,
        "tasks": len(played.scenario.tasks),
        "executors": len(played.scenario.executors),
        "placed": placed,
        "waiting": played.waiting,
        "seconds": round(played.seconds, 3),
        "tasks_per_second": round(placed / played.seconds, 1) if played.seconds else 0.0,
        "latency_p50_seconds": quantile(latencies, 0.50),
        "latency_p99_seconds": quantile(latencies, 0.99),
        "mae": played.stats["mae"],
        "mae_optimum": played.stats["mae_optimum"],
        "fairness_gap": played.fairness["fairness_gap"],
        "load": {each["name"]: each["received"] for each in played.fairness["executors"]},
        "notes": list(played.scenario.notes),
    }


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which this share of an ascending sequence lies; None for an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def show(console: Console, played: Played, language: str) -> None:
    """Print the report of one scenario."""
    words, figures = WORDS[language], summary(played)
    console.rule(f"[bold]{escape(played.scenario.name)}")
    console.print(
        f"[bold]{figures['placed']:,}[/] {words['of']} {figures['tasks']:,} {words['placed']}", end="; "
    )
    console.print(f"[bold]{figures['tasks_per_second']:,.0f}[/] {words['speed']}")
    if played.latencies:
        p50, p99 = 1000 * figures["latency_p50_seconds"], 1000 * figures["latency_p99_seconds"]
        console.print(words["latency"].format(p50=p50, p99=p99))
    if figures["fairness_gap"] is not None:
        console.print(words["gap"].format(gap=figures["fairness_gap"]))
        console.print(words["mae"].format(mae=figures["mae"], optimum=figures["mae_optimum"]))
    for reason, count in played.waiting.items():
        console.print(f"[yellow]{words['waiting'].format(count=count, reason=reason)}")
    for note in played.scenario.notes:
        console.print(f"[dim]{escape(note)}")
    console.print(_loads(played, words))
    if played.example:
        console.print(f"[bold]{words['example']}")
        console.print(escape(str(played.example["text"][language])))


def _loads(played: Played, words: dict[str, str]) -> Table:
    people = sorted(played.fairness["executors"], key=lambda each: -each["received"])
    most = max((each["received"] for each in people), default=0) or 1
    table = Table(box=None, pad_edge=False)
    for name in ("executor", "received", "fair", "deviation"):
        table.add_column(words[name], justify="left" if name == "executor" else "right")
    table.add_column("")
    shown = people if len(people) <= 2 * _SHOWN else [*people[:_SHOWN], None, *people[-_SHOWN:]]
    for each in shown:
        if each is None:
            table.add_row(f"[dim]{words['more'].format(count=len(people) - 2 * _SHOWN)}")
            continue
        bar = "█" * round(_BAR * each["received"] / most)
        figures = (f"{each['received']:,.1f}", f"{each['fair_share']:,.1f}", f"{each['deviation']:+,.1f}")
        table.add_row(escape(each["name"]), *figures, f"[cyan]{bar}")
    return table
