"""Event logs for tests: a small one of the form of the real one, and the real one where it is at hand."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.servers import ROOT

HEADER = (
    "case:channel",
    "case:concept:name",
    "case:deadline",
    "concept:instance",
    "concept:name",
    "lifecycle:transition",
    "org:group",
    "org:resource",
    "time:timestamp",
)
DOERS: Mapping[str, Sequence[str]] = {
    "Confirmation of receipt": ("Resource01", "Resource02", "Resource03", "Resource04", "Resource05"),
    "T02 Check confirmation, again": ("Resource01", "Resource02", "Resource06"),
    "T04 Determine": ("Resource03", "Resource06", "Resource07"),
    "T06 Advice": ("Resource07",),
}
"""Who does each activity; one name has a comma, one activity has a single doer."""


def write_log(path: Path, count: int, *, header: Sequence[str] = HEADER, delimiter: str = ",") -> Path:
    """Write a log of so many work items; the first doer of each activity does most of it, as people do."""
    activities = list(DOERS)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        for number in range(count):
            activity = activities[number % 7 % 4]
            doers = DOERS[activity]
            turn = number // 7
            person = doers[turn % len(doers)] if turn < len(doers) or turn % 3 == 0 else doers[0]
            at = datetime(2011, 10, 11, 13, tzinfo=UTC) + timedelta(minutes=count - number)
            writer.writerow(row_of(header, number, activity, person, at))
    return path


def row_of(header: Sequence[str], number: int, activity: str, person: str, at: datetime) -> list[str]:
    known = ("Internet", f"case-{number // 6}", "", f"task-{number}", activity, "complete", "Group 1", person)
    return [*known, at.isoformat(sep=" ")][: len(header)]


def real_log() -> Path | None:
    """The municipality's log, where it lies beside the project."""
    places = (folder / "shared" / "data" / "receipt.csv" for folder in ROOT.parents)
    return next((place for place in places if place.exists()), None)
