"""Executors: who is here, what they carry, how far from their fair share."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import number, plain, signed
from streamlit_app.parts import catalogue, charts, figures, live, notices, people, seen_rows
from streamlit_app.parts.figures import Figure
from streamlit_app.views.executors import executor_form, executor_import, executor_page
from streamlit_app.words import t, word


def show() -> None:
    """The list, or one person's page."""
    executor_id = st.query_params.get("executor")
    if executor_id:
        executor_page.show(executor_id)
        return
    st.title(t("executors.title"))
    if session.may_change():
        with st.container(horizontal=True):
            if st.button(t("executors.add"), icon=":material/person_add:", type="primary"):
                executor_form.new()
            if st.button(t("executors.import"), icon=":material/upload_file:"):
                executor_import.open_dialog()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(t("executors.find"), key="executor_find").strip().lower()
        inactive = st.toggle(t("executors.show_inactive"), key="executor_inactive")
    _live_table(text, inactive)


@st.fragment(run_every=2.0)
@notices.guarded
def _live_table(text: str, inactive: bool) -> None:
    everybody = _people()
    if not everybody:
        notices.empty(t("executors.empty_title"), t("executors.empty_text"), "group_add")
        return
    fair = _fair()
    active = [each for each in everybody if each["active"]]
    _figures(active, fair)
    parameters = catalogue.load()
    rows = [
        (each, catalogue.summary(each["parameters"], parameters, "executor", most=6))
        for each in sorted(everybody if inactive else active, key=lambda each: each["name"])
    ]
    rows = [(each, summary) for each, summary in rows if text in f"{each['name']} {summary}".lower()]
    if not rows:
        st.info(t("executors.nobody_found"), icon=":material/search_off:")
        return
    _table(rows, fair)


def _people() -> list[Json]:
    revision, pulse, _ = live.revision(session.pool_id())
    api, seen = session.api(), st.session_state.get("people_seen", 0)
    return _ask_people(api, api.token, session.pool_id(), seen, revision, pulse)


@st.cache_data(ttl=10, max_entries=50, show_spinner=False)
def _ask_people(
    _api: Any, token: str | None, pool_id: int, seen: int, revision: int, pulse: int
) -> list[Json]:
    return _api.pages("/v1/executors", pool_id=pool_id)


def _fair() -> dict[int, Json]:
    from streamlit_app.views import overview

    return {each["executor_id"]: each for each in overview.fairness()["executors"]}


def _figures(active: list[Json], fair: dict[int, Json]) -> None:
    here = sum(each["availability"] == "available" for each in active)
    full = sum(
        each["daily_limit"] is not None and each["assigned_today"] >= each["daily_limit"] for each in active
    )
    furthest = max(fair.values(), key=lambda each: abs(each["deviation"]), default=None)
    open_count = sum(each["open_count"] for each in active)
    figures.show(
        [
            Figure(t("executors.here"), number(here), t("executors.here_of", n=len(active))),
            Figure(t("executors.at_limit"), number(full)),
            Figure(t("executors.open_total"), number(open_count)),
            (
                Figure(t("executors.furthest"), signed(furthest["deviation"]), furthest["name"])
                if furthest
                else Figure(t("executors.furthest"), "—")
            ),
        ]
    )


def _table(rows: list[tuple[Json, str]], fair: dict[int, Json]) -> None:
    people_ = [each for each, _ in rows]
    limited = any(each["daily_limit"] is not None for each in people_)
    columns: dict[str, list[Any]] = {
        t("executors.name"): [each["name"] for each in people_],
        t("executors.availability"): [
            word("common.availability", each["availability"]) if each["active"] else t("executors.left")
            for each in people_
        ],
        t("executors.load"): [each["assigned_today"] for each in people_],
        t("executors.fair"): [fair.get(each["executor_id"], {}).get("fair_share") for each in people_],
        t("executors.deviation"): [fair.get(each["executor_id"], {}).get("deviation") for each in people_],
        t("executors.open"): [
            f"{each['open_count']}" + (f" / {each['max_open']}" if each["max_open"] is not None else "")
            for each in people_
        ],
        t("executors.qualification"): [each["qualification"] for each in people_],
    }
    if limited:  # columns that say nothing would push out those that do
        columns[t("executors.limit")] = [each["daily_limit"] for each in people_]
        columns[t("executors.used")] = [_used(each) for each in people_]
    if any(each["working_hours"] is not None for each in people_):
        columns[t("executors.hours")] = [
            t("executors.always") if each["working_hours"] is None else t("executors.by_schedule")
            for each in people_
        ]
    columns[t("executors.parameters")] = [summary for _, summary in rows]
    key = f"executor_rows_{session.pool_id()}_{st.session_state.get('executor_rows_seen', 0)}"
    chosen = st.dataframe(
        _written(columns), hide_index=True, on_select="rerun", selection_mode="single-row",
        height=min(38 + 33 * len(rows), 640), column_config=_column_config(), alt=t("executors.title"),
        key=key,
    )  # fmt: skip
    clicked = seen_rows.clicked(key, [each["executor_id"] for each in people_], chosen.selection.rows)
    if clicked is not None:
        st.session_state.executor_rows_seen = st.session_state.get("executor_rows_seen", 0) + 1
        st.query_params["executor"] = str(clicked)
        st.rerun(scope="app")
    st.caption(t("executors.hint"))
    charts.download(columns, key="executors")


def _used(person: Json) -> float | None:
    return person["assigned_today"] / person["daily_limit"] if person["daily_limit"] else None


def _written(columns: dict[str, list[Any]]) -> Any:
    """The table with its numbers as the language writes them; it still sorts by the numbers themselves."""
    from pandas import DataFrame, isna

    def by(write: Callable[[float], str]) -> Callable[[float | None], str]:
        return lambda value: "—" if isna(value) else write(float(value))

    ways = {
        t("executors.load"): by(plain),
        t("executors.fair"): by(lambda value: number(value, 1)),
        t("executors.deviation"): by(signed),
        t("executors.qualification"): by(plain),
        t("executors.limit"): by(plain),
    }
    table = DataFrame(columns)
    numbers = [name for name in ways if name in columns]
    table[numbers] = table[numbers].astype(float)
    return table.style.format({name: ways[name] for name in numbers})


def _column_config() -> dict[str, Any]:
    one = st.column_config
    return {
        # A pinned column is written in grey: only where the names would scroll out of sight.
        t("executors.name"): one.TextColumn(pinned="Mobi" in (st.context.headers.get("User-Agent") or "")),
        t("executors.used"): one.ProgressColumn(format="percent", min_value=0, max_value=1),
        t("executors.open"): one.TextColumn(alignment="right"),
        t("executors.qualification"): one.NumberColumn(help=t("executors.qualification_help")),
        t("executors.parameters"): one.TextColumn(width="large"),
    }


def forget() -> None:
    """Read again at once after a change on this page."""
    st.session_state.people_seen = st.session_state.get("people_seen", 0) + 1
    people.forget()
