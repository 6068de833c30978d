"""The report of a demo: in the terminal, in Russian or English, or as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.demo.player import PlayedScenario
from app.engine.placement.words import reason_to_wait
from app.engine.types import WaitReason
from app.messages.catalogue import told
from app.replay_report.words import Voice

_SHOWN = 8
_BAR = 16

WORDS = {
    "ru": {
        "what": "заявок: {tasks}, исполнителей: {executors}",
        "result": "[bold]распределено {placed} из {tasks}[/]; [bold]{speed} заявок в секунду[/], от записи первой"
        " до последнего назначения",
        "latency": "от записи заявки до её назначения: p50 {p50} мс, p99 {p99} мс",
        "at_once": " (всё отправлено сразу, заявки стояли в очереди; ровный поток: --rate 200 --batch 1)",
        "gap": "[bold]отклонение от справедливых долей (fairness gap): {gap} %[/]",
        "happened": "на деле, по журналу, оно было {gap} %",
        "mae": "MAE загрузки: {mae}; у справедливого оптимума: {optimum}",
        "waiting": "ждут: {count}, причина: {reason}",
        "dropped": "в журнале пропущено строк: {count} ({reason})",
        "executor": "Исполнитель",
        "received": "Получено",
        "fair": "Справедливо",
        "deviation": "Отклонение",
        "in_log": "В журнале",
        "example": "Почему так (одно из решений):",
        "more": "… ещё {count}",
        "sent": "отправлено",
        "placed": "распределено",
        "second": "с",
        "own_system": "По адресу {usual} никто не отвечает: для показа запускается временная система, потом от неё"
        " ничего не останется. Постоянную запускает `make run`.",
    },
    "en": {
        "what": "tasks: {tasks}, executors: {executors}",
        "result": "[bold]{placed} of {tasks} placed[/]; [bold]{speed} tasks a second[/], from the first one taken in"
        " to the last one assigned",
        "latency": "from a task's commit to its assignment: p50 {p50} ms, p99 {p99} ms",
        "at_once": " (all sent at once, so tasks queued; a steady stream: --rate 200 --batch 1)",
        "gap": "[bold]fairness gap, the distance from the fair shares: {gap}%[/]",
        "happened": "in reality, by the log, it was {gap}%",
        "mae": "MAE of utilisation: {mae}; of the fair optimum: {optimum}",
        "waiting": "waiting: {count}, because {reason}",
        "dropped": "rows of the log left out: {count} ({reason})",
        "executor": "Executor",
        "received": "Received",
        "fair": "Fair share",
        "deviation": "Deviation",
        "in_log": "In the log",
        "example": "Why (one of the decisions):",
        "more": "… {count} more",
        "sent": "sent",
        "placed": "placed",
        "second": "s",
        "own_system": "Nobody answers at {usual}: starting a temporary system for this demo; nothing of it stays."
        " `make run` starts one that does.",
    },
}


def summary(played: PlayedScenario) -> dict[str, Any]:
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
        "fairness_gap_in_log": gap_in_log(played),
        "load": {each["name"]: each["received"] for each in played.fairness["executors"]},
        "dropped": dict(played.scenario.dropped),
    }


def gap_in_log(played: PlayedScenario) -> float | None:
    """The fairness gap of what really happened, against the same fair shares; None where no log says it."""
    happened, shares = played.scenario.happened, played.fairness["executors"]
    total = sum(each["fair_share"] for each in shares)
    if not happened or not total:
        return None
    return float(sum(abs(happened.get(each["name"], 0) - each["fair_share"]) for each in shares) / total)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which this share of an ascending sequence lies; None for an empty one."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def number(value: float, language: str, digits: int = 0, sign: str = "") -> str:
    """A number as the language writes it."""
    text = f"{value:{sign},.{digits}f}"
    return text.translate(str.maketrans(",.", "\u00a0,")) if language == "ru" else text


def show(console: Console, played: PlayedScenario, language: str) -> None:
    """Print the report of one scenario."""
    words, figures = WORDS[language], summary(played)
    console.rule(f"[bold]{escape(played.scenario.name)}")
    for line in _lines(played, figures, language):
        console.print(line, highlight=False)
    console.print(_loads(played, language))
    if played.example:
        console.print(f"[bold]{words['example']}")
        console.print(escape(str(played.example["text"][language])))


def _lines(played: PlayedScenario, figures: Mapping[str, Any], language: str) -> list[str]:
    words = WORDS[language]

    def say(template: str, digits: int = 0, **values: float) -> str:
        return words[template].format(
            **{name: number(value, language, digits) for name, value in values.items()}
        )

    lines = [
        say("what", tasks=figures["tasks"], executors=figures["executors"]),
        say("result", placed=figures["placed"], tasks=figures["tasks"], speed=figures["tasks_per_second"]),
    ]
    if played.latencies:
        p50, p99 = 1000 * figures["latency_p50_seconds"], 1000 * figures["latency_p99_seconds"]
        lines.append(say("latency", p50=p50, p99=p99) + ("" if played.paced else words["at_once"]))
    if figures["fairness_gap"] is not None:
        gap = say("gap", 2, gap=100 * figures["fairness_gap"])
        real = figures["fairness_gap_in_log"]
        lines.append(gap if real is None else f"{gap}; {say('happened', 1, gap=100 * real)}")
        lines.append(say("mae", 4, mae=figures["mae"], optimum=figures["mae_optimum"]))
    voice = Voice("ru" if language == "ru" else "en")
    for reason, count in played.waiting.items():
        known = reason in set(WaitReason)  # else it is the status of a task that waits for nothing
        because = told(reason_to_wait(WaitReason(reason)), voice.language) if known else reason
        lines.append("[yellow]" + words["waiting"].format(count=number(count, language), reason=because))
    for reason, count in played.scenario.dropped.items():
        said = escape(voice.reason(reason))
        lines.append("[dim]" + words["dropped"].format(count=number(count, language), reason=said))
    return lines


def _loads(played: PlayedScenario, language: str) -> Table:
    words, happened = WORDS[language], played.scenario.happened
    people = sorted(played.fairness["executors"], key=lambda each: -each["received"])
    most = max((each["received"] for each in people), default=0) or 1
    table = Table(box=None, pad_edge=False)
    for name in ("executor", "received", "fair", "deviation", *(("in_log",) if happened else ())):
        table.add_column(words[name], justify="left" if name == "executor" else "right")
    table.add_column("")
    shown = people if len(people) <= 2 * _SHOWN else [*people[:_SHOWN], None, *people[-_SHOWN:]]
    for each in shown:
        if each is None:
            table.add_row(f"[dim]{words['more'].format(count=len(people) - 2 * _SHOWN)}")
            continue
        figures = [
            number(each["received"], language, 1),
            number(each["fair_share"], language, 1),
            number(each["deviation"], language, 1, "+"),
        ]
        if happened:
            figures.append(number(happened.get(each["name"], 0), language))
        bar = "█" * round(_BAR * each["received"] / most)
        table.add_row(escape(each["name"]), *figures, f"[cyan]{bar}")
    return table
