"""Tables of events: CSV in any usual encoding, XLSX, XLS, ODS; one row an event, columns by their usual names."""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from app.eventlog.model import (
    LONGEST_PIECE,
    MOST_BYTES,
    MOST_ITEMS,
    MOST_VALUES,
    EventLogError,
    LogOptions,
    RawEvent,
)
from app.utils.encodings import EncodingError, encoding_of
from app.utils.normal_form import nfc
from app.utils.sheets import ZIP, SheetError, is_spreadsheet, read_sheets

USUAL: Mapping[str, tuple[str, ...]] = {
    "case": (
        "case:concept:name", "case_id", "caseid", "case id", "case", "trace", "case number", "ticket", "issue key",
        "номер заявки", "заявка",
    ),
    "activity": (
        "concept:name", "activity", "activity name", "task", "event", "operation", "issue type", "действие", "операция",
        "вид работ",
    ),
    "resource": (
        "org:resource", "resource", "user", "performer", "executor", "employee", "agent", "assignee", "originator",
        "исполнитель", "сотрудник",
    ),
    "time": (
        "time:timestamp", "timestamp", "complete timestamp", "complete_timestamp", "completetime", "end_timestamp",
        "end timestamp", "end time", "end_time", "endtime", "finish_time", "finish time", "finished_at", "end", "time",
        "date", "completed_at", "resolved", "время окончания", "окончание", "время", "дата",
    ),
    "start": (
        "start_timestamp", "start timestamp", "starttime", "start_time", "start time", "started_at", "start",
        "время начала", "начало",
    ),
    "lifecycle": ("lifecycle:transition", "lifecycle", "transition"),
    "weight": (),
}  # fmt: skip
_HEADINGS_WITHIN = 20
"""Rows among which the headings are looked for: titles, dates and empty lines may stand before them."""
_DELIMITERS = ",;\t|"


def read_table(
    path: Path, raw: bytes, mapping: Mapping[str, str], options: LogOptions, notes: list[str]
) -> Iterator[RawEvent]:
    """The events of a table; `notes` say what was guessed. Raises EventLogError where a column is missing."""
    sheets = _sheets(path, raw, options, notes)
    rows, header, columns = _found(path, sheets, mapping, options, notes)
    others = [(index, name) for index, name in enumerate(header) if index not in columns.values()]
    notes += [f"{role}: column '{header[index]}'" for role, index in columns.items()]
    values = 0
    for number, row in enumerate(rows):
        values += len(row)
        if number >= MOST_ITEMS or values > MOST_VALUES:
            raise EventLogError(
                f"{path}: more than {MOST_ITEMS:,} rows or {MOST_VALUES:,} values; cut the log into periods"
            )
        if any(row[len(header) :]):
            raise EventLogError(
                f"{path}: a row has {len(row)} cells, the headings {len(header)}: {', '.join(row)[:100]};"
                " put cells that hold the separator in quotes"
            )
        if row:
            yield RawEvent(
                {
                    role: nfc(row[index].strip()) if index < len(row) else ""
                    for role, index in columns.items()
                },
                {name: nfc(row[index]) for index, name in others if index < len(row)},
            )


def _sheets(
    path: Path, raw: bytes, options: LogOptions, notes: list[str]
) -> Iterator[tuple[str, Iterator[list[str]]]]:
    """The tables in a file with their names; a text file is one."""
    if not is_spreadsheet(raw):
        if options.sheet:
            raise EventLogError(f"{path}: --sheet {options.sheet}: a text file has no sheets; leave it out")
        yield "", _text_rows(path, raw, options, notes)
        return
    if options.encoding:
        raise EventLogError(f"{path}: --encoding {options.encoding}: a spreadsheet has its own; leave it out")
    try:
        if raw.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                if sum(part.file_size for part in archive.infolist()) > MOST_BYTES:
                    raise EventLogError(
                        f"{path}: unpacks to more than {MOST_BYTES >> 20} MB; cut the log into periods"
                    )
        for name, rows in read_sheets(raw, options.sheet):
            yield name, ([_text(cell) for cell in row] for row in rows)
    except (SheetError, zipfile.BadZipFile) as error:
        raise EventLogError(f"{path}: {error}") from error


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _text_rows(path: Path, raw: bytes, options: LogOptions, notes: list[str]) -> Iterator[list[str]]:
    try:
        encoding, guessed = encoding_of(raw, options.encoding)
    except EncodingError as error:
        raise EventLogError(f"{path}: {error} (--encoding)") from error
    if guessed:
        notes.append(f"read as {encoding}; if letters look wrong, name another one with --encoding")
    return _rows(path, io.TextIOWrapper(io.BytesIO(raw), encoding, newline=""))


def _rows(path: Path, text: io.TextIOWrapper) -> Iterator[list[str]]:
    lines = _lines(path, text)
    head = list(islice(lines, _HEADINGS_WITHIN))
    if head and head[0].strip().lower().startswith("sep=") and len(head[0].strip()) == 5:
        delimiter = head[0].strip()[-1]
        head = head[1:]
    else:
        delimiter = max(_DELIMITERS, key=lambda each: sum(line.count(each) for line in head))
    reader = csv.reader(chain(head, lines), delimiter=delimiter)
    try:
        yield from reader
    except csv.Error as error:
        raise EventLogError(f"{path}: line {reader.line_num}: {error}; is this a CSV file?") from error


def _lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    """The lines, none of which may go on and on."""
    while line := text.readline(LONGEST_PIECE):
        if len(line) == LONGEST_PIECE:
            raise EventLogError(
                f"{path}: a line of more than {LONGEST_PIECE:,} characters; is this a CSV file?"
            )
        yield line


def _found(
    path: Path,
    sheets: Iterator[tuple[str, Iterator[list[str]]]],
    mapping: Mapping[str, str],
    options: LogOptions,
    notes: list[str],
) -> tuple[Iterator[list[str]], list[str], dict[str, int]]:
    """The rows below the headings, the headings and where each role is, of the first sheet that has them."""
    refused: EventLogError | None = None
    for place, (name, rows) in enumerate(sheets):
        head = list(islice(rows, options.heading_row or _HEADINGS_WITHIN))
        for number, row in enumerate(head, start=1):
            if options.heading_row and number != options.heading_row:
                continue
            header = [nfc(" ".join(cell.split())) for cell in row]
            if not any(header):
                continue
            try:
                columns = _columns(path, header, mapping)
            except EventLogError as error:
                refused = refused or error
                continue
            if number > 1 and not options.heading_row:
                notes.append(f"headings read from row {number}")
            if place:
                notes.append(f"read from the sheet '{name}'")
            return chain(head[number:], rows), header, columns
    raise refused or EventLogError(f"{path}: the file is empty")


def _columns(path: Path, header: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Where each role is. Only activity and resource must be there."""
    lower = {name.lower(): index for index, name in reversed(list(enumerate(header)))}
    columns: dict[str, int] = {}
    for role, usual in USUAL.items():
        wanted = (nfc(mapping[role]).lower(),) if role in mapping else usual
        found = next((lower[name] for name in wanted if name in lower), None)
        if found is not None and found not in columns.values():
            columns[role] = found
        elif role in mapping or role in ("activity", "resource"):
            missing = mapping.get(role, role)
            raise EventLogError(
                f"{path}: no column '{missing}' for {role}; columns are {', '.join(header)[:500]};"
                f" name it with --map {role}=COLUMN"
            )
    return columns
