"""Tables that people send: CSV as spreadsheets write it (UTF-8 or Windows-1251; comma, semicolon or tab), and XLSX.

Everything is bounded before it is read: bytes, rows, columns, the length of a cell, and what an XLSX, which is a zip
of XML, unpacks to. Entities and external references in XML are refused by defusedxml, which openpyxl uses.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from app.errors import FieldError, Invalid, TooLarge
from app.services.executors.xml_bounds import Bounds, TooMuch

Cell: TypeAlias = str | int | float | bool | None

MOST_BYTES = 5 * 1024 * 1024
MOST_ROWS = 10_000
MOST_COLUMNS = 200
LONGEST_CELL = 10_000
_MOST_UNPACKED = 64 * 1024 * 1024
_MOST_PARTS = 500
_MOST_ELEMENTS = 2_000_000
"""Elements of all sheets and texts: 10,000 rows of 50 filled cells have half as many."""
_MOST_IN_A_ROW = 20_000
"""Spreadsheets write up to 16,384 empty cells where somebody coloured a whole row."""
_MOST_ELSEWHERE = 50_000
"""Elements of styles and the like, of which openpyxl makes objects."""
_DELIMITERS = (";", ",", "\t")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read: names of the columns, rows with the line they stand in, and how it was written."""

    columns: Sequence[str]
    rows: Sequence[tuple[int, Sequence[Cell]]]
    form: str


def read_table(content: bytes) -> Table:
    """Read a file, whatever its name says it is. Raises Invalid, TooLarge."""
    if len(content) > MOST_BYTES:
        raise TooLarge(f"file: larger than {MOST_BYTES // 1024 // 1024} MB; send it in parts.")
    if content.startswith(b"PK\x03\x04"):
        return _table(_read_xlsx(content), "xlsx")
    text, encoding = _decoded(content)
    delimiter = _delimiter(text)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return _table(_read_csv(lines), f"csv, {encoding}, {'tab' if delimiter == chr(9) else delimiter}")


def _wrong(reason: str, remedy: str) -> Invalid:
    return Invalid(f"file: {reason}; {remedy}.", [FieldError("file", reason, remedy)])


def _decoded(content: bytes) -> tuple[str, str]:
    if b"\x00" in content:
        raise _wrong("it is no text and no XLSX", "save it as CSV or XLSX")
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            return content.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    raise _wrong("neither UTF-8 nor Windows-1251", "save it as CSV UTF-8")


def _delimiter(text: str) -> str:
    """The one that stands most often in the first line."""
    first = text.lstrip("\r\n").partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _read_csv(lines: Any) -> Iterator[tuple[int, Sequence[Cell]]]:
    try:
        for row in lines:
            yield lines.line_num, row
    except csv.Error as error:
        raise _wrong(f"line {lines.line_num}: {error}", "correct the quotes") from error


def _read_xlsx(content: bytes) -> Iterator[tuple[int, Sequence[Cell]]]:
    from openpyxl import load_workbook  # with what it brings, megabytes that few requests need

    _check_parts(content)
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what a file says of its own size is not to be trusted
        rows = sheet.iter_rows(max_col=MOST_COLUMNS + 1, max_row=MOST_ROWS + 2, values_only=True)
        for number, row in enumerate(rows, start=1):
            yield number, [_plain(value) for value in row]
    except (Invalid, GeneratorExit):
        raise
    except Exception as error:  # whatever a parser says to a file made by hand: it cannot be read
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Invalid:
    return _wrong(f"it is no readable XLSX ({type(error).__name__})", "save it again as XLSX")


def _check_parts(content: bytes) -> None:
    """Refuse a zip that unpacks to more than a table needs, in bytes or in elements."""
    sheets, others = Bounds(_MOST_ELEMENTS, _MOST_IN_A_ROW), Bounds(_MOST_ELSEWHERE, _MOST_ELSEWHERE)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
                raise TooLarge("file: it unpacks to more than 64 MB; send only the table.")
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    large = part.filename.startswith("xl/worksheets/") or "sharedStrings" in part.filename
                    with archive.open(part) as file:
                        (sheets if large else others).check(file)
    except TooLarge:
        raise
    except TooMuch as error:
        raise TooLarge(f"file: {error}; send only the table, saved anew.") from error
    except Exception as error:  # likewise: broken, locked, packed in some other way, no XML
        raise _unreadable(error) from error


def _plain(value: Any) -> Cell:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _table(lines: Iterator[tuple[int, Sequence[Cell]]], form: str) -> Table:
    columns: list[str] = []
    rows: list[tuple[int, Sequence[Cell]]] = []
    for number, cells in lines:
        _check_cells(number, cells)
        if all(cell in (None, "") for cell in cells):
            continue
        if not columns:
            columns = _columns(cells)
            continue
        if len(rows) == MOST_ROWS:
            raise TooLarge(f"file: more than {MOST_ROWS} rows; send it in parts.")
        rows.append((number, cells))
    if not columns:
        raise _wrong("it is empty", "send a first line with the names of the columns")
    return Table(columns, rows, form)


def _check_cells(number: int, cells: Sequence[Cell]) -> None:
    if len(cells) > MOST_COLUMNS and any(cell not in (None, "") for cell in cells[MOST_COLUMNS:]):
        raise _wrong(f"line {number}: more than {MOST_COLUMNS} columns", "leave out what is not needed")
    if any(isinstance(cell, str) and len(cell) > LONGEST_CELL for cell in cells):
        raise _wrong(f"line {number}: a cell longer than {LONGEST_CELL} characters", "shorten it")


def _columns(cells: Sequence[Cell]) -> list[str]:
    names = [str(cell or "").strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _wrong(f"the column '{repeated[0]}' stands twice", "leave one of them out")
    return names
