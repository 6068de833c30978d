"""A replay's result in a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from app.replay_report.comparison import Run, RunComparison
from app.replay_report.words import Language, Voice

_SHOWN = 15


def show(console: Console, comparison: RunComparison, language: Language) -> None:
    """The verdict, the runs side by side, and who would receive how much."""
    voice = Voice(language)
    said = escape("\n".join(headlines(comparison, voice)))
    console.print(Panel(said, title=_title(comparison, voice), expand=False))
    console.print(_runs(comparison, voice))
    console.print(_people(comparison, voice))


def _title(comparison: RunComparison, voice: Voice) -> str:
    return escape(voice.say("title", name=comparison.source.name))


def headlines(comparison: RunComparison, voice: Voice) -> list[str]:
    """Sentences about the stream, the rows left out, and the result."""
    source = comparison.source
    period = "period" if source.first else "no_period"
    said = [
        voice.say(
            period,
            items=voice.number(source.items),
            people=source.people,
            activities=source.activities,
            first=f"{source.first:%d.%m.%Y}" if source.first else "",
            last=f"{source.last:%d.%m.%Y}" if source.last else "",
        ),
        (
            voice.say("dropped", listed=voice.counts(source.dropped))
            if source.dropped
            else voice.say("nothing_dropped")
        ),
        *(voice.note(note) for note in source.notes),
    ]
    actual, proposed = comparison.actual, comparison.proposed
    before = actual.figures.fairness_gap if actual else None
    after = proposed.figures.fairness_gap
    if before is not None and after is not None:
        halves = {"moved_before": voice.number(50 * before, 1), "moved_after": voice.number(50 * after, 1)}
        said.append(
            voice.say("verdict", before=voice.percent(before), after=voice.percent(after, 2), **halves)
        )
    return [*_on_forecast(comparison, voice), *said]


def _on_forecast(comparison: RunComparison, voice: Voice) -> list[str]:
    """Whether a forecast would have helped, where it was tried."""
    verdict = comparison.verdict
    if verdict is None:
        return []
    before, after = (voice.percent(gap, 2) for gap in (verdict.gap_without, verdict.gap_with))
    return [voice.say(f"forecast_{verdict.effect.value}", before=before, after=after, days=verdict.days)]


def rows_of(comparison: RunComparison, voice: Voice) -> list[tuple[str, list[str]]]:
    """The figures, one row each, the runs in columns."""
    runs = comparison.runs

    def row(title: str, values: list[str]) -> tuple[str, list[str]]:
        return voice.say(title), values

    rows = [
        row("gap", [voice.percent(run.figures.fairness_gap, 2) for run in runs]),
        row("worst", [_worst(run, comparison, voice) for run in runs]),
        row("mae", [voice.number(run.figures.mae, 3) for run in runs]),
        row("mae_optimum", [voice.number(run.figures.mae_optimum, 3) for run in runs]),
        row("placed", [voice.number(run.figures.placed) for run in runs]),
        row("unplaced", [voice.counts(run.figures.unplaced) for run in runs]),
        row("moved", ["–" if run.moved is None else voice.number(run.moved) for run in runs]),
        row("wait", [voice.seconds(run.figures.waits.mean if run.figures.waits else None) for run in runs]),
        row(
            "wait_p90", [voice.seconds(run.figures.waits.p90 if run.figures.waits else None) for run in runs]
        ),
    ]
    if any(run.figures.broken for run in runs):
        rows.append(row("broken", [voice.counts(run.figures.broken) for run in runs]))
    return rows


def _worst(run: Run, comparison: RunComparison, voice: Voice) -> str:
    worst = run.figures.worst
    if worst is None:
        return "–"
    sign = "+" if worst.deviation >= 0 else "−"
    name = comparison.names.get(worst.executor_id, str(worst.executor_id))
    return f"{name}: {sign}{voice.number(abs(worst.deviation), 1)} / {voice.number(worst.fair, 1)}"


def _runs(comparison: RunComparison, voice: Voice) -> Table:
    table = Table()
    table.add_column("")
    for run in comparison.runs:
        table.add_column(voice.say(run.name), justify="right")
    for title, values in rows_of(comparison, voice):
        table.add_row(title, *map(escape, values))
    return table


def _people(comparison: RunComparison, voice: Voice) -> Table:
    actual, proposed = comparison.actual, comparison.proposed
    before = {one.executor_id: one for one in actual.figures.people} if actual else {}
    ranked = sorted(
        proposed.figures.people,
        key=lambda one: (
            -abs(before[one.executor_id].deviation if one.executor_id in before else one.deviation)
        ),
    )
    table = Table(title=voice.say("people_title"))
    table.add_column(voice.say("person"))
    for title in ("received", "would", "share"):
        table.add_column(voice.say(title), justify="right")
    for one in ranked[:_SHOWN]:
        was = before.get(one.executor_id)
        table.add_row(
            escape(comparison.names.get(one.executor_id, str(one.executor_id))),
            voice.number(was.received, 0) if was else "–",
            voice.number(one.received, 0),
            voice.number(one.fair, 1),
        )
    if len(ranked) > _SHOWN:
        table.caption = voice.say("more", count=len(ranked) - _SHOWN)
    return table
