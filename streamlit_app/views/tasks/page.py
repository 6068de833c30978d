"""Tasks: find one among very many, page by page."""

import json
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from streamlit_app import session
from streamlit_app.client import ApiError, Json
from streamlit_app.formatting import ago, moment, plain
from streamlit_app.parts import catalogue, charts, notices, people, seen_rows
from streamlit_app.views.tasks import misplaced, task_card
from streamlit_app.words import t, word

PAGE_SIZE = 50
_PARAMETERS_WIDTH = 165
"""Pixels: weight, priority and time beside it stay in sight on a laptop."""
FILTERS = (
    "all",
    "waiting",
    "assigned",
    "in_progress",
    "returned",
    "completed",
    "rejected",
    "cancelled",
    "away",
)


def show() -> None:
    """The list, or the card of one task."""
    task_id = st.query_params.get("task")
    if task_id:
        task_card.show(task_id)
        return
    st.title(t("tasks.title"))
    misplaced.show()
    only = _ask_filter()
    if only is None:
        return
    _list(only)


def _ask_filter() -> Json | None:
    """Tasks to show; None if a number was searched that does not exist."""
    if st.session_state.get("task_filter") not in FILTERS:
        st.session_state.task_filter = "all"
    chosen = st.segmented_control(
        t("tasks.filter"), options=FILTERS, format_func=lambda each: t(f"tasks.filter.{each}"), required=True,
        key="task_filter", label_visibility="collapsed", on_change=_to_first_page,
    )  # fmt: skip
    who, search = st.columns([1, 1])
    with who:
        executor_id = people.choose(t("tasks.executor"), key="task_executor", on_change=_to_first_page)
    values = _ask_values()
    text = search.text_input(
        t("tasks.search"), key="task_search", placeholder=t("tasks.search_help"), on_change=_to_first_page
    ).strip()
    if text and _open_by_number(text):
        st.rerun()
    only: Json = {"pool_id": session.pool_id(), "executor_id": executor_id}
    if chosen == "waiting":
        only["waiting"] = True
    elif chosen == "away":
        only = {"home_pool_id": session.pool_id(), "executor_id": executor_id}
    elif chosen != "all":
        only["status"] = chosen
    if values:
        only["parameters"] = json.dumps(values, ensure_ascii=False)
    if text:
        only["external_id"] = text
        if not session.api().get("/v1/tasks", **only, limit=1)["items"]:
            st.warning(t("tasks.not_found", text=text), icon=":material/search_off:")
            return None
    return only


def _ask_values() -> Json:
    """Values of parameters to look for, asked for by the catalogue's labels; as the API's filter takes them."""
    known = catalogue.of_owner(catalogue.load(), "task")
    if not known:
        return {}
    with st.expander(t("tasks.by_values"), icon=":material/filter_list:"):
        columns = st.columns(3)
        asked = {each["key"]: _ask_value(each, columns[place % 3]) for place, each in enumerate(known)}
    return {key: value for key, value in asked.items() if value not in (None, "", [], {})}


def _ask_value(parameter: Json, place: DeltaGenerator) -> Any:
    """One input: several options mean any of them, a number means a range, a text is searched for."""
    name, kind = catalogue.label(parameter), parameter["type"]
    key = f"task_value_{session.pool_id()}_{parameter['key']}"
    options = [each["value"] for each in parameter["options"]]
    if options:
        return place.multiselect(
            name, options, format_func=lambda each: catalogue.option_label(parameter, each), key=key,
            placeholder=t("common.any"), on_change=_to_first_page,
        )  # fmt: skip
    if kind == "boolean":
        return place.selectbox(
            name, [True, False], index=None, format_func=catalogue.shown, key=key,
            placeholder=t("common.any"), on_change=_to_first_page,
        )  # fmt: skip
    if kind == "number":
        low, high = place.columns(2)
        least = low.number_input(t("tasks.from", name=name), value=None, key=f"{key}_least", format="%g",
                                 on_change=_to_first_page, placeholder=t("common.any"))  # fmt: skip
        most = high.number_input(t("tasks.to", name=name), value=None, key=f"{key}_most", format="%g",
                                 on_change=_to_first_page, placeholder=t("common.any"))  # fmt: skip
        return {word: bound for word, bound in (("gte", least), ("lte", most)) if bound is not None}
    if kind == "string":
        text = place.text_input(name, key=key, placeholder=t("common.any"), on_change=_to_first_page).strip()
        return {"contains": text} if text else None
    return None


def _open_by_number(text: str) -> bool:
    """Open the task of this number if it is one of this pool."""
    digits = text.lstrip("№# ")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        return False
    try:
        task = session.api().get(f"/v1/tasks/{digits}")
    except ApiError as error:
        if error.status in {404, 422}:
            return False
        raise
    if session.pool_id() not in (task["pool_id"], task["home_pool_id"]):
        return False
    st.query_params["task"] = digits
    return True


def _to_first_page() -> None:
    st.session_state.task_cursors = []


def _list(only: Json) -> None:
    cursors: list[str] = st.session_state.setdefault("task_cursors", [])
    if st.session_state.get("task_pool") != session.pool_id():
        st.session_state.task_pool = session.pool_id()
        cursors.clear()
    page = session.api().get("/v1/tasks", **only, cursor=cursors[-1] if cursors else None, limit=PAGE_SIZE)
    tasks = page["items"]
    if not tasks:
        notices.empty(t("tasks.empty_title"), t("tasks.empty_text"), "inbox")
        return
    parameters = catalogue.load()
    columns = _columns(tasks, parameters)
    key = f"task_rows_{len(cursors)}_{st.session_state.get('task_rows_seen', 0)}"
    chosen = st.dataframe(
        columns, hide_index=True, on_select="rerun", selection_mode="single-row", height=min(38 + 33 * len(tasks), 640),
        key=key, column_config=_column_config(), alt=t("tasks.title"),
    )  # fmt: skip
    clicked = seen_rows.clicked(key, [task["task_id"] for task in tasks], chosen.selection.rows)
    if clicked is not None:
        st.session_state.task_rows_seen = st.session_state.get("task_rows_seen", 0) + 1
        st.query_params["task"] = str(clicked)
        st.rerun()
    st.caption(t("tasks.hint"))
    _pager(cursors, page["next_cursor"], columns)


def _columns(tasks: list[Json], parameters: list[Json]) -> dict[str, list[Any]]:
    return {
        t("tasks.number"): [task["task_id"] for task in tasks],
        t("tasks.external"): [task["external_id"] or "" for task in tasks],
        t("common.status"): [_status(task) for task in tasks],
        t("tasks.executor"): [
            task["assignment"]["executor_name"] if task["assignment"] and task["executor_id"] else "—"
            for task in tasks
        ],
        t("tasks.parameters"): [catalogue.summary(task["parameters"], parameters, "task") for task in tasks],
        t("tasks.weight"): [plain(task["weight"]) for task in tasks],
        t("tasks.priority"): [task["priority"] for task in tasks],
        t("tasks.created"): [moment(task["created_at"], with_seconds=True) for task in tasks],
    }


def _status(task: Json) -> str:
    if task["wait_reason"]:
        return f"{t('common.status.pending')} {ago(task['waiting_since'])}: {word('common.wait', task['wait_reason'])}"
    return word("common.status", task["status"])


def _column_config() -> dict[str, Any]:
    return {
        t("tasks.number"): st.column_config.NumberColumn(format="%d", width=70),
        t("tasks.external"): st.column_config.TextColumn(width=110),
        t("tasks.executor"): st.column_config.TextColumn(width=135),
        t("tasks.parameters"): st.column_config.TextColumn(width=_PARAMETERS_WIDTH),
        t("tasks.weight"): st.column_config.TextColumn(width=50, alignment="right"),
        t("tasks.priority"): st.column_config.NumberColumn(width=85),
        t("tasks.created"): st.column_config.TextColumn(width=90),
    }


def _pager(cursors: list[str], next_cursor: str | None, columns: dict[str, list[Any]]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(t("common.first"), icon=":material/first_page:", disabled=not cursors):
            cursors.clear()
            st.rerun()
        if st.button(t("common.previous"), icon=":material/chevron_left:", disabled=not cursors):
            cursors.pop()
            st.rerun()
        st.markdown(t("tasks.page", n=len(cursors) + 1), width="content")
        if st.button(t("common.next"), icon=":material/chevron_right:", disabled=next_cursor is None):
            cursors.append(str(next_cursor))
            st.rerun()
        charts.download(columns, key="tasks")
