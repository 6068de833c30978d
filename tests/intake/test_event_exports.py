"""Event logs as trackers, reports and telephone systems give them: read as meant, or refused with the reason."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.eventlog import EventLogError, LogOptions, read_event_log
from tests.builders import as_ods
from tests.intake.test_rosters import text, xlsx

MOSCOW = ZoneInfo("Europe/Moscow")
NINE = datetime(2026, 2, 13, 6, tzinfo=UTC)
"""Nine in the morning of Moscow."""
HEAD = "case;activity;resource;time"
LOGS: dict[str, tuple[bytes, dict[str, Any], dict[str, str]]] = {
    "process mining": (
        text("case:concept:name,concept:name,org:resource,time:timestamp,lifecycle:transition",
             "7,check,Анна,2026-02-13T06:00:00+00:00,complete"), {}, {},
    ),
    "process mining, other tool": (
        text("Case ID;Activity;Resource;Start Timestamp;Complete Timestamp",
             "7;check;Анна;2026/02/13 08:30:00.000;2026/02/13 09:00:00.000"), {}, {},
    ),
    "tracker, month first with am": (
        text("Issue key,Issue Type,Assignee,Resolved", "A-7,check,Анна,13/Feb/26 9:00 AM"), {}, {},
    ),
    "tracker in Russian": (
        text("Номер заявки;Вид работ;Исполнитель;Дата", "7;check;Анна;13 февраля 2026 09:00"), {}, {},
    ),
    "mail": (text(HEAD, '7;check;Анна;"Fri, 13 Feb 2026 09:00:00 +0300"'), {}, {}),
    "day first": (text(HEAD, "7;check;Анна;13.02.2026 09:00"), {}, {}),
    "day first, short year": (text(HEAD, "7;check;Анна;13.02.26 9:00"), {}, {}),
    "month first": (text(HEAD, "7;check;Анна;2/13/2026 9:00 AM"), {}, {}),
    "month first, late in the file": (
        text(HEAD, *[f"0;check;Анна;01/{day:02}/2026 09:00" for day in range(1, 13)], "7;check;Анна;02/13/2026 09:00"),
        {}, {},
    ),
    "month first, named": (
        text(HEAD, "7;check;Анна;02/03/2026 09:00"), {"date_format": "mm/dd/yyyy"}, {"at": "2026-02-03T06:00:00+00:00"},
    ),
    "fourteen digits": (text(HEAD, "7;check;Анна;20260213090000"), {}, {}),
    "seconds": (text(HEAD, f"7;check;Анна;{NINE.timestamp():.0f}"), {}, {}),
    "milliseconds": (text(HEAD, f"7;check;Анна;{1000 * NINE.timestamp():.0f}"), {}, {}),
    "telephone system, tabs and UTF-16": (
        text(HEAD.replace(";", "\t"), "7\tcheck\tАнна\t2026-02-13 09:00:00", encoding="utf-16"), {}, {},
    ),
    "UTF-16 without a mark": (
        text(HEAD.replace(";", "\t"), "7\tcheck\tАнна\t2026-02-13 09:00:00", encoding="utf-16-le"), {}, {},
    ),
    "UTF-16 without a mark, named": (
        text(HEAD, "7;check;Анна;2026-02-13 09:00:00", encoding="utf-16-le"), {"encoding": "UTF-16"}, {},
    ),
    "Windows-1251": (text(HEAD, "7;check;Анна;13.02.2026 09:00", encoding="cp1251"), {}, {}),
    "old Unix": (text(HEAD, "7;check;Анна;13.02.2026 09:00", encoding="koi8_r"), {}, {}),
    "western": (
        text(HEAD, "7;check;Zoë Müller;13.02.2026 09:00", encoding="cp1252"), {}, {"resource": "Zoë Müller"},
    ),
    "sep=": (text("sep=;", HEAD, "7;check;Анна;13.02.2026 09:00", encoding="utf-8-sig"), {}, {}),
    "report with a title": (
        text("Выполненные заявки;;;", "Период: февраль;;;", "", HEAD, "7;check;Анна;13.02.2026 09:00"), {}, {},
    ),
    "report with a cover": (
        xlsx([["Отчёт"]], [HEAD.split(";"), [7, "check", "Анна", datetime(2026, 2, 13, 9)]]), {}, {},  # noqa: DTZ001
    ),
    "sheet and line by number": (
        xlsx([["x"]], [HEAD.split(";"), HEAD.split(";"), [7, "check", "Анна", datetime(2026, 2, 13, 9)]]),  # noqa: DTZ001
        {"sheet": "2", "heading_row": 2}, {},
    ),
    "open document": (as_ods([HEAD.split(";"), ["7", "check", "Анна", "13.02.2026 09:00"]]), {}, {}),
    "start and end": (
        text("case,activity,resource,start_time,end_time", "7,check,Анна,2026-02-13 08:00,2026-02-13 09:00"),
        {}, {"started": "2026-02-13T05:00:00+00:00"},
    ),
    "headings of two lines": (xlsx([["Case\nID", "Activity", "Resource ", "Complete\nTimestamp"],
                                    ["7", "check", "Анна", "2026-02-13 09:00"]]), {}, {}),
    "old Macs": (text(HEAD, "7;check;Анна;13.02.2026 09:00", end="\r"), {}, {}),
}  # fmt: skip


def read(folder: Path, content: bytes, options: dict[str, Any]) -> Any:
    path = folder / "log"
    path.write_bytes(content)
    return read_event_log(path, {}, MOSCOW, LogOptions(**options))


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read_as_it_was_meant_and_how_is_said(tmp_path: Path, name: str) -> None:
    content, options, meant = LOGS[name]
    log = read(tmp_path, content, options)
    item = log.items[-1]
    at = datetime.fromisoformat(meant["at"]) if "at" in meant else NINE
    assert (item.activity, item.resource, item.at) == ("check", meant.get("resource", "Анна"), at)
    assert item.case in {"7", "A-7"}
    if "started" in meant:
        assert item.started == datetime.fromisoformat(meant["started"])
    assert not log.dropped
    assert [column for column in log.columns if column.startswith("time: column ") and ", read as " in column]


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "either first": (text(HEAD, "7;check;Анна;02/03/2026 09:00"), {}, "dd/mm/yyyy or mm/dd/yyyy"),
    "digits that are no day": (text(HEAD, "7;check;Анна;20261399090000"), {}, "no listed format"),
    "an unquoted separator": (text(HEAD, "7;check; twice;Анна;13.02.2026 09:00"), {}, "5 cells, the headings 4"),
    "no such columns": (text("a;b", "1;2"), {}, "columns are a, b"),
    "a sheet of a text": (text(HEAD), {"sheet": "1"}, "no sheets"),
    "another encoding": (text(HEAD, "7;check;Анна;1", encoding="cp1251"), {"encoding": "utf-8"}, "no text in utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_log_that_cannot_be_understood_is_refused_with_what_there_is(tmp_path: Path, name: str) -> None:
    content, options, told = REFUSED[name]
    with pytest.raises(EventLogError, match=told):
        read(tmp_path, content, options)
