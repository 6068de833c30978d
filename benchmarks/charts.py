"""Charts as small SVG files that read well on light and dark pages; no library, no script, no font of their own."""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.results import Cell, Chart

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 64, 56
COLOURS = ("#2f6fde", "#e07b1f", "#2f9e6b", "#b0418f", "#7a6ff0", "#8a8f98")
STYLE = """
text{font:12px system-ui,sans-serif;fill:#3a4048}.t{font-size:15px;font-weight:600}.g{stroke:#d5d9de;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#d5d9de}.g{stroke:#454b54}}
"""


def svg(chart: Chart) -> str:
    """The chart as an SVG document."""
    top = _nice_top(
        max((float(y) for line in chart.series for _, y in line.points if _is_number(y)), default=1.0)
    )
    marks = _bars(chart, top) if chart.kind == "bar" else _lines(chart, top)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}"><style>{STYLE.strip()}</style>'
    )
    parts = [
        opening,
        f'<text class="t" x="{LEFT}" y="22">{escape(chart.title)}</text>',
        *_legend(chart),
        *_grid(top),
        f'<text x="{LEFT}" y="{TOP - 8}" text-anchor="end" dx="-8">{escape(chart.y)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(chart.x)}</text>',
        *marks,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nice_top(highest: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below the highest value."""
    if highest <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= highest)


def _height(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _grid(top: float) -> list[str]:
    lines = []
    for step in range(5):
        value = top * step / 4
        y = _height(value, top)
        lines += [
            f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.6g}</text>',
        ]
    return lines


def _legend(chart: Chart) -> list[str]:
    parts, x = [], LEFT
    for number, series in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="32" width="10" height="10" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="41">{escape(series.name)}</text>')
        x += 32 + 7 * len(series.name)
    return parts if len(chart.series) > 1 else []


def _bars(chart: Chart, top: float) -> list[str]:
    groups = list(dict.fromkeys(str(x) for series in chart.series for x, _ in series.points))
    room = (WIDTH - LEFT - RIGHT) / max(1, len(groups))
    width = min(64.0, room * 0.8 / max(1, len(chart.series)))
    parts = [_below(LEFT + room * (place + 0.5), group) for place, group in enumerate(groups)]
    for number, series in enumerate(chart.series):
        for x, y in series.points:
            middle = LEFT + room * (groups.index(str(x)) + 0.5)
            left = middle + width * (number - len(chart.series) / 2)
            upper = _height(float(y or 0), top)
            parts.append(
                f'<rect x="{left + 1:.1f}" y="{upper:.1f}" width="{width - 2:.1f}" rx="2" '
                f'height="{HEIGHT - BOTTOM - upper:.1f}" fill="{COLOURS[number % len(COLOURS)]}"/>'
                f'<text x="{left + width / 2:.1f}" y="{upper - 4:.1f}" text-anchor="middle">{y:,.5g}</text>'
            )
    return parts


def _lines(chart: Chart, top: float) -> list[str]:
    xs = sorted({float(x) for series in chart.series for x, _ in series.points if _is_number(x)})
    parts = [_below(_across(x, xs, chart.log_x), f"{x:,.6g}") for x in _few(xs)]
    for number, series in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        places = [
            (_across(float(x or 0), xs, chart.log_x), _height(float(y or 0), top)) for x, y in series.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{path}"/>')
        if len(places) <= 30:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
    return parts


def _across(x: float, xs: Sequence[float], log: bool) -> float:
    low, high, value = xs[0], xs[-1], x
    if log and low > 0:
        low, high, value = math.log(low), math.log(high), math.log(x)
    share = (value - low) / (high - low) if high > low else 0.5
    return LEFT + 16 + (WIDTH - LEFT - RIGHT - 32) * share


def _few(xs: Sequence[float]) -> Sequence[float]:
    """At most nine of the values, so that their labels do not meet."""
    return xs if len(xs) <= 9 else [xs[round(place * (len(xs) - 1) / 8)] for place in range(9)]


def _below(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'
