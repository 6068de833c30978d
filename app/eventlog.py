"""Event logs as tables: one row for each finished work item, whatever its columns are called.

CSV with comma, semicolon or tab, UTF-8 or Windows-1251, plain or gzipped. Columns are found by the names that process
mining tools give them, or by a mapping.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROLES = ("case", "activity", "resource", "time")

_USUAL: Mapping[str, tuple[str, ...]] = {
    "case": ("case:concept:name", "case_id", "caseid", "case id", "case", "trace"),
    "activity": ("concept:name", "activity", "task", "event", "operation"),
    "resource": ("org:resource", "resource", "user", "performer", "executor", "employee", "agent"),
    "time": ("time:timestamp", "timestamp", "complete timestamp", "end", "time", "date", "completed_at"),
}
_TIME_FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
)


class EventLogError(ValueError):
    """The file is no event log that we can read; the message says why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One finished piece of work; `case` and `at` are None where the log does not say."""

    activity: str
    resource: str
    case: str | None
    at: datetime | None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventLog:
    """The work items in the order of time (of the file where times are missing), and what was dropped and why."""

    items: list[WorkItem]
    dropped: Counter[str]

    def doers(self) -> dict[str, set[str]]:
        """Who has ever done each activity."""
        doers: dict[str, set[str]] = {}
        for item in self.items:
            doers.setdefault(item.activity, set()).add(item.resource)
        return doers


def parse_mapping(text: str) -> dict[str, str]:
    """`case=COL,activity=COL,...` as a mapping. Raises EventLogError for a role that there is not."""
    mapping = {}
    for part in filter(None, text.split(",")):
        role, separator, column = part.partition("=")
        if not separator or role.strip() not in ROLES:
            raise EventLogError(f"--map {part!r}: write ROLE=COLUMN with a role of {', '.join(ROLES)}")
        mapping[role.strip()] = column.strip()
    return mapping


def read_event_log(path: Path, mapping: Mapping[str, str] | None = None) -> EventLog:
    """Read a log from a file. Raises EventLogError where it cannot be read or a column is missing."""
    rows = _rows(_text(path))
    header = next(rows, None)
    if header is None:
        raise EventLogError(f"{path}: the file is empty")
    columns = _columns(path, header, mapping or {})
    items, dropped = [], Counter[str]()
    for number, row in enumerate(rows):
        item = _item(header, row, columns, dropped)
        if item is not None:
            items.append((item.at or datetime.min.replace(tzinfo=UTC), number, item))
    if not items:
        raise EventLogError(f"{path}: no row has both an activity and a resource ({dict(dropped)})")
    return EventLog([item for *_, item in sorted(items, key=lambda entry: entry[:2])], dropped)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as error:
        raise EventLogError(f"{path}: {error.strerror or error}") from error
    for encoding in ("utf-8-sig", "cp1251"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise EventLogError(f"{path}: neither UTF-8 nor Windows-1251; convert it to UTF-8")


def _rows(text: str) -> Iterator[list[str]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return iter(csv.reader(text.splitlines(), delimiter=delimiter))


def _columns(path: Path, header: list[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Where each role is. Only activity and resource must be there."""
    lower = {name.strip().lower(): index for index, name in reversed(list(enumerate(header)))}
    columns = {}
    for role in ROLES:
        wanted = (mapping[role].lower(),) if role in mapping else _USUAL[role]
        found = next((lower[name] for name in wanted if name in lower), None)
        if found is not None:
            columns[role] = found
        elif role in mapping or role in ("activity", "resource"):
            missing = mapping.get(role, role)
            raise EventLogError(
                f"{path}: no column '{missing}' for {role}; columns are {', '.join(header)};"
                f" name it with --map {role}=COLUMN"
            )
    return columns


def _item(
    header: list[str], row: list[str], columns: Mapping[str, int], dropped: Counter[str]
) -> WorkItem | None:
    values = {role: row[index].strip() if index < len(row) else "" for role, index in columns.items()}
    for role in ("activity", "resource"):
        if not values[role]:
            dropped[f"no {role}"] += 1
            return None
    at = _instant(values["time"]) if values.get("time") else None
    if "time" in columns and at is None:
        dropped["no readable time"] += 1
        return None
    used = set(columns.values())
    attributes = {
        name: value for index, (name, value) in enumerate(zip(header, row, strict=False)) if index not in used
    }
    return WorkItem(values["activity"], values["resource"], values.get("case") or None, at, attributes)


def _instant(text: str) -> datetime | None:
    """An instant in ISO 8601 or one of the usual forms; without an offset it is taken as UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return next(filter(None, (_by_format(text, each) for each in _TIME_FORMATS)), None)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _by_format(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
