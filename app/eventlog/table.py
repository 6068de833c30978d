"""CSV with comma, semicolon, tab or bar, UTF-8 or Windows-1251: one row an event, columns by their usual names."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.eventlog.model import LONGEST_PIECE, MOST_ITEMS, MOST_VALUES, EventLogError, RawEvent

USUAL: Mapping[str, tuple[str, ...]] = {
    "case": ("case:concept:name", "case_id", "caseid", "case id", "case", "trace", "case number", "ticket"),
    "activity": ("concept:name", "activity", "activity name", "task", "event", "operation", "действие", "операция"),
    "resource": (
        "org:resource", "resource", "user", "performer", "executor", "employee", "agent", "assignee", "originator",
        "исполнитель", "сотрудник",
    ),
    "time": (
        "time:timestamp", "timestamp", "complete timestamp", "complete_timestamp", "completetime", "end_timestamp",
        "end timestamp", "end time", "end", "time", "date", "completed_at", "время", "дата",
    ),
    "start": ("start_timestamp", "start timestamp", "starttime", "start time", "started_at", "start"),
    "lifecycle": ("lifecycle:transition", "lifecycle", "transition"),
    "weight": (),
}  # fmt: skip


def read_table(path: Path, raw: bytes, mapping: Mapping[str, str]) -> Iterator[RawEvent]:
    """The events of a table. Raises EventLogError where a column is missing or the form is broken."""
    rows = _rows(path, io.TextIOWrapper(io.BytesIO(raw), _encoding(path, raw), newline=""))
    header = [name.strip() for name in next(rows, [])]
    if not header:
        raise EventLogError(f"{path}: the file is empty")
    columns = _columns(path, header, mapping)
    others = [(index, name) for index, name in enumerate(header) if index not in columns.values()]
    values = 0
    for number, row in enumerate(rows):
        values += len(row)
        if number >= MOST_ITEMS or values > MOST_VALUES:
            raise EventLogError(
                f"{path}: more than {MOST_ITEMS:,} rows or {MOST_VALUES:,} values; cut the log into periods"
            )
        if row:
            yield RawEvent(
                {role: row[index].strip() if index < len(row) else "" for role, index in columns.items()},
                {name: row[index] for index, name in others if index < len(row)},
            )


def _encoding(path: Path, raw: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise EventLogError(f"{path}: neither UTF-8 nor Windows-1251; convert it to UTF-8")


def _rows(path: Path, text: io.TextIOWrapper) -> Iterator[list[str]]:
    first = text.readline(LONGEST_PIECE)
    delimiter = max(",;\t|", key=first.count)
    text.seek(0)
    reader = csv.reader(_lines(path, text), delimiter=delimiter)
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


def _columns(path: Path, header: list[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Where each role is. Only activity and resource must be there."""
    lower = {name.lower(): index for index, name in reversed(list(enumerate(header)))}
    columns: dict[str, int] = {}
    for role, usual in USUAL.items():
        wanted = (mapping[role].lower(),) if role in mapping else usual
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
