"""The pool's parameters as people see them: labels, options, values, and the right input for each type."""

from datetime import datetime
from typing import Any

import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.formatting import moment, plain
from streamlit_app.words import t


def load(pool_id: int | None = None) -> list[Json]:
    """The parameters of a pool, those in use first as the catalogue orders them."""
    items: list[Json] = session.api().get("/v1/parameters", pool_id=pool_id or session.pool_id())["items"]
    return sorted(items, key=lambda each: (each["owner"], each["position"], each["parameter_id"]))


def of_owner(parameters: list[Json], owner: str) -> list[Json]:
    """Those of tasks, or of executors."""
    return [each for each in parameters if each["owner"] == owner and not each["deprecated"]]


def label(parameter: Json) -> str:
    """The parameter's name in this language, its key where it has none."""
    first, second = ("label_ru", "label_en") if session.language() == "ru" else ("label_en", "label_ru")
    return str(parameter[first] or parameter[second] or parameter["key"])


def option_label(parameter: Json, value: Any) -> str:
    """An option's name in this language."""
    for option in parameter["options"]:
        if option["value"] == value:
            first, second = (
                ("label_ru", "label_en") if session.language() == "ru" else ("label_en", "label_ru")
            )
            return str(option.get(first) or option.get(second) or value)
    return shown(value)


def shown(value: Any, parameter: Json | None = None) -> str:
    """A value as a person reads it."""
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return t("common.yes") if value else t("common.no")
    if isinstance(value, list):
        return ", ".join(option_label(parameter, each) if parameter else shown(each) for each in value) or "—"
    if parameter is not None and parameter["options"]:
        return option_label(parameter, value)
    if isinstance(value, int | float):
        return plain(value, 3)
    if parameter is not None and parameter["type"] == "datetime":
        try:
            return moment(value)
        except ValueError:
            return str(value)
    return str(value)


def summary(values: Json, parameters: list[Json], owner: str, most: int = 4) -> str:
    """The first few values of a thing in one line."""
    known = [each for each in of_owner(parameters, owner) if values.get(each["key"]) not in (None, "", [])]
    return " · ".join(shown(values[each["key"]], each) for each in known[:most])


def table(values: Json, parameters: list[Json], owner: str) -> list[tuple[str, str]]:
    """All values with their labels; those that the catalogue does not know come last under their keys."""
    known = {each["key"]: each for each in parameters if each["owner"] == owner}
    rows = [(label(each), shown(values[key], each)) for key, each in known.items() if key in values]
    return rows + [(key, shown(value)) for key, value in values.items() if key not in known]


def ask(parameter: Json, value: Any, *, key: str, optional: bool = True, bare: bool = False) -> Any:
    """An input for a value of this parameter; None where it is left empty. `bare`: its label is not shown."""
    name = label(parameter) + (" *" if parameter["required"] and not bare else "")
    seen: Any = "collapsed" if bare else "visible"
    kind, options = parameter["type"], [each["value"] for each in parameter["options"]]

    def told(each: Any) -> str:
        return option_label(parameter, each)

    if kind == "list" and options:
        chosen = [each for each in value or () if each in options]
        return st.multiselect(name, options, default=chosen, key=key, format_func=told, placeholder="—",
                              label_visibility=seen)  # fmt: skip
    if kind == "list":
        text = st.text_input(name, value=", ".join(map(str, value or ())), key=key, label_visibility=seen)
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == "enum" or options:
        index = options.index(value) if value in options else None
        return st.selectbox(name, options, index=index, key=key, format_func=told, placeholder="—",
                            label_visibility=seen)  # fmt: skip
    if kind == "boolean":
        choices = [None, True, False] if optional else [True, False]
        index = choices.index(value) if value in choices else 0
        return st.selectbox(name, choices, index=index, key=key, format_func=shown, label_visibility=seen)
    if kind == "number":
        return st.number_input(
            name, value=None if value is None else float(value), min_value=parameter["minimum"],
            max_value=parameter["maximum"], key=key, step=1.0, format="%g", label_visibility=seen,
        )  # fmt: skip
    if kind == "datetime":
        form = date_form()
        at = st.datetime_input(name, value=_local(value), key=key, label_visibility=seen, format=form)
        return None if at is None else at.replace(tzinfo=session.zone()).isoformat()
    return st.text_input(name, value=value or "", key=key, label_visibility=seen) or None


def date_form() -> Any:
    """How an input of a date writes it."""
    return "DD.MM.YYYY" if session.language() == "ru" else "YYYY-MM-DD"


def _local(value: Any) -> datetime | None:
    if not value:
        return None
    return datetime.fromisoformat(value).astimezone(session.zone()).replace(tzinfo=None)
