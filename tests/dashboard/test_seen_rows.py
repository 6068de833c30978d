"""A click on a row of a live table is about what stood there when the person clicked."""

from streamlit.testing.v1 import AppTest


def _table() -> None:
    import streamlit as st

    from streamlit_app.parts import seen_rows

    state = st.session_state
    state.found = seen_rows.clicked(state.table, state.ids, state.rows)


def look(app: AppTest, table: str, ids: list[int], rows: list[int]) -> int | None:
    app.session_state["table"], app.session_state["ids"], app.session_state["rows"] = table, ids, rows
    app.run()
    assert not app.exception
    return app.session_state["found"]


def test_a_click_opens_what_was_seen_though_newer_rows_came() -> None:
    app = AppTest.from_function(_table)
    assert look(app, "task_rows_0_0", [3, 2, 1], []) is None
    assert look(app, "task_rows_0_0", [5, 4, 3, 2, 1], [0]) == 3
    assert look(app, "task_rows_0_1", [5, 4, 3, 2, 1], []) is None
    assert look(app, "task_rows_0_1", [6, 5, 4, 3, 2, 1], [1]) == 4


def test_a_row_that_was_never_shown_is_none() -> None:
    app = AppTest.from_function(_table)
    assert look(app, "task_rows_0_0", [1], []) is None
    assert look(app, "task_rows_0_0", [2, 1], [1]) is None
