"""One person: where they are, what they carry, what they had, and changes."""

from datetime import datetime, timedelta
from html import escape

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import moment, number, plain, signed
from streamlit_app.parts import catalogue, figures, notices, seen_rows
from streamlit_app.parts.figures import Figure
from streamlit_app.views.executors import executor_form
from streamlit_app.words import t, word

STATES = ("available", "break", "offline")
_LATEST = 100


def show(executor_id: str) -> None:
    """The page."""
    if st.button(t("common.back"), icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["executor"]
        st.rerun()
    person = session.api().get(f"/v1/executors/{executor_id}")
    st.title(person["name"])
    if session.may_change():
        _state(person)
    _figures(person)
    if session.may_change():
        _edit(person)
    left, right = st.columns([3, 2])
    with left:
        _tasks(person)
    with right:
        _facts(person)
        _absences(person)


def _state(person: Json) -> None:
    if not person["active"]:
        st.warning(t("executors.left"), icon=":material/person_off:")
        if st.button(t("executors.activate"), icon=":material/person_add:"):
            executor_form.change(person, active=True)
        return
    key = f"state_{person['executor_id']}_{person['version']}"
    chosen = st.segmented_control(
        t("executors.state_now"), options=STATES, default=person["availability"], required=True, key=key,
        format_func=lambda state: t(f"common.availability.{state}"),
    )  # fmt: skip
    if chosen != person["availability"]:
        executor_form.change(person, availability=chosen)


def _figures(person: Json) -> None:
    from streamlit_app.views import overview

    shares = {each["executor_id"]: each for each in overview.fairness()["executors"]}
    share = shares.get(person["executor_id"])
    limit = f"/ {plain(person['daily_limit'])}" if person["daily_limit"] is not None else t("common.no_limit")
    most = f"/ {person['max_open']}" if person["max_open"] is not None else t("common.no_limit")
    deviation = signed(share["deviation"]) if share else "—"
    figures.show(
        [
            Figure(t("executors.load"), plain(person["assigned_today"]), limit),
            Figure(t("executors.fair"), plain(share["fair_share"], 1) if share else "—"),
            Figure(t("executors.deviation"), deviation),
            Figure(t("executors.open"), number(person["open_count"]), most),
        ]
    )


def _tasks(person: Json) -> None:
    with st.container(border=True):
        st.subheader(t("executors.history"))
        page = session.api().get(f"/v1/executors/{person['executor_id']}/tasks", limit=_LATEST)
        tasks = page["items"]
        if not tasks:
            st.caption(t("executors.no_tasks"))
            return
        parameters = catalogue.load()
        key = f"person_tasks_{person['executor_id']}"
        chosen = st.dataframe(
            {
                t("tasks.number"): [task["task_id"] for task in tasks],
                t("common.status"): [word("common.status", task["status"]) for task in tasks],
                t("tasks.created"): [moment(task["created_at"]) for task in tasks],
                t("tasks.weight"): [plain(task["weight"]) for task in tasks],
                t("tasks.parameters"): [catalogue.summary(task["parameters"], parameters, "task") for task in tasks],
            },
            hide_index=True, on_select="rerun", selection_mode="single-row", height=min(38 + 33 * len(tasks), 560),
            column_config={t("tasks.number"): st.column_config.NumberColumn(format="%d")},
            key=key,
        )  # fmt: skip
        clicked = seen_rows.clicked(key, [task["task_id"] for task in tasks], chosen.selection.rows)
        if clicked is not None:
            session.go("tasks", task=str(clicked))


def _facts(person: Json) -> None:
    with st.container(border=True):
        st.subheader(t("executors.parameters"))
        hours = person["working_hours"]
        rows = [
            *catalogue.table(person["parameters"], catalogue.load(), "executor"),
            (t("executors.qualification"), plain(person["qualification"], 3)),
            (t("executors.external_id"), person["external_id"] or "—"),
            (t("executors.hours"), t("executors.always") if hours is None else _week(hours)),
        ]
        body = "".join(
            f"<tr><td>{escape(name)}</td><td class='n'>{escape(value)}</td></tr>" for name, value in rows
        )
        st.html(f"<table class='dev wrap'>{body}</table>")


def _week(hours: Json) -> str:
    days = hours.get("days", {})
    return "; ".join(
        f"{t('executors.day.' + day)[:2]} {', '.join('–'.join(interval) for interval in days[day])}"
        for day in executor_form.DAYS
        if days.get(day)
    )


def _edit(person: Json) -> None:
    """Above the columns: in one of them the form would be too narrow for its values."""
    with st.expander(t("executors.edit"), icon=":material/edit:"):
        executor_form.edit(person)
    if person["active"]:
        with st.popover(t("executors.deactivate"), icon=":material/person_off:"):
            st.markdown(t("executors.deactivate_text"))
            _leave(person)


def _leave(person: Json) -> None:
    """Let somebody go: what they have in hand stays with them, or goes to others, who are named before."""
    path = f"/v1/executors/{person['executor_id']}"
    plan = session.api().get(f"{path}/leaving") if person["open_count"] else {"items": []}
    open_tasks = "keep"
    if plan["items"]:
        open_tasks = st.radio(
            t("executors.absence_open"), ("keep", "reassign"), key="leave_open",
            format_func=lambda each: t(f"executors.absence_open.{each}"),
        )  # fmt: skip
        if open_tasks == "reassign":
            _who_would_get(plan)
    if st.button(t("common.confirm"), type="primary", key="deactivate"):
        with notices.told():
            session.api().delete(path, open_tasks=open_tasks)
            executor_form.tell_changed(t("executors.changed", name=person["name"]))


def _who_would_get(plan: Json) -> None:
    items = plan["items"]
    st.caption(t("executors.leaving_plan", n=plan["moves"], waiting=plan["waiting"]))
    st.dataframe(
        {
            t("tasks.number"): [each["task_id"] for each in items],
            t("executors.leaving_to"): [
                each["executor_name"] or t("executors.leaving_nobody") for each in items
            ],
        },
        hide_index=True,
        height=min(38 + 33 * len(items), 300),
        column_config={t("tasks.number"): st.column_config.NumberColumn(format="%d")},
    )


def _absences(person: Json) -> None:
    path = f"/v1/executors/{person['executor_id']}/absences"
    with st.container(border=True):
        st.subheader(t("executors.absences"))
        items = session.api().get(path)["items"]
        if not items:
            st.caption(t("executors.no_absences"))
        for absence in items:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{moment(absence['starts_at'])} — {moment(absence['ends_at'])} {notices.plain(absence['reason'])}"
                )
                if session.may_change() and st.button(
                    t("common.delete"),
                    key=f"absence_{absence['absence_id']}",
                    type="tertiary",
                    icon=":material/close:",
                ):
                    with notices.told():
                        session.api().delete(f"{path}/{absence['absence_id']}")
                        notices.flash(t("executors.absence_removed"))
                        st.rerun()
        if session.may_change():
            with st.popover(t("executors.absence_add"), icon=":material/event_busy:"):
                _plan(path)


def _plan(path: str) -> None:
    now = datetime.now(session.zone()).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    with st.form("absence", border=False):
        form = catalogue.date_form()
        began = st.datetime_input(t("executors.absence_from"), value=now + timedelta(hours=1), format=form)
        ended = st.datetime_input(t("executors.absence_to"), value=now + timedelta(days=1), format=form)
        reason = st.text_input(t("executors.absence_reason"))
        open_tasks = st.radio(
            t("executors.absence_open"), ("keep", "reassign"),
            format_func=lambda each: t(f"executors.absence_open.{each}"),
        )  # fmt: skip
        after = st.number_input(t("executors.absence_after"), min_value=0, value=0, step=5)
        sent = st.form_submit_button(t("executors.absence_add"), type="primary")
    if sent and began and ended:
        zone = session.zone()
        body = {
            "starts_at": began.replace(tzinfo=zone).isoformat(), "ends_at": ended.replace(tzinfo=zone).isoformat(),
            "reason": reason, "open_tasks": open_tasks, "reassign_after_minutes": after,
        }  # fmt: skip
        with notices.told():
            session.api().post(path, body)
            notices.flash(t("executors.absence_added"))
            st.rerun()
