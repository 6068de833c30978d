"""Files that spreadsheets open: the one writer of CSV, and text of others, which must never run as a formula."""

import csv
import io
import math
import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""What begins a formula. Programs with an East Asian language take the full-width and small forms too."""
_SKIPPED = r'\s"\x00\u200b-\u200f\u2060\ufeff'
"""Space, quotes and what is invisible: programs skip them before a formula."""
_BEGINS = re.compile(rf"[\t\r\n]|[{_SKIPPED}]*[{_SIGNS}]")
_HOLDS = re.compile(rf"([;,\t\r\n][{_SKIPPED}]*)(?=[{_SIGNS}])")


def harmless(text: str) -> str:
    """Return the text as a spreadsheet shows it without running it: apostrophes stand before what looks like a formula.

    A sign after `;`, a comma, a tab or a line break counts as well: a program that takes another separator than the
    file has makes a cell of what follows. Text that was made harmless stays as it is.
    """
    held = _HOLDS.sub(r"\1'", text)
    return f"'{held}" if _BEGINS.match(held) else held


Language = Literal["ru", "en"]
_BOM = "\ufeff"


def csv_text(
    rows: Iterable[Iterable[object]], language: Language | None = None, *, begins: bool = True
) -> str:
    """Rows as CSV: for programs, or for the spreadsheet of a person who reads this language.

    A Russian spreadsheet expects `;` between cells and a decimal comma, an English one `,` and a point; both know
    UTF-8 by the mark at the beginning of the file (`begins`: these rows stand there), and take no time with an offset
    for a time, so the offset is left out. Without a language nothing of that is done. Text is made harmless.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";" if language == "ru" else ",", lineterminator="\r\n")
    writer.writerows([_written(cell, language) for cell in row] for row in rows)
    return (_BOM if begins and language else "") + text.getvalue()


def _written(cell: object, language: Language | None) -> object:
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, float):
        return _number(cell, language)
    if isinstance(cell, datetime) and language:
        return cell.replace(tzinfo=None).isoformat(" ")
    return cell.isoformat() if isinstance(cell, date) else cell


def _number(number: float, language: Language | None) -> str:
    """Up to six decimals, and never an exponent, which spreadsheets round."""
    if not math.isfinite(number):
        return ""
    plain = f"{number:.6f}".rstrip("0").rstrip(".")
    return plain.replace(".", ",") if language == "ru" else plain
