"""Makes docs/benchmarks.md and its charts from benchmarks/results/*.json: no figure in it is typed by hand."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.charts import svg
from benchmarks.results import Cell, Result, Table, Target, committed

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """\
# Benchmarks

<!-- Made by `python -m benchmarks --page` from benchmarks/results/*.json. Do not edit: your words would be lost. -->

What this page says was measured by programs of this repository; `make bench` measures again, here or on your machine
(`make bench ARGS="--short"` in a few minutes, `make bench ARGS="end_to_end"` one of them). Each figure stands beside
a reference of the same run, so that the machine's speed cancels out. What saturates first, and how to go on from
there, is told in [scaling](scaling.md).
"""


def write(docs: Path = DOCS) -> Path:
    """Write the page and its charts; returns the page's path."""
    results = list(committed())
    images = docs / "img"
    images.mkdir(parents=True, exist_ok=True)
    for result in results:
        for number, chart in enumerate(result.charts, 1):
            (images / _image(result, number)).write_text(svg(chart))
    page = docs / "benchmarks.md"
    page.write_text(
        "\n".join([HEAD, *_promises(results), *(line for one in results for line in _section(one))])
    )
    return page


def _image(result: Result, number: int) -> str:
    return f"benchmark-{result.name.replace('_', '-')}-{number}.svg"


def _promises(results: Iterable[Result]) -> Iterator[str]:
    rows = [_promise(target) for result in results for target in result.targets]
    if not rows:
        return
    yield "## Targets\n"
    yield from _table(Table("", ["what", "unit", "measured", "target", "stretch", ""], rows))


def _promise(target: Target) -> list[Cell]:
    word = "missed"
    if target.reached(target.stretch):
        word = "**stretch reached**"
    elif target.reached(target.target):
        word = "**reached**"
    return [target.what, target.unit, target.measured, target.target, target.stretch, word]


def _section(result: Result) -> Iterator[str]:
    yield f"## {result.title}\n"
    yield f"{result.about.strip()}\n"
    for number, chart in enumerate(result.charts, 1):
        yield f"![{chart.title}](img/{_image(result, number)})\n"
    for table in result.tables:
        yield f"**{table.title}**\n"
        yield from _table(table)
    yield from (f"- {note}" for note in result.notes)
    if result.notes:
        yield ""
    for text in result.texts:
        yield f"<details><summary>{text.title}</summary>\n\n```text\n{text.body.rstrip()}\n```\n\n</details>\n"
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.machine.items())
    yield f"*`python -m benchmarks {result.name}`, {result.seconds:.0f} s, {result.made_at[:10]}; {machine}.*\n"


def _table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(table.columns) + " |"
    numeric = [
        all(isinstance(row[place], int | float) for row in table.rows) for place in range(len(table.columns))
    ]
    yield "|" + "|".join(" ---: " if number else " --- " for number in numeric) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_shown(cell) for cell in row) + " |"
    yield ""


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and abs(cell) < 1000:
        return f"{cell:.4g}"
    return f"{cell:,.0f}" if isinstance(cell, int | float) else cell.replace("|", r"\|")
