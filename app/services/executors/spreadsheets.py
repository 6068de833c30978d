"""Tables that people send: CSV as spreadsheets write it, in any usual encoding, XLSX, ODS and XLS.

Everything is bounded before it is read: bytes, rows, columns, the length of a cell, and what an XLSX, which is a zip
of XML, unpacks to. Entities and external references in XML are refused by defusedxml, which openpyxl uses.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.errors import Invalid, TooLarge
from app.messages.message import Message, say
from app.services.executors.xml_bounds import BeyondBounds, XmlBounds, check_repeats
from app.utils.encodings import EncodingError, decode
from app.utils.sheets import ZIP, Cell, SheetError, chosen, is_spreadsheet, plain, read_sheets

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
_DELIMITERS = (";", ",", "\t", "|")
_HEADINGS_WITHIN = 20
"""Rows among which the headings are looked for: titles, dates and empty lines may stand before them."""
_FORMULA_WITHOUT_VALUE = re.compile(
    rb'<c\b[^>]*?\br="([A-Z]{1,3}\d{1,7})"[^>]*>\s*<f\b(?:[^>]*/>|[^>]*>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>'
)

_MARKUP = re.compile(rb"[\xef\xbb\xbf\xff\xfe\s]*(<\s*[!?a-z]|[\[{]\s*[\[{\"])", re.IGNORECASE)
"""How files begin that are no table of text; systems of personnel give HTML the name of XLS."""

Lines = Iterable[tuple[int, Sequence[Cell]]]
Heading = Callable[[Sequence[str]], bool]
"""Whether these are the headings of the table that is looked for."""


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """What the sender says of a file that does not say it itself; empty: found out. Numbers are counted from 1."""

    encoding: str = ""
    sheet: str = ""
    heading_row: int = 0


_AS_FOUND = SheetOptions()


@dataclass(frozen=True, slots=True)
class ReadTable:
    """A table as it was read: names of the columns, rows with the line they stand in, how it was written.

    `said` tells what was guessed.
    """

    columns: Sequence[str]
    rows: Sequence[tuple[int, Sequence[Cell]]]
    form: str
    said: Sequence[Message] = ()


def read_table(content: bytes, options: SheetOptions = _AS_FOUND, is_heading: Heading = any) -> ReadTable:
    """Read a file, whatever its name says it is. Raises Invalid, TooLarge.

    Of several sheets the first one with a row that `is_heading` is read; where none has it, the first one that holds
    anything, from its first row on.
    """
    if len(content) > MOST_BYTES:
        raise TooLarge(say("file: larger than {most} MB; send it in parts.", most=MOST_BYTES // 1024 // 1024))
    said: list[Message] = []
    if _MARKUP.match(content):
        raise _wrong(
            say("it is HTML, XML or JSON, whatever its name says"),
            say("open it in a spreadsheet, save it as XLSX"),
        )
    if not is_spreadsheet(content):
        if options.sheet:
            raise _wrong(say("a text file has no sheets"), say("leave `sheet` out"))
        form, lines = _text_lines(content, options, said)
        return _table(lines, form, options, is_heading, said)
    if options.encoding:
        raise _wrong(say("a spreadsheet has an encoding of its own"), say("leave `encoding` out"))
    return _sheet_table(content, options, is_heading, said)


def _sheet_table(
    content: bytes, options: SheetOptions, is_heading: Heading, said: list[Message]
) -> ReadTable:
    form, sheets = _sheets(content, options)
    read: list[tuple[str, list[tuple[int, Sequence[Cell]]]]] = []
    for name, rows in sheets:
        lines = list(_bounded(rows))
        if not any(_filled(cells) for _, cells in lines):
            continue
        heads = [cells for _, cells in lines[:_HEADINGS_WITHIN]]
        if options.sheet or options.heading_row or any(is_heading(_names(cells)) for cells in heads):
            if read:
                said.append(say("read from the sheet '{name}'", name=name))
            return _table(lines, form, options, is_heading, said)
        read.append((name, lines))
    if not read:
        raise _wrong(say("it is empty"), say("send a first line with the names of the columns"))
    return _table(read[0][1], form, options, is_heading, said)


def _sheets(content: bytes, options: SheetOptions) -> tuple[str, Iterator[tuple[str, Lines]]]:
    """The kind of a spreadsheet, and its sheets or the one that is meant. Raises Invalid, TooLarge."""
    try:
        if not content.startswith(ZIP):
            return "xls", _numbered(read_sheets(content, options.sheet))
        if _check_parts(content):
            return "ods", _numbered(read_sheets(content, options.sheet))
        return "xlsx", _read_xlsx(content, options.sheet)
    except SheetError as error:
        raise _wrong(error.reason, error.remedy) from error


def _numbered(sheets: Iterator[tuple[str, list[Sequence[Cell]]]]) -> Iterator[tuple[str, Lines]]:
    try:
        for name, rows in sheets:
            yield name, enumerate(rows, start=1)
    except SheetError as error:
        raise _wrong(error.reason, error.remedy) from error


def _bounded(rows: Lines) -> Iterator[tuple[int, Sequence[Cell]]]:
    """As many rows as a table may have, and one that tells of more."""
    return islice(iter(rows), MOST_ROWS + _HEADINGS_WITHIN + 2)


def _filled(cells: Sequence[Cell]) -> bool:
    """Whether there is more in a row than nothing and blanks."""
    return any(bool(cell.strip()) if isinstance(cell, str) else cell is not None for cell in cells)


def _text_lines(content: bytes, options: SheetOptions, said: list[Message]) -> tuple[str, Lines]:
    try:
        text, encoding, guessed = decode(content, options.encoding)
    except EncodingError as error:
        raise _wrong(error.reason, error.remedy) from error
    if guessed:
        said.append(say("read as {encoding}; if letters look wrong, name its encoding", encoding=encoding))
    first, _, rest = text.lstrip("\r\n").partition("\n")
    if re.fullmatch(r"sep=.\s*", first, re.IGNORECASE):
        delimiter, text, skipped = first[4], rest, 1
    else:
        delimiter, skipped = _delimiter(text), 0
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    form = f"csv, {encoding}, {'tab' if delimiter == chr(9) else delimiter}"
    return form, ((number + skipped, row) for number, row in _read_csv(lines))


def _wrong(reason: Message, remedy: Message) -> Invalid:
    return Invalid.at("file", reason, remedy)


def _delimiter(text: str) -> str:
    """The one that stands most often in the headings: in the first line that has any of them."""
    lines = text[: LONGEST_CELL * 10].splitlines()[:_HEADINGS_WITHIN]
    first = next((line for line in lines if any(each in line for each in _DELIMITERS)), "")
    return max(_DELIMITERS, key=first.count)


def _read_csv(lines: Any) -> Iterator[tuple[int, Sequence[Cell]]]:
    try:
        for row in lines:
            yield lines.line_num, row
    except csv.Error as error:
        raise _wrong(
            say("line {line}: {error}", line=lines.line_num, error=error), say("correct the quotes")
        ) from error


def _read_xlsx(content: bytes, wanted: str) -> Iterator[tuple[str, Lines]]:
    from openpyxl import load_workbook  # with what it brings, megabytes that few requests need

    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        names = [sheet.title for sheet in book.worksheets]
        for name in chosen(names, wanted):
            sheet = book.worksheets[names.index(name)]
            sheet.reset_dimensions()  # what a file says of its own size is not to be trusted
            _check_formulas(content, sheet, name)
            rows = sheet.iter_rows(
                max_col=MOST_COLUMNS + 1, max_row=MOST_ROWS + _HEADINGS_WITHIN + 2, values_only=True
            )
            yield (
                name,
                [(number, [plain(value) for value in row]) for number, row in enumerate(rows, start=1)],
            )
    except (Invalid, GeneratorExit):
        raise
    except SheetError as error:
        raise _wrong(error.reason, error.remedy) from error
    except Exception as error:  # whatever a parser says to a file made by hand: it cannot be read
        raise _unreadable(error) from error


def _check_formulas(content: bytes, sheet: Any, name: str) -> None:
    """Refuse formulas that no program has computed: their cells would be read as empty."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        part = archive.read(sheet._worksheet_path.removeprefix("/"))
    found = _FORMULA_WITHOUT_VALUE.search(part)
    if found is not None:
        cell = found[1].decode()
        raise _wrong(
            say("the formula in {cell} of '{name}' has no value", cell=cell, name=name),
            say("open and save it in a spreadsheet program"),
        )


def _unreadable(error: Exception) -> Invalid:
    return _wrong(
        say("it is no readable XLSX ({error})", error=type(error).__name__), say("save it again as XLSX")
    )


def _check_parts(content: bytes) -> bool:
    """Refuse a zip that unpacks to more than a table needs, in bytes or in elements; returns whether it is an ODS."""
    sheets, others = XmlBounds(_MOST_ELEMENTS, _MOST_IN_A_ROW), XmlBounds(_MOST_ELSEWHERE, _MOST_ELSEWHERE)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
                raise TooLarge(say("file: it unpacks to more than 64 MB; send only the table."))
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    large = _is_large(part.filename)
                    with archive.open(part) as file:
                        (sheets if large else others).check(file)
            names = {part.filename for part in parts}
            is_ods = "content.xml" in names and "xl/workbook.xml" not in names
            if is_ods:
                with archive.open("content.xml") as file:
                    check_repeats(file, MOST_ROWS + _HEADINGS_WITHIN, MOST_COLUMNS)
            return is_ods
    except TooLarge:
        raise
    except BeyondBounds as error:
        raise TooLarge(say("file: {error}; send only the table, saved anew.", error=error)) from error
    except Exception as error:  # likewise: broken, locked, packed in some other way, no XML
        raise _unreadable(error) from error


def _is_large(part: str) -> bool:
    return part.startswith("xl/worksheets/") or "sharedStrings" in part or part == "content.xml"


def _table(
    lines: Lines, form: str, options: SheetOptions, is_heading: Heading, said: list[Message]
) -> ReadTable:
    """The rows below the headings. Raises Invalid, TooLarge."""
    given = []
    for number, cells in lines:
        _check_cells(number, cells)
        if _filled(cells) or number == options.heading_row:
            given.append((number, cells))
        if len(given) > MOST_ROWS + _HEADINGS_WITHIN:
            raise _too_many_rows()
    place = _heading_place(given, options, is_heading)
    number, cells = given[place]
    if place and not options.heading_row:
        said.append(say("headings read from line {number}", number=number))
    rows = given[place + 1 :]
    if len(rows) > MOST_ROWS:
        raise _too_many_rows()
    return ReadTable(_columns(cells), rows, form, said)


def _too_many_rows() -> TooLarge:
    return TooLarge(say("file: more than {most} rows; send it in parts.", most=MOST_ROWS))


def _heading_place(
    given: Sequence[tuple[int, Sequence[Cell]]], options: SheetOptions, is_heading: Heading
) -> int:
    """Where the headings are among the filled rows. Raises Invalid."""
    if not given:
        raise _wrong(say("it is empty"), say("send a first line with the names of the columns"))
    if options.heading_row:
        for place, (number, cells) in enumerate(given):
            if number == options.heading_row and _filled(cells):
                return place
        raise _wrong(
            say("line {line} is empty", line=options.heading_row),
            say("name the line of the headings in `heading_row`"),
        )
    heads = enumerate(given[:_HEADINGS_WITHIN])
    return next((place for place, (_, cells) in heads if is_heading(_names(cells))), 0)


def _names(cells: Sequence[Cell]) -> list[str]:
    return [str(cell or "").strip() for cell in cells]


def _check_cells(number: int, cells: Sequence[Cell]) -> None:
    if len(cells) > MOST_COLUMNS and any(cell not in (None, "") for cell in cells[MOST_COLUMNS:]):
        raise _wrong(
            say("line {number}: more than {most} columns", number=number, most=MOST_COLUMNS),
            say("leave out what is not needed"),
        )
    if any(isinstance(cell, str) and len(cell) > LONGEST_CELL for cell in cells):
        raise _wrong(
            say(
                "line {number}: a cell longer than {longest} characters",
                number=number,
                longest=LONGEST_CELL,
            ),
            say("shorten it"),
        )


def _columns(cells: Sequence[Cell]) -> list[str]:
    names = _names(cells)
    while names and not names[-1]:
        names.pop()
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _wrong(
            say("the column '{repeated}' stands twice", repeated=repeated[0]), say("leave one of them out")
        )
    return names
