"""A list of people from a file: the API reads it and says what would happen, then loads it whole or not at all."""

import re
from typing import Any

import streamlit as st

from app.utils.encodings import LIKELY
from app.utils.written_dates import FORMATS
from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import catalogue, notices
from streamlit_app.words import t

_PATH = "/v1/executors/import"
OWN = {
    "name": "executors.name", "external_id": "executors.external_id", "daily_limit": "executors.limit",
    "max_open": "executors.max_open", "qualification": "executors.qualification", "active": "executors.in_team",
    "availability": "executors.availability", "working_hours": "executors.hours",
}  # fmt: skip
_PLACE = re.compile(r"line (\d+), (.+)", re.DOTALL)
_FORMS = ("csv", "xlsx")
_SHEETS = ("xlsx", "ods", "xls")
_READ = (*_FORMS, "ods", "xls", "txt", "tsv")
_KINDS = (
    "text", "string", "number", "boolean", "list", "enum", "datetime", "working hours", "availability",
    "part of the name",
)  # fmt: skip
_ENCODINGS = ("utf-8", "utf-16", *LIKELY)


def open_dialog() -> None:
    """Ask for a file, in a window of its own."""
    st.dialog(t("executors.import"), width="large")(_dialog)()


def _dialog() -> None:
    parameters = catalogue.of_owner(catalogue.load(), "executor")
    names = _names(parameters)
    st.markdown(t("executors.file_text", columns=", ".join(f"`{name}`" for name in names.values())))
    with st.container(horizontal=True):
        for form in _FORMS:
            st.download_button(
                t("executors.file_template", form=form.upper()), _template(form), f"executors.{form}",
                icon=":material/download:", type="tertiary", on_click="ignore", key=f"template-{form}",
            )  # fmt: skip
    file = st.file_uploader(t("executors.file"), type=_READ)
    if file is None:
        return
    reading = _reading(file.name, file.file_id)
    with notices.told():
        seen = _send(file.name, file.getvalue(), reading, dry_run=True)
        _preview(seen, names)
        if seen["rows"] and not seen["errors"]:
            _confirm(file.name, file.getvalue(), reading, seen)


def _reading(name: str, key: str) -> Json:
    """How the file is to be read, where it does not say so itself or was understood in a wrong way.

    `key` is the file's own: what was said of one is not taken for the next.
    """
    with st.expander(t("executors.file_reading"), icon=":material/tune:"):
        left, right = st.columns(2)
        reading: Json = {}
        if name.lower().endswith(_SHEETS):
            reading["sheet"] = left.text_input(
                t("executors.file_sheet"), help=t("executors.file_sheet_help"), key=f"sheet-{key}"
            ).strip()
        else:
            reading["encoding"] = left.selectbox(
                t("executors.file_encoding"),
                ("", *_ENCODINGS),
                format_func=_or_found_out,
                key=f"encoding-{key}",
            )
        reading["date_format"] = right.selectbox(
            t("executors.file_dates"),
            ("", *FORMATS),
            format_func=_or_found_out,
            help=t("executors.file_dates_help"),
            key=f"dates-{key}",
        )
        reading["heading_row"] = left.number_input(
            t("executors.file_heading_row"),
            0,
            10_000,
            0,
            help=t("executors.file_heading_row_help"),
            key=f"heading-{key}",
        )
    return {key: value for key, value in reading.items() if value}


def _or_found_out(choice: str) -> str:
    return choice or t("executors.file_found_out")


def _names(parameters: list[Json]) -> dict[str, str]:
    """Labels of columns, by their keys."""
    own = {key: t(text) for key, text in OWN.items()}
    return own | {each["key"]: catalogue.label(each) for each in parameters}


def _template(form: str) -> bytes:
    return session.api().download(
        f"{_PATH}/template", format=form, pool_id=session.pool_id(), lang=session.language()
    )


def _send(name: str, content: bytes, reading: Json, *, dry_run: bool) -> Json:
    sent: Json = session.api().upload(
        _PATH, name, content, pool_id=session.pool_id(), dry_run=dry_run, **reading
    )
    return sent


def _preview(seen: Json, names: dict[str, str]) -> None:
    if not seen["rows"]:
        st.info(t("executors.file_empty"))
        return
    if seen["unknown_columns"]:
        st.warning(
            t("executors.file_unknown", columns=notices.plain(", ".join(seen["unknown_columns"]))),
            icon=":material/help:",
        )
    _columns(seen, names)
    faults = _faults(seen, names)
    rows = faults + [(each["line"], each["name"], _what(each, names)) for each in seen["outcomes"]]
    columns: dict[str, list[Any]] = {
        t("executors.row"): [line for line, _, _ in rows],
        t("executors.name"): [name for _, name, _ in rows],
        t("executors.what"): [what for _, _, what in rows],
    }
    st.dataframe(
        columns,
        hide_index=True,
        height=min(38 + 35 * len(rows), 380),
        column_config={
            t("executors.row"): st.column_config.NumberColumn(width="small"),
            t("executors.what"): st.column_config.TextColumn(width="large"),
        },
        alt=t("executors.import"),
    )
    wrong = len({line for line, _, _ in faults})
    if wrong:
        st.error(t("executors.import_wrong", n=wrong), icon=":material/error:")


def _columns(seen: Json, names: dict[str, str]) -> None:
    """How each column was read, and what was guessed of the file."""
    for note in seen["notes"]:
        st.info(notices.plain(note), icon=":material/help:")
    with st.expander(t("executors.file_columns")):
        st.dataframe(
            {
                t("executors.file_heading"): [each["heading"] for each in seen["columns"]],
                t("executors.file_field"): [
                    names.get(each["field"], each["field"]) for each in seen["columns"]
                ],
                t("executors.file_read_as"): [_form(each["read_as"]) for each in seen["columns"]],
                t("executors.file_example"): [each["example"] for each in seen["columns"]],
            },
            hide_index=True,
            alt=t("executors.file_columns"),
        )


def _form(read_as: str) -> str:
    """The form of a column in the page's language; formats of dates have one name in both."""
    kind, percent, _ = read_as.partition(", ")
    told = t(f"executors.form.{kind}") if kind in _KINDS else kind
    return told + (t("executors.form.percent") if percent else "")


def _faults(seen: Json, names: dict[str, str]) -> list[tuple[int, str, str]]:
    """The wrong cells, first of all: their line, the column, what is wrong and what to do."""
    found = []
    for each in seen["errors"]:
        place = _PLACE.fullmatch(each["field"])
        line, column = (int(place[1]), place[2]) if place else (0, each["field"])
        why = " — ".join(filter(None, (each["reason"], each["remedy"])))
        found.append((line, "", t("executors.what.wrong", column=names.get(column, column), why=why)))
    return found


def _what(outcome: Json, names: dict[str, str]) -> str:
    fields = ", ".join(names.get(key, key) for key in outcome["fields"])
    return t(f"executors.what.{outcome['what']}", fields=fields)


def _confirm(name: str, content: bytes, reading: Json, seen: Json) -> None:
    counts = {what: seen[what] for what in ("added", "changed", "unchanged")}
    st.markdown(t("executors.import_counts", **counts))
    if not (seen["added"] or seen["changed"]):
        return
    if st.button(t("executors.import_do", n=seen["added"] + seen["changed"]), type="primary"):
        done = _send(name, content, reading, dry_run=False)
        from streamlit_app.views.executors import page as executors

        executors.forget()
        notices.flash(t("executors.imported", added=done["added"], changed=done["changed"]))
        st.rerun()
