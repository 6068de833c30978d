"""Charts: one look for all, numbers as the language writes them, the picture as PNG and the data as CSV."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app.utils.spreadsheet_text import csv_text
from streamlit_app.session import language
from streamlit_app.words import t


def figure(*traces: Any, height: int = 300, title: str = "", **layout: Any) -> go.Figure:
    """A figure of these traces in the common look."""
    made = go.Figure(traces)
    made.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 34 if title else 10, "b": 8},
        title=title or None,
        separators=", " if language() == "ru" else ".,",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        font={"size": 13},
        hovermode="x unified",
        bargap=0.18,
        uirevision="keep",  # zoom and hidden lines survive a refresh
    )
    made.update_layout(**layout)
    made.update_yaxes(rangemode="tozero", automargin=True)
    made.update_xaxes(automargin=True)
    return made


def show(made: go.Figure, *, key: str, alt: str) -> None:
    """Show a chart; its own button saves it as PNG."""
    options = {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
        "toImageButtonOptions": {"format": "png", "filename": key, "scale": 2},
        "locale": language(),
        "locales": {"ru": _RUSSIAN},
    }
    st.plotly_chart(made, key=key, config=options, alt=alt)


_RUSSIAN = {
    "dictionary": {
        "Download plot as a PNG": "Сохранить как PNG", "Zoom": "Ближе", "Pan": "Сдвинуть", "Reset axes": "Как было",
        "Double-click to zoom back out": "Двойной щелчок вернёт весь график",
        "Double-click on legend to isolate one trace": "Двойной щелчок оставит одну линию",
    },
    "format": {
        "days": ["воскресенье", "понедельник", "вторник", "среда", "четверг", "пятница", "суббота"],
        "shortDays": ["вс", "пн", "вт", "ср", "чт", "пт", "сб"],
        "months": ["январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь",
                   "ноябрь", "декабрь"],
        "shortMonths": ["янв", "фев", "мар", "апр", "май", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"],
        "date": "%d.%m.%Y",
    },
}  # fmt: skip
"""Plotly's own words, of which Streamlit's copy of it has English ones only."""


def show_soon(made: go.Figure, *, key: str, alt: str) -> None:
    """Show a chart of a part that refreshes by itself; not in a session's first run.

    Starting to draw costs the browser a second in which it shows nothing else: figures in words come first.
    """
    if key in st.session_state.setdefault("charts_begun", set()):
        show(made, key=key, alt=alt)
        return
    st.session_state.charts_begun.add(key)
    st.html(
        f"<div style='height:{made.layout.height}px' role='img' aria-label='{escape(alt, quote=True)}'></div>"
    )


def download(columns: Mapping[str, Sequence[Any]], *, key: str) -> None:
    """A chart's data as CSV that spreadsheets open as they are."""
    st.download_button(
        t("common.download_csv"),
        data=to_csv(columns),
        file_name=f"{key}.csv",
        mime="text/csv",
        key=f"csv-{key}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
    )


def to_csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Columns as CSV with the separators of the language: a spreadsheet takes it without questions."""
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return csv_text(rows, "ru" if language() == "ru" else "en").encode()
