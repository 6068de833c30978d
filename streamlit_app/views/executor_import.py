"""A list of people from a file: read, shown with what would happen, then loaded whole or not at all."""

import csv
import io
from dataclasses import dataclass, field
from typing import Any

import openpyxl
import streamlit as st

from streamlit_app import session
from streamlit_app.client import Json
from streamlit_app.parts import catalogue, charts, notices, people
from streamlit_app.words import TABLE, t

_OWN = {
    "name": "executors.name", "external_id": "executors.external_id", "daily_limit": "executors.limit",
    "max_open": "executors.max_open", "qualification": "executors.qualification",
}  # fmt: skip
_NUMBERS = {"daily_limit", "max_open", "qualification"}
MOST_ROWS = 10_000


class Unreadable(ValueError):
    """The file is no table; the message says why."""


@dataclass
class Row:
    """A row of the file: the person it makes, what would happen, what is wrong."""

    number: int
    person: Json
    wrong: list[str] = field(default_factory=list)
    changed: list[str] | None = None  # None: new

    @property
    def what(self) -> str:
        """What would happen, in words."""
        if self.wrong:
            return t("executors.what.wrong", why="; ".join(self.wrong))
        if self.changed is None:
            return t("executors.what.new")
        if not self.changed:
            return t("executors.what.same")
        return t("executors.what.changed", fields=", ".join(self.changed))


def open_dialog() -> None:
    """Ask for a file, in a window of its own."""
    st.dialog(t("executors.import"), width="large")(_dialog)()


def _dialog() -> None:
    parameters = catalogue.of_owner(catalogue.load(), "executor")
    known = ", ".join(f"`{key}`" for key in [*_OWN, *(each["key"] for each in parameters)])
    st.markdown(t("executors.file_text", columns=known))
    st.download_button(
        t("executors.file_template"), charts.to_csv(_template(parameters)), "executors.csv", "text/csv",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip
    file = st.file_uploader(t("executors.file"), type=["csv", "xlsx"])
    if file is None:
        return
    try:
        header, lines = read(file.name, file.getvalue())
    except Unreadable as error:
        st.error(t("executors.file_unreadable", why=error), icon=":material/error:")
        return
    columns, ignored = match(header, parameters)
    if "name" not in columns.values():
        st.error(t("executors.file_no_name"), icon=":material/error:")
        return
    if ignored:
        st.warning(t("executors.file_ignored", columns=notices.plain(", ".join(ignored))))
    _preview(judge(lines, columns, parameters, people.load()))


def _preview(rows: list[Row]) -> None:
    if not rows:
        st.info(t("executors.file_empty"))
        return
    rows_shown = sorted(rows, key=lambda row: (not row.wrong, row.number))
    st.dataframe(
        {
            t("executors.row"): [row.number for row in rows_shown],
            t("executors.name"): [row.person.get("name", "") for row in rows_shown],
            t("executors.what"): [row.what for row in rows_shown],
        },
        hide_index=True,
        height=min(38 + 33 * len(rows), 380),
        column_config={t("executors.what"): st.column_config.TextColumn(width="large")},
    )
    wrong = sum(bool(row.wrong) for row in rows)
    if wrong:
        st.error(t("executors.import_wrong", n=wrong), icon=":material/error:")
        return
    if st.button(t("executors.import_do", n=len(rows)), type="primary"):
        with notices.told():
            body = {"pool_id": session.pool_id(), "executors": [row.person for row in rows]}
            made = session.api().post("/v1/executors/batch", body)
            from streamlit_app.views import executors

            executors.forget()
            notices.flash(t("executors.imported", n=len(made["executor_ids"])))
            st.rerun()


def read(name: str, content: bytes) -> tuple[list[str], list[list[Any]]]:
    """The header and the rows of a CSV or XLSX file. Raises Unreadable."""
    lines = _read_xlsx(content) if name.lower().endswith(".xlsx") else _read_csv(content)
    lines = [line for line in lines if any(cell not in (None, "") for cell in line)]
    if not lines:
        raise Unreadable(t("executors.file_empty"))
    if len(lines) > MOST_ROWS + 1:
        raise Unreadable(f"> {MOST_ROWS}")
    return [str(cell or "").strip() for cell in lines[0]], lines[1:]


def _read_xlsx(content: bytes) -> list[list[Any]]:
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        return [list(row) for row in book.worksheets[0].iter_rows(values_only=True, max_row=MOST_ROWS + 2)]
    except Exception as error:
        raise Unreadable(type(error).__name__) from error


def _read_csv(content: bytes) -> list[list[Any]]:
    for encoding in ("utf-8-sig", "cp1251"):  # the second is what older spreadsheets write in Russian
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Unreadable("UTF-8?")
    first = text.partition("\n")[0]
    delimiter = max(";,\t", key=first.count)
    try:
        return [list(row) for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    except csv.Error as error:
        raise Unreadable(str(error)) from error


def match(header: list[str], parameters: list[Json]) -> tuple[dict[int, str], list[str]]:
    """Which column is what: by key, or by label in either language; and the columns that are nothing."""
    names = {key.lower(): key for key in _OWN}
    for key, text in _OWN.items():
        names |= {label.lower(): key for label in TABLE[text]}
    for each in parameters:
        for label in (each["key"], each["label_ru"], each["label_en"]):
            if label:
                names.setdefault(label.lower(), f"parameters.{each['key']}")
    columns = {place: names[title.lower()] for place, title in enumerate(header) if title.lower() in names}
    return columns, [title for place, title in enumerate(header) if title and place not in columns]


def judge(
    lines: list[list[Any]], columns: dict[int, str], parameters: list[Json], known: list[Json]
) -> list[Row]:
    """What each row would do."""
    by_number = {each["external_id"]: each for each in known if each["external_id"]}
    by_key = {each["key"]: each for each in parameters}
    rows, seen = [], set()
    for number, line in enumerate(lines, 2):
        row = Row(number, {"parameters": {}})
        for place, column in columns.items():
            cell = line[place] if place < len(line) else None
            if cell not in (None, ""):
                _take(row, column, cell, by_key)
        if not row.person.get("name"):
            row.wrong.append(t("executors.wrong_name"))
        external = row.person.get("external_id")
        if external and external in seen:
            row.wrong.append(t("executors.wrong_twice", number=external))
        seen.add(external)
        if external in by_number:
            row.changed = _difference(row.person, by_number[external])
            row.person = _merged(row.person, by_number[external])
        rows.append(row)
    return rows


def _take(row: Row, column: str, cell: Any, parameters: dict[str, Json]) -> None:
    if column.startswith("parameters."):
        parameter = parameters[column.removeprefix("parameters.")]
        row.person["parameters"][parameter["key"]] = _value(row, parameter, cell)
    elif column in _NUMBERS:
        value = _number(row, column, cell)
        row.person[column] = int(value) if column == "max_open" and value is not None else value
    else:
        row.person[column] = _text(cell)


def _text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _number(row: Row, column: str, cell: Any) -> float | None:
    if isinstance(cell, int | float):
        return float(cell)
    try:
        return float(str(cell).replace(" ", "").replace("\u00a0", "").replace(",", "."))
    except ValueError:
        row.wrong.append(t("executors.wrong_number", column=column, text=cell))
        return None


def _value(row: Row, parameter: Json, cell: Any) -> Any:
    """A cell as this parameter takes it; options may be named by their labels."""
    kind = parameter["type"]
    if kind == "number":
        return _number(row, parameter["key"], cell)
    if kind == "boolean":
        return (
            cell if isinstance(cell, bool) else str(cell).strip().lower() in {"1", "true", "yes", "да", "+"}
        )
    if kind == "list":
        return [_option(parameter, part.strip()) for part in _text(cell).split(",") if part.strip()]
    return _option(parameter, _text(cell))


def _option(parameter: Json, text: str) -> Any:
    for option in parameter["options"]:
        if text.lower() in {
            str(option[name]).lower() for name in ("value", "label_ru", "label_en") if option.get(name)
        }:
            return option["value"]
    return text


def _difference(person: Json, known: Json) -> list[str]:
    own = [key for key in _OWN if key in person and person[key] != known[key]]
    values = known["parameters"]
    return own + [key for key, value in person["parameters"].items() if value != values.get(key)]


def _merged(person: Json, known: Json) -> Json:
    """What the file says, over what is known: a batch says everything of a person anew."""
    kept = {key: known[key] for key in (*_OWN, "active", "availability", "working_hours")}
    return kept | person | {"parameters": known["parameters"] | person["parameters"]}


def _template(parameters: list[Json]) -> dict[str, list[Any]]:
    example = {
        "name": "Анна Петрова",
        "external_id": "E-1",
        "daily_limit": 40,
        "max_open": 10,
        "qualification": 1,
    }
    columns: dict[str, list[Any]] = {key: [example[key]] for key in _OWN}
    for each in parameters:
        values = [str(option["value"]) for option in each["options"][:2]]
        columns[each["key"]] = [", ".join(values if each["type"] == "list" else values[:1])]
    return columns
