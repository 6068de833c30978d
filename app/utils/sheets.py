"""XLS, ODS and large XLSX as rows of values, by calamine. What a file may unpack to is checked by whoever calls."""

import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import TypeAlias

from app.messages.message import WrongInput, say
from app.utils.normal_form import nfc

Cell: TypeAlias = str | int | float | bool | None

ZIP, COMPOUND = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How XLSX and ODS, and how XLS begin."""


class SheetError(WrongInput):
    """The file is no spreadsheet that can be read, or has no such sheet; the message says what there is."""


def is_spreadsheet(content: bytes) -> bool:
    """Whether a file is one of these, whatever its name."""
    return content.startswith((ZIP, COMPOUND))


def read_sheets(content: bytes, sheet: str = "") -> Iterator[tuple[str, list[Sequence[Cell]]]]:
    """The sheets with their names, or the one that is named or numbered from 1. Raises SheetError."""
    from python_calamine import CalamineError, CalamineWorkbook  # of use to one file in some

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        for name in chosen(book.sheet_names, sheet):
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            yield nfc(name), [[plain(value) for value in row] for row in rows]
    except (CalamineError, OSError, ValueError) as error:
        if isinstance(error, SheetError):
            raise
        raise SheetError(
            say("it is no readable spreadsheet ({error})", error=error), say("save it again as XLSX")
        ) from None


def chosen(names: Sequence[str], sheet: str) -> Sequence[str]:
    """All sheets, or the one that is meant. Raises SheetError."""
    if not sheet:
        return names
    if sheet in names:
        return [sheet]
    if sheet.isascii() and sheet.isdigit() and 1 <= int(sheet) <= len(names):
        return [names[int(sheet) - 1]]
    raise SheetError(
        say("there is no sheet '{sheet}'", sheet=sheet[:50]),
        say("sheets are {names}", names=", ".join(names)[:500]),
    )


def plain(value: object) -> Cell:
    """A value of a spreadsheet as text, number, yes or no; a day without a time is a day."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return nfc(str(value))
