"""Charts as inline SVG: no script, no library, right in print and in the dark. Colours are the page's classes."""

from collections.abc import Sequence
from html import escape

_WIDTH = 720


def bars(names: Sequence[str], series: Sequence[Sequence[float]], marks: Sequence[float], title: str) -> str:
    """A row of horizontal bars for each name, one bar a series, with a tick at each mark."""
    top = max([*(value for one in series for value in one), *marks, 1e-9])
    left, high = 180, 12 * len(series) + 10
    scale = (_WIDTH - left - 60) / top
    drawn = []
    for row, name in enumerate(names):
        y = row * high + 4
        drawn.append(f'<text x="{left - 8}" y="{y + high / 2}" class="name">{escape(_short(name))}</text>')
        for number, one in enumerate(series):
            width = max(0.0, one[row]) * scale
            drawn.append(
                f'<rect x="{left}" y="{y + 12 * number}" width="{width:.1f}" height="10" class="s{number}">'
                f"<title>{escape(name)}: {one[row]:,.1f}</title></rect>"
            )
        at = left + marks[row] * scale
        drawn.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 3}" y2="{y + high - 9}" class="mark"/>')
    return _svg(len(names) * high + 8, title, drawn)


def lines(series: Sequence[Sequence[float | None]], labels: tuple[str, str], title: str) -> str:
    """Lines over equal steps, shares of one on a scale of per cent; `labels` are the ends of the time axis."""
    height, left, bottom = 240, 56, 24
    known = [value for one in series for value in one if value is not None]
    top = max([*known, 0.01]) * 1.05
    count = max(2, *(len(one) for one in series))
    drawn = []
    for step in range(5):
        share = top * step / 4
        y = 8 + (height - bottom - 8) * (1 - step / 4)
        drawn.append(f'<line x1="{left}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        drawn.append(f'<text x="{left - 8}" y="{y + 4:.1f}" class="name">{100 * share:.1f} %</text>')
    for number, one in enumerate(series):
        points = [
            f"{left + (_WIDTH - left - 8) * at / (count - 1):.1f},{8 + (height - bottom - 8) * (1 - value / top):.1f}"
            for at, value in enumerate(one)
            if value is not None
        ]
        drawn.append(f'<polyline points="{" ".join(points)}" class="l{number}"/>')
    drawn.append(f'<text x="{left}" y="{height - 4}">{escape(labels[0])}</text>')
    drawn.append(f'<text x="{_WIDTH - 8}" y="{height - 4}" class="name">{escape(labels[1])}</text>')
    return _svg(height, title, drawn)


def columns(values: Sequence[float], title: str) -> str:
    """One column a value, numbered from 0."""
    height, bottom = 160, 20
    top = max([*values, 1e-9])
    step = (_WIDTH - 16) / max(1, len(values))
    drawn = []
    for number, value in enumerate(values):
        tall = (height - bottom - 8) * value / top
        x = 8 + step * number
        drawn.append(
            f'<rect x="{x:.1f}" y="{height - bottom - tall:.1f}" width="{step - 3:.1f}" height="{tall:.1f}" class="s1">'
            f"<title>{number}: {value:,.0f}</title></rect>"
        )
        drawn.append(f'<text x="{x + step / 2:.1f}" y="{height - 5}" class="tick">{number}</text>')
    return _svg(height, title, drawn)


def _svg(height: float, title: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg>"
    )


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"
