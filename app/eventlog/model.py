"""Content of an event log, independent of its format."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

ROLES = ("case", "activity", "resource", "time", "start", "lifecycle", "weight")
MOST_BYTES = 1 << 29
"""Text of a log, uncompressed."""
MOST_ITEMS = 2_000_000
MOST_VALUES = 20_000_000
"""Values of all events together: each becomes an object of its own."""
LONGEST_PIECE = 1 << 20
"""Bytes of one line or tag; parsers hold it whole, and read it again with each piece that comes."""


class EventLogError(ValueError):
    """The file is no event log that we can read; the message says why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the reader of a file says of it, where it does not say it itself; empty: found out.

    `encoding` is a codec's name, `date_format` one of `app.utils.written_dates.FORMATS`, `sheet` a name or a number,
    `heading_row` the number of the row with the headings; numbers are counted from 1.
    """

    encoding: str = ""
    date_format: str = ""
    sheet: str = ""
    heading_row: int = 0


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One finished piece of work; `case`, `at` (when it was finished) and `started` may be unknown."""

    activity: str
    resource: str
    case: str | None
    at: datetime | None
    attributes: Mapping[str, str] = field(default_factory=dict)
    started: datetime | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class EventLog:
    """The work items in the order of time (of the file where times are missing).

    `dropped` counts what was left out and why, `notes` say how what was guessed was read, `columns` how each column is.
    """

    items: list[WorkItem]
    dropped: Counter[str]
    notes: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)

    def doers(self) -> dict[str, set[str]]:
        """People who have done each activity at least once."""
        doers: dict[str, set[str]] = {}
        for item in self.items:
            doers.setdefault(item.activity, set()).add(item.resource)
        return doers


@dataclass(slots=True)
class RawEvent:
    """One event as the file has it: texts by role, and all else."""

    values: dict[str, str]
    attributes: dict[str, str]
