"""Parameters: the catalogue of what is known of tasks and executors, and safe changes of it."""

import re
from collections import Counter
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import plain
from streamlit_app.parts import catalogue, notices
from streamlit_app.words import t

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_TYPES = ("enum", "list", "number", "boolean", "string", "datetime")
_NEW: Json = {
    "label_ru": "", "label_en": "", "options": [], "required": False, "default": None, "minimum": None,
    "maximum": None, "open_options": False, "deprecated": False, "position": 0,
}  # fmt: skip


def show() -> None:
    """The page."""
    st.title(t("parameters.title"))
    st.markdown(t("parameters.text"))
    parameters = catalogue.load()
    uses = _uses()
    if session.may_change() and st.button(t("parameters.add"), icon=":material/add:", type="primary"):
        st.dialog(t("parameters.add"), width="large")(_add)()
    if not parameters:
        notices.empty(t("parameters.empty_title"), t("parameters.empty_text"), "tune")
        return
    for owner in ("task", "executor"):
        _table([each for each in parameters if each["owner"] == owner], owner, uses)


def _uses() -> Counter[str]:
    """How often the rules in force read each field."""
    items = session.api().get("/v1/rules", pool_id=session.pool_id(), state="active", limit=1)["items"]
    return Counter(_fields(items[0]["rules"])) if items else Counter()


def _fields(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["field"]] if isinstance(value.get("field"), str) else []
        return own + [path for each in value.values() for path in _fields(each)]
    if isinstance(value, list):
        return [path for each in value for path in _fields(each)]
    return []


def _table(parameters: list[Json], owner: str, uses: Counter[str]) -> None:
    st.subheader(t(f"parameters.of_{owner}"))
    if not parameters:
        st.caption(t("common.none"))
        return
    chosen = st.dataframe(
        {
            t("parameters.label"): [catalogue.label(each) for each in parameters],
            t("parameters.key"): [each["key"] for each in parameters],
            t("parameters.type"): [t(f"common.type.{each['type']}") for each in parameters],
            t("parameters.options"): [_allowed(each) for each in parameters],
            t("parameters.marks"): [_marks(each) for each in parameters],
            t("parameters.used_by"): [_used(each, uses) for each in parameters],
        },
        hide_index=True, on_select="rerun", selection_mode="single-row", height="content",
        key=f"parameters_{owner}_{st.session_state.get('parameters_seen', 0)}",
        column_config={
            t("parameters.label"): st.column_config.TextColumn(width=150),
            t("parameters.key"): st.column_config.TextColumn(width=130),
            t("parameters.options"): st.column_config.TextColumn(width=220),
            t("parameters.marks"): st.column_config.TextColumn(width=95),
        },
    )  # fmt: skip
    if chosen.selection.rows and session.may_change():
        parameter = parameters[chosen.selection.rows[0]]
        st.session_state.parameters_seen = st.session_state.get("parameters_seen", 0) + 1
        st.dialog(catalogue.label(parameter), width="large")(_edit)(parameter, bool(uses[_path(parameter)]))


def _path(parameter: Json) -> str:
    return f"{parameter['owner']}.parameters.{parameter['key']}"


def _used(parameter: Json, uses: Counter[str]) -> str:
    count = uses[_path(parameter)]
    return t("parameters.used_rules", n=count) if count else t("parameters.unused")


def _marks(parameter: Json) -> str:
    """Summary of a parameter in a line."""
    marks = [name for name in ("required", "deprecated") if parameter[name]]
    return ", ".join(t(f"parameters.{name}").lower() for name in marks)


def _allowed(parameter: Json) -> str:
    if parameter["options"]:
        return ", ".join(
            catalogue.option_label(parameter, option["value"]) for option in parameter["options"]
        )
    if parameter["minimum"] is not None or parameter["maximum"] is not None:
        return _bounds(parameter["minimum"], parameter["maximum"])
    return t("common.any")


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return t("parameters.bounds_to", high=plain(high))
    if high is None:
        return t("parameters.bounds_from", low=plain(low))
    return t("parameters.bounds", low=plain(low), high=plain(high))


def _add() -> None:
    left, right = st.columns(2)
    owner = left.segmented_control(
        t("parameters.owner"), ["task", "executor"], default="task", required=True,
        format_func=lambda each: t(f"common.owner.{each}"),
    )  # fmt: skip
    kind = right.selectbox(
        t("parameters.type"),
        _TYPES,
        format_func=lambda each: t(f"common.type.{each}"),
        help=t("parameters.type_help"),
    )
    key = st.text_input(t("parameters.key") + " *", help=t("parameters.key_help"))
    values = _fields_of(_NEW | {"type": kind, "key": "new", "owner": owner})
    if st.button(t("common.add"), type="primary"):
        if not _KEY.fullmatch(key):
            st.warning(t("parameters.key_wrong"))
            return
        body = {"pool_id": session.pool_id(), "owner": owner, "key": key, "type": kind} | values
        with notices.told():
            session.api().post("/v1/parameters", body)
            _done(t("parameters.saved"))


def _edit(parameter: Json, used: bool) -> None:
    st.caption(f"`{_path(parameter)}` · {t('common.type.' + parameter['type'])}")
    values = _fields_of(parameter)
    with st.container(horizontal=True):
        save = st.button(t("common.save"), type="primary")
        with st.popover(t("parameters.delete"), icon=":material/delete:"):
            st.markdown(t("parameters.delete_used" if used else "parameters.delete_text"))
            delete = not used and st.button(t("common.confirm"), key="delete_parameter")
    path = f"/v1/parameters/{parameter['parameter_id']}"
    with notices.told():
        if save:
            session.api().patch(path, values)
            _done(t("parameters.saved"))
        if delete:
            session.api().delete(path)
            _done(t("parameters.deleted"))


def _done(text: str) -> None:
    notices.flash(text)
    st.rerun()


def _fields_of(parameter: Json) -> Json:
    """Inputs for what may be changed of a parameter."""
    left, right = st.columns(2)
    values: Json = {
        "label_ru": left.text_input(t("parameters.label_ru"), value=parameter["label_ru"]),
        "label_en": right.text_input(t("parameters.label_en"), value=parameter["label_en"]),
        "position": parameter["position"],
    }
    kind = parameter["type"]
    values["options"], values["open_options"] = [], False
    if kind in {"enum", "list"}:
        values["options"] = _ask_options(parameter)
        values["open_options"] = st.checkbox(
            t("parameters.open_options"),
            value=parameter["open_options"],
            help=t("parameters.open_options_help"),
        )
    low, high = st.columns(2)
    is_number = kind == "number"
    values["minimum"] = (
        low.number_input(t("parameters.minimum"), value=parameter["minimum"], format="%g")
        if is_number
        else None
    )
    values["maximum"] = (
        high.number_input(t("parameters.maximum"), value=parameter["maximum"], format="%g")
        if is_number
        else None
    )
    asked = (
        parameter
        | values
        | {"label_ru": t("parameters.default"), "label_en": t("parameters.default"), "required": False}
    )
    default = catalogue.ask(asked, parameter["default"], key=f"default_{parameter['key']}_{kind}")
    values["default"] = None if default in ("", []) else default
    first, second = st.columns(2)
    values["required"] = first.checkbox(
        t("parameters.required"), value=parameter["required"], help=t("parameters.required_help")
    )
    values["deprecated"] = second.checkbox(
        t("parameters.deprecated"), value=parameter["deprecated"], help=t("parameters.deprecated_help")
    )
    return values


def _ask_options(parameter: Json) -> list[Json]:
    st.markdown(f"**{t('parameters.options')}**")
    names = {"value": "option_value", "label_ru": "option_ru", "label_en": "option_en"}
    rows = st.data_editor(
        [{name: option.get(name, "") for name in names} for option in parameter["options"]]
        or [dict.fromkeys(names, "")],
        num_rows="dynamic",
        hide_index=True,
        key=f"options_{parameter['key']}",
        column_config={
            name: st.column_config.TextColumn(t(f"parameters.{word}")) for name, word in names.items()
        },
    )
    return [
        {name: row.get(name) or "" for name in names} for row in rows if str(row.get("value") or "").strip()
    ]
