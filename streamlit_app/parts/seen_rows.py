"""Rows of a table that changes by itself: a click is about what stood there when the person clicked."""

from collections.abc import Sequence

import streamlit as st


def clicked(key: str, ids: Sequence[int], rows: Sequence[int]) -> int | None:
    """The id in the row that was clicked; `ids` stand in the rows now, and by now others may than were seen."""
    shown: dict[str, Sequence[int]] = st.session_state.setdefault("rows_shown", {})
    table = key.partition("_rows_")[0]
    before, seen = shown.get(table, (key, ids))
    shown[table] = (key, ids)
    if before != key:
        seen = ids
    return seen[rows[0]] if rows and rows[0] < len(seen) else None
