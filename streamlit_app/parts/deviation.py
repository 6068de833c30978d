"""Load beside fair share: the deviation is what is seen, from the middle to either side."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from streamlit_app.formatting import percent, plain, signed
from streamlit_app.styles import EVEN, OVER, UNDER
from streamlit_app.words import t

TOLERANCE = 0.10
"""Share of the fair share by which somebody may be off before it is coloured: one task of ten."""


@dataclass(frozen=True, slots=True)
class Row:
    """Received work and fair share of one executor."""

    executor_id: int
    name: str
    received: float
    fair: float

    @property
    def deviation(self) -> float:
        """Positive: too much."""
        return self.received - self.fair

    @property
    def notable(self) -> bool:
        """Beyond tolerance, and by more than two tasks: work comes in whole ones."""
        return abs(self.deviation) > max(2.0, TOLERANCE * self.fair)


def rows_of(fairness: dict) -> list[Row]:
    """The people of a fairness answer, the most deviating first."""
    rows = [
        Row(each["executor_id"], each["name"], each["received"], each["fair_share"])
        for each in fairness["executors"]
    ]
    return sorted(rows, key=lambda row: (-abs(row.deviation), row.name))


def show(rows: Sequence[Row]) -> None:
    """A table of people with their deviation drawn."""
    most = max((abs(row.deviation) for row in rows), default=0.0)
    scale = max(most, 1.0)
    head = (
        f"<tr><th scope='col'>{escape(t('overview.person'))}</th>"
        f"<th scope='col' class='n wide'>{escape(t('overview.received_load'))}</th>"
        f"<th scope='col' class='n wide'>{escape(t('overview.fair'))}</th>"
        f"<th scope='col' class='bar'>{escape(t('overview.deviation_axis'))}</th>"
        f"<th scope='col' class='n'>{escape(t('overview.deviation'))}</th></tr>"
    )
    body = "".join(_row(row, scale) for row in rows)
    st.html(f"<table class='dev'><thead>{head}</thead><tbody>{body}</tbody></table>")


def _row(row: Row, scale: float) -> str:
    share = row.deviation / row.fair if row.fair else None
    told = signed(row.deviation) + (
        f" <span class='muted wide'>({percent(share, 0)})</span>" if share is not None else ""
    )
    return (
        f"<tr><td class='name' title='{escape(row.name, quote=True)}'>{escape(row.name)}</td>"
        f"<td class='n wide'>{plain(row.received, 1)}</td><td class='n wide'>{plain(row.fair, 1)}</td>"
        f"<td class='bar'>{_bar(row, scale)}</td><td class='n'>{told}</td></tr>"
    )


def _bar(row: Row, scale: float) -> str:
    """A bar from the middle, where the fair share is; coloured where it matters."""
    length = 50 * min(1.0, abs(row.deviation) / scale)
    start = 50 if row.deviation >= 0 else 50 - length
    colour = (OVER if row.deviation > 0 else UNDER) if row.notable else EVEN
    return (
        "<div class='axis' aria-hidden='true'>"
        f"<div style='left:{start:.2f}%;width:{max(length, 0.5):.2f}%;background:{colour}'></div></div>"
    )
