"""Event logs: one work item for each finished piece of work, from CSV or XES, plain or gzipped.

table   CSV and its columns
xes     XES
model   what comes out
"""

import gzip
import io
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from app.eventlog.model import MOST_BYTES, ROLES, EventLog, EventLogError, LogOptions, RawEvent, WorkItem
from app.eventlog.table import read_table
from app.eventlog.xes import read_xes
from app.utils.written_dates import DateFormatError, Reader, column_reader
from app.utils.written_numbers import NOT_SAID, number_of, separators_of

__all__ = ["ROLES", "EventLog", "EventLogError", "LogOptions", "WorkItem", "parse_mapping", "read_event_log"]

_UTC = ZoneInfo("UTC")
_DONE = frozenset({"complete", "completed", "end", ""})
_BEGUN = frozenset({"start", "started", "begin"})


def parse_mapping(text: str) -> dict[str, str]:
    """`case=COL,activity=COL,...` as a mapping. Raises EventLogError for a role that there is not."""
    mapping = {}
    for part in filter(None, text.split(",")):
        role, separator, column = part.partition("=")
        if not separator or role.strip() not in ROLES:
            raise EventLogError(f"--map {part!r}: write ROLE=COLUMN with a role of {', '.join(ROLES)}")
        mapping[role.strip()] = column.strip()
    return mapping


_AS_FOUND = LogOptions()


def read_event_log(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    zone: ZoneInfo = _UTC,
    options: LogOptions = _AS_FOUND,
) -> EventLog:
    """Read a log from a file; times without an offset are `zone`'s. Raises EventLogError where it cannot be read."""
    raw = _bytes(path)
    said: list[str] = []
    if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        events = list(read_xes(path, raw, mapping or {}))
    else:
        events = list(read_table(path, raw, mapping or {}, options, said))
    return _Sorter(path, zone, options, said).log_of(events)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise EventLogError(f"{path}: larger than {MOST_BYTES >> 20} MB; cut the log into periods")
        raw = path.read_bytes()
        return _inflated(path, raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise EventLogError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _inflated(path: Path, raw: bytes) -> bytes:
    """Decompress up to the bound of a log: a few bytes can unfold to gigabytes."""
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise EventLogError(f"{path}: unpacks to more than {MOST_BYTES >> 20} MB; cut the log into periods")
    return text


class _Sorter:
    """From events to work items: what is finished, by whom, when; and what is no work item, and why."""

    def __init__(self, path: Path, zone: ZoneInfo, options: LogOptions, said: Sequence[str]) -> None:
        self._path = path
        self._zone = zone
        self._options = options
        self._columns = [each for each in said if ": column " in each]
        self._separators = NOT_SAID
        self._dropped: Counter[str] = Counter()
        self._notes = [each for each in said if each not in self._columns]
        self._begun: dict[tuple[str, ...], list[datetime]] = defaultdict(list)

    def log_of(self, events: list[RawEvent]) -> EventLog:
        timed = any(event.values.get("time") for event in events)
        read = self._reader(events, "time")
        read_start = self._reader(events, "start")
        self._separators = separators_of(event.values.get("weight", "") for event in events)
        phases = Counter(_phase(event) for event in events)
        finished = "complete" if phases["complete"] else "start" if phases["start"] else "other"
        items = []
        if finished == "complete":
            events = [event for event in events if not self._is_begin(event, read)]
        for number, event in enumerate(events):
            item = self._item(event, finished, read if timed else None, read_start)
            if item is not None:
                items.append((item.at or datetime.min.replace(tzinfo=UTC), number, item))
        if not items:
            raise EventLogError(
                f"{self._path}: no row has both an activity and a resource ({self._said() or 'no rows'});"
                " name the columns with --map activity=COLUMN,resource=COLUMN"
            )
        if not timed:
            self._notes.append("no times: work is taken in the order of the file")
        items.sort(key=lambda entry: entry[:2])
        return EventLog([item for *_, item in items], self._dropped, self._notes, self._columns)

    def _said(self) -> str:
        return ", ".join(f"{count} with {reason}" for reason, count in self._dropped.items())

    def _reader(self, events: Iterable[RawEvent], role: str) -> Reader:
        texts = [text for event in events if (text := event.values.get(role, ""))]
        if not texts:
            return lambda _: None
        try:
            read, form = column_reader(texts, self._zone, self._options.date_format)
        except DateFormatError as error:
            raise EventLogError(f"{self._path}: {role}: {error} (--date-format)") from error
        if form != "iso":
            self._notes.append(f"{role} read as {form}")
        self._columns = [
            f"{each}, read as {form}" if each.startswith(f"{role}: ") else each for each in self._columns
        ]
        return read

    def _item(
        self, event: RawEvent, finished: str, read: Reader | None, read_start: Reader
    ) -> WorkItem | None:
        values = event.values
        for role in ("activity", "resource"):
            if not values.get(role):
                self._dropped[f"no {role}"] += 1
                return None
        at = read(values.get("time", "")) if read else None
        if read and at is None:
            self._dropped["no readable time"] += 1
            return None
        piece = (values.get("case", ""), values["activity"], values["resource"])
        if _phase(event) != finished:
            self._dropped[f"lifecycle {values['lifecycle'][:40]}"] += 1
            return None
        weight = self._weight(values.get("weight", ""))
        if weight is None:
            return None
        started = read_start(values["start"]) if values.get("start") else self._begin_of(piece)
        if started is not None and at is not None and started > at:
            started = None
        return WorkItem(*piece[1:], values.get("case") or None, at, event.attributes, started, weight)

    def _is_begin(self, event: RawEvent, read: Reader | None) -> bool:
        """Remember when a piece of work was begun, which tells how long it took; the end is the item."""
        values = event.values
        at = read(values.get("time", "")) if read and _phase(event) == "start" else None
        if at is not None:
            self._begun[values.get("case", ""), values["activity"], values["resource"]].append(at)
        return at is not None

    def _begin_of(self, piece: tuple[str, ...]) -> datetime | None:
        begun = self._begun.get(piece)
        return begun.pop(0) if begun else None

    def _weight(self, text: str) -> float | None:
        if not text:
            return 1.0
        try:
            weight = number_of(text, self._separators)
        except ValueError as error:
            if "may be" in str(error):  # read in either way it would be a weight
                raise EventLogError(f"{self._path}: weight: {error}") from error
            weight = 0.0
        if not 0.001 <= weight <= 1e6:
            self._dropped["no usable weight"] += 1
            return None
        return weight


def _phase(event: RawEvent) -> str:
    said = event.values.get("lifecycle", "").lower()
    return "complete" if said in _DONE else "start" if said in _BEGUN else "other"
