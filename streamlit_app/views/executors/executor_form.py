"""Form of an executor, new or changed."""

import re
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import catalogue, notices
from streamlit_app.words import t

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_INTERVAL = re.compile(r"([01]\d|2[0-4]):[0-5]\d\s*[-–—]\s*([01]\d|2[0-4]):[0-5]\d")


class WrongHours(ValueError):
    """The hours of a day are not intervals; the message says which."""


def new() -> None:
    """Ask about somebody new, in a window of its own."""
    st.dialog(t("executors.new"), width="large")(_ask_new)()


def _ask_new() -> None:
    with st.form("new_executor", border=False):
        values = fields({"name": "", "external_id": None, "daily_limit": None, "max_open": None, "qualification": 1.0,
                         "parameters": {}, "working_hours": None}, key="new")  # fmt: skip
        sent = st.form_submit_button(t("executors.add"), type="primary")
    if not sent:
        return
    with notices.told():
        if not _complete(values):
            return
        made = session.api().post("/v1/executors", {"pool_id": session.pool_id()} | values)
        tell_changed(t("executors.created", name=made["name"]))


def edit(person: Json) -> None:
    """Change what is said of a person."""
    with st.form("edit_executor", border=False):
        values = fields(person, key=f"edit{person['executor_id']}_{person['version']}")
        sent = st.form_submit_button(t("common.save"), type="primary")
    if not sent:
        return
    with notices.told():
        if not _complete(values):
            return
        path = f"/v1/executors/{person['executor_id']}"
        removed = {key: None for key, value in values["parameters"].items() if value in (None, "", [])}
        values["parameters"] |= removed
        changed = session.api().patch(path, values, version=person["version"])
        tell_changed(t("executors.changed", name=changed["name"]))


def change(person: Json, **values: Any) -> None:
    """Change one thing of a person, such as whether they are here."""
    with notices.told():
        changed = session.api().patch(f"/v1/executors/{person['executor_id']}", values)
        tell_changed(t("executors.changed", name=changed["name"]))


def tell_changed(text: str) -> None:
    """Report the change and read all executors again."""
    from streamlit_app.views.executors import page as executors

    executors.forget()
    notices.flash(text)
    st.rerun()


def _complete(values: Json) -> bool:
    if not values["name"].strip():
        st.warning(t("executors.name_missing"))
        return False
    try:
        values["working_hours"] = values["working_hours"]()
    except WrongHours as wrong:
        st.warning(str(wrong))
        return False
    return True


def fields(person: Json, *, key: str) -> Json:
    """Inputs for all that is said of a person; `working_hours` is to be called, and may raise WrongHours."""
    left, right = st.columns(2)
    name = left.text_input(t("executors.name") + " *", value=person["name"], key=f"{key}_name")
    external = right.text_input(
        t("executors.external_id"), value=person["external_id"] or "", key=f"{key}_external"
    )
    limits = st.columns(3)
    daily = limits[0].number_input(
        t("executors.limit"), value=person["daily_limit"], min_value=0.0, step=1.0, format="%g", key=f"{key}_daily",
        placeholder=t("executors.unlimited"),
    )  # fmt: skip
    most = limits[1].number_input(
        t("executors.max_open"), value=person["max_open"], min_value=0, step=1, key=f"{key}_open",
        placeholder=t("executors.unlimited"),
    )  # fmt: skip
    qualification = limits[2].number_input(
        t("executors.qualification"), value=float(person["qualification"]), min_value=0.001, step=0.1, format="%g",
        key=f"{key}_q", help=t("executors.qualification_help"),
    )  # fmt: skip
    parameters = _parameters(person, key)
    hours = _hours(person["working_hours"], key)
    return {
        "name": name, "external_id": external.strip() or None, "daily_limit": daily, "max_open": most,
        "qualification": qualification, "parameters": parameters, "working_hours": hours,
    }  # fmt: skip


def _parameters(person: Json, key: str) -> Json:
    known = catalogue.of_owner(catalogue.load(), "executor")
    columns = st.columns(2)
    given = {}
    for position, parameter in enumerate(known):
        with columns[position % 2]:
            value = person["parameters"].get(parameter["key"], parameter["default"])
            given[parameter["key"]] = catalogue.ask(parameter, value, key=f"{key}_p_{parameter['key']}")
    had = person["parameters"]
    return {name: value for name, value in given.items() if value not in (None, "", []) or name in had}


def _hours(hours: Json | None, key: str) -> Any:
    """The hours of each day as text; what is returned reads them when the form was sent."""
    with st.expander(t("executors.schedule"), expanded=hours is not None):
        always = st.checkbox(t("executors.schedule_always"), value=hours is None, key=f"{key}_always")
        st.caption(t("executors.schedule_text"))
        days = (hours or {}).get("days", {day: [["09:00", "18:00"]] for day in DAYS[:5]})
        texts = {}
        columns = st.columns(2)
        for position, day in enumerate(DAYS):
            shown = ", ".join("-".join(interval) for interval in days.get(day, ()))
            texts[day] = columns[position % 2].text_input(
                t(f"executors.day.{day}"), value=shown, key=f"{key}_h_{day}"
            )
        off = st.text_input(
            t("executors.days_off"), value=", ".join((hours or {}).get("days_off", ())), key=f"{key}_off"
        )
    return lambda: None if always else read_hours(texts, off)


def read_hours(texts: dict[str, str], days_off: str) -> Json:
    """Working hours as the API takes them. Raises WrongHours."""
    days = {}
    for day, text in texts.items():
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not all(_INTERVAL.fullmatch(part) for part in parts):
            raise WrongHours(t("executors.schedule_wrong", day=t(f"executors.day.{day}"), text=text))
        if parts:
            days[day] = [[end.strip() for end in re.split("[-–—]", part)] for part in parts]
    return {"days": days, "days_off": [part.strip() for part in days_off.split(",") if part.strip()]}
