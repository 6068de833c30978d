"""A replay's result as one HTML file: no script, nothing loaded from anywhere, readable on paper and in the dark."""

from html import escape

from app.replay_report.charts import bars, columns, lines
from app.replay_report.comparison import RunComparison
from app.replay_report.terminal import headlines, rows_of
from app.replay_report.words import Language, Voice

_SHOWN = 40

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #e4e7ec; --paper: #fff;
  --c0: #b0b7c3; --c1: #2563eb; --c2: #d97706; --c3: #7c3aed; --c4: #0d9488; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #344054; --paper: #101828;
  --c0: #667085; --c1: #60a5fa; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 860px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.help, .facts { color: var(--soft); } .verdict { font-size: 1.1rem; font-weight: 600; }
.key span { margin-right: 1.2rem; } .key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .name { text-anchor: end; } svg .tick { text-anchor: middle; } svg .grid { stroke: var(--line); }
svg .mark { stroke: var(--ink); stroke-width: 2; } svg polyline { fill: none; stroke-width: 2; }
.wide { overflow-x: auto; }
""" + "".join(
    f".s{n} {{ fill: var(--c{n}); }} .l{n} {{ stroke: var(--c{n}); }} .k{n} {{ background: var(--c{n}); }} "
    for n in range(5)
)


def page(comparison: RunComparison, language: Language) -> str:
    """The whole document."""
    voice = Voice(language)
    title = escape(voice.say("title", name=comparison.source.name))
    parts = [
        f"<h1>{title}</h1>",
        *_headlines(comparison, voice),
        _table(comparison, voice),
        f'<p class="help">{escape(voice.say("gap_help"))}</p>',
        *_people(comparison, voice),
        *_days(comparison, voice),
        *_hours(comparison, voice),
        *_assumptions(comparison, voice),
    ]
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _headlines(comparison: RunComparison, voice: Voice) -> list[str]:
    *facts, verdict = headlines(comparison, voice)
    return [
        *(f'<p class="facts">{escape(fact)}</p>' for fact in facts),
        f'<p class="verdict">{escape(verdict)}</p>',
    ]


def _table(comparison: RunComparison, voice: Voice) -> str:
    head = "".join(f"<th>{escape(voice.say(run.name))}</th>" for run in comparison.runs)
    body = "".join(
        f"<tr><td>{escape(title)}</td>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for title, values in rows_of(comparison, voice)
    )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _key(names: list[str]) -> str:
    spans = "".join(
        f'<span><i class="k{number}"></i>{escape(name)}</span>' for number, name in enumerate(names)
    )
    return f'<p class="key">{spans}</p>'


def _people(comparison: RunComparison, voice: Voice) -> list[str]:
    actual, proposed = comparison.actual, comparison.proposed
    people = sorted(proposed.figures.people, key=lambda one: -one.fair)[:_SHOWN]
    before = {one.executor_id: one.received for one in actual.figures.people} if actual else {}
    series = [[one.received for one in people]]
    names = [voice.say("would")]
    if actual:
        series.insert(0, [before.get(one.executor_id, 0.0) for one in people])
        names.insert(0, voice.say("received"))
    left = len(proposed.figures.people) - len(people)
    return [
        f"<h2>{escape(voice.say('people_title'))}</h2>",
        _key(names).replace("</p>", f"<span>┃ {escape(voice.say('share'))}</span></p>"),
        bars(
            [comparison.names.get(one.executor_id, str(one.executor_id)) for one in people],
            series,
            [one.fair for one in people],
            voice.say("units"),
        ),
        *([f'<p class="help">{escape(voice.say("more", count=left))}</p>'] if left else []),
    ]


def _days(comparison: RunComparison, voice: Voice) -> list[str]:
    days = comparison.proposed.figures.days
    if len(days) < 2:
        return []
    runs = comparison.runs[:5]
    edges = (f"{days[0].day:%d.%m.%Y}", f"{days[-1].day:%d.%m.%Y}")
    series = [[day.gap_so_far for day in run.figures.days] for run in runs]
    title = voice.say("days_title")
    return [
        f"<h2>{escape(title)}</h2>",
        _key([voice.say(run.name) for run in runs]),
        lines(series, edges, title),
    ]


def _hours(comparison: RunComparison, voice: Voice) -> list[str]:
    title = f"{voice.say('hours_title')}: {voice.say('arrived')}"
    return [
        f"<h2>{escape(title)}</h2>",
        columns([hour.arrived for hour in comparison.proposed.figures.hours], title),
    ]


def _assumptions(comparison: RunComparison, voice: Voice) -> list[str]:
    source = comparison.source
    rules = source.settings.get("rules")
    said = [
        voice.say("rules_given", name=rules) if rules else voice.say("rules_none"),
        voice.say(f"presence_{source.settings['presence']}"),
        voice.say("zone", zone=source.timezone),
    ]
    listed = "".join(f"<li>{escape(one)}</li>" for one in said)
    return [f"<h2>{escape(voice.say('assumptions'))}</h2>", f"<ul>{listed}</ul>"]
