"""Key figures in a row: one piece of the page, there before anything that the browser has to fetch for drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its name, what stands below it, and what it means."""

    name: str
    value: str
    note: str | None = None
    help: str | None = None


def show(figures: Sequence[Figure], place: DeltaGenerator | None = None) -> None:
    """Show them beside each other, as many in a row as there is room for; long names take a second line."""
    tiles = "".join(map(_tile, figures))
    (place or st).html(f"<div class='figures'>{tiles}</div>")


def _tile(figure: Figure) -> str:
    return (
        f"<div class='figure'><div class='label'>{_name(figure)}</div>"
        f"<div class='value'>{escape(figure.value)}</div><div class='note'>{escape(figure.note or '')}</div></div>"
    )


def _name(figure: Figure) -> str:
    """The name, its last word and the sign that explains it on one line."""
    if not figure.help:
        return escape(figure.name)
    *words, last = figure.name.split(" ")
    return f"{escape(' '.join(words))} <span class='nowrap'>{escape(last)} {_hint(figure.help)}</span>"


def _hint(text: str) -> str:
    """Explanation of the figure, shown on pointing, touch and keyboard focus."""
    return (
        f"<span class='hint' tabindex='0' role='note' aria-label='{escape(text, quote=True)}'>"
        f"<span aria-hidden='true'>?</span><span class='what'>{escape(text)}</span></span>"
    )
