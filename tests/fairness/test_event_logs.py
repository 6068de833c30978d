"""Event logs as they come: other names, other times, missing people, and files that mean harm."""

import contextlib
import gzip
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from openpyxl import Workbook

from app import eventlog
from app.eventlog import EventLogError, LogOptions, parse_mapping, read_event_log
from app.utils.written_dates import column_reader
from tests.builders import as_ods

XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event"><string key="concept:name" value="?"/></global>
  <trace>
    <string key="concept:name" value="case-1"/>
    <string key="channel" value="post"/>
    <event><string key="concept:name" value="check"/><string key="org:resource" value="Anna"/>
      <string key="lifecycle:transition" value="start"/>
      <date key="time:timestamp" value="2026-03-02T09:00:00+03:00"/></event>
    <event><string key="concept:name" value="check"/><string key="org:resource" value="Anna"/>
      <string key="lifecycle:transition" value="complete"/>
      <date key="time:timestamp" value="2026-03-02T09:20:00+03:00"/></event>
    <event><string key="concept:name" value="check"/><string key="org:resource" value="Boris"/>
      <string key="lifecycle:transition" value="suspend"/>
      <date key="time:timestamp" value="2026-03-02T09:30:00+03:00"/></event>
    <event><string key="concept:name" value="send"/>
      <date key="time:timestamp" value="2026-03-02T10:00:00+03:00"/></event>
  </trace>
</log>
"""


def a_file(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_are_found_by_the_names_that_tools_give_them(tmp_path: Path) -> None:
    log = read_event_log(
        a_file(tmp_path, "Case ID;Activity;Resource;Complete Timestamp\n7;check;Anna;2026-03-02 09:00\n")
    )
    [item] = log.items
    assert (item.case, item.activity, item.resource) == ("7", "check", "Anna")
    assert item.at == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_other_names_are_mapped(tmp_path: Path) -> None:
    path = a_file(tmp_path, "номер,что,кто,когда\n1,проверка,Анна,02.03.2026 09:00\n".encode("cp1251"))
    log = read_event_log(
        path, parse_mapping("case=номер,activity=что,resource=кто,time=когда"), ZoneInfo("Europe/Moscow")
    )
    assert log.items[0].resource == "Анна"
    assert log.items[0].at == datetime(2026, 3, 2, 6, tzinfo=UTC)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"no column 'resource'.*a, b.*--map resource=COLUMN"):
        read_event_log(a_file(tmp_path, "a,b\n1,2\n"), {"activity": "a"})


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(EventLogError, match="ROLE=COLUMN"):
        parse_mapping("person=who")


def test_what_is_dropped_is_counted_by_reason(tmp_path: Path) -> None:
    rows = [
        "activity,resource,time",
        "check,Anna,2026-03-02",
        "check,,2026-03-02",
        ",Anna,2026-03-02",
        "check,Anna,soon",
    ]
    log = read_event_log(a_file(tmp_path, "\n".join(rows)))
    assert len(log.items) == 1
    assert log.dropped == {"no resource": 1, "no activity": 1, "no readable time": 1}


def test_a_quoted_line_break_does_not_tear_a_row(tmp_path: Path) -> None:
    log = read_event_log(
        a_file(tmp_path, 'activity,resource,note\ncheck,Anna,"two\nlines"\nsend,Boris,\u2028one\n')
    )
    assert [item.resource for item in log.items] == ["Anna", "Boris"]


def test_gzip_is_understood_and_xes_told_from_csv(tmp_path: Path) -> None:
    log = read_event_log(a_file(tmp_path, gzip.compress(XES.encode()), "log.xes.gz"))
    [item] = log.items
    assert (item.case, item.activity, item.resource) == ("case-1", "check", "Anna")
    assert item.attributes == {"case:channel": "post"}
    assert item.at and item.started and (item.at - item.started).total_seconds() == 1200
    assert log.dropped == {"lifecycle suspend": 1, "no resource": 1}


def test_work_is_taken_in_the_order_of_the_file_where_there_are_no_times(tmp_path: Path) -> None:
    log = read_event_log(a_file(tmp_path, "activity,resource\nb,Boris\na,Anna\n"))
    assert [item.activity for item in log.items] == ["b", "a"]
    assert "no times" in log.notes[0]


MANY = "<!DOCTYPE log [<!ENTITY a 'x'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{'&' + chr(97 + n) + ';' * 1}'>" for n in range(9)
)
HOSTILE = {
    "entities": f"{MANY}]><log><trace><event><string key='concept:name' value='&j;'/></event></trace></log>",
    "external": "<!DOCTYPE log [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><log><trace>&x;</trace></log>",
    "deep": "<log>" + "<list>" * 5000 + "</list>" * 5000 + "</log>",
    "torn": "<log><trace><event>",
    "not XES": "<html><body>404</body></html>",
    "empty": "",
    "binary": b"\x00\x01\x02\x81",
    "broken gzip": b"\x1f\x8b\x08\x00broken",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text = HOSTILE[name]
    with pytest.raises(EventLogError) as refused:
        read_event_log(a_file(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_small_file_cannot_unfold_to_more_than_a_log_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog, "MOST_BYTES", 100_000)
    with pytest.raises(EventLogError, match="unpacks to more"):
        read_event_log(a_file(tmp_path, gzip.compress(b"a" * 10_000_000)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"nothing\.csv"):
        read_event_log(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2026-03-02T09:00:00Z"], "2026-03-02T09:00:00+00:00"),
        (["2026-03-02 09:00:00.123000+03:00"], "2026-03-02T09:00:00.123000+03:00"),
        (["2026-03-02T09:00:00,5"], "2026-03-02T09:00:00.500000+00:00"),
        (["1772442000"], "2026-03-02T09:00:00+00:00"),
        (["1772442000000"], "2026-03-02T09:00:00+00:00"),
        (["03/02/2026 09:00", "03/28/2026 09:00"], "2026-03-02T09:00:00+00:00"),
        (["02/03/2026 09:00", "28/03/2026 09:00"], "2026-03-02T09:00:00+00:00"),
        (["02.03.2026"], "2026-03-02T00:00:00+00:00"),
        (["2026/03/02 09:00:00"], "2026-03-02T09:00:00+00:00"),
    ],
)
def test_times_are_read_in_the_form_that_fits_the_whole_column(texts: list[str], first: str) -> None:
    read, _ = column_reader(texts, ZoneInfo("UTC"))
    assert read(texts[0]) == datetime.fromisoformat(first)


def test_a_column_that_can_be_read_in_two_ways_is_refused_until_its_format_is_named(tmp_path: Path) -> None:
    path = a_file(tmp_path, "activity,resource,time\ncheck,Anna,02/03/2026 09:00\n")
    with pytest.raises(EventLogError, match=r"time: .*as dd/mm/yyyy or mm/dd/yyyy; name the format"):
        read_event_log(path)
    for form, month in (("dd/mm/yyyy", 3), ("mm/dd/yyyy", 2)):
        log = read_event_log(path, options=LogOptions(date_format=form))
        assert log.items[0].at and log.items[0].at.month == month
        assert log.notes == [f"time read as {form}"]


ROWS = [
    ["case", "activity", "resource", "time", "weight"],
    ["1", "Приём", "Анна Иванова", "31.12.2026 09:00", "1,5"],
    ["2", "Ремонт", "Борис Кузнецов", "31.12.2026 10:00", "2"],
]


def as_csv(rows: list[list[str]], delimiter: str = ";") -> str:
    return "".join(delimiter.join(row) + "\r\n" for row in rows)


def as_xlsx(*sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


EIGHT = datetime.fromisoformat("2026-12-31T08:00")
AS_THEY_COME: dict[str, tuple[bytes, LogOptions, list[str]]] = {
    "semicolons": (as_csv(ROWS).encode(), LogOptions(), []),
    "sep=": (("sep=|\r\n" + as_csv(ROWS, "|")).encode("utf-8-sig"), LogOptions(), []),
    "UTF-16": (as_csv(ROWS, "\t").encode("utf-16"), LogOptions(), []),
    "KOI8-R": (as_csv(ROWS).encode("koi8_r"), LogOptions(), ["koi8_r"]),
    "Windows-1251": (as_csv(ROWS).encode("cp1251"), LogOptions(), ["cp1251"]),
    "DOS": (as_csv(ROWS).encode("cp866"), LogOptions(encoding="cp866"), []),
    "a title": (as_csv([["Выгрузка за декабрь"], [], *ROWS]).encode(), LogOptions(), ["row 3"]),
    "a title, row named": (as_csv([["a"], ["b"], *ROWS]).encode(), LogOptions(heading_row=3), []),
    "XLSX": (as_xlsx(ROWS), LogOptions(), []),
    "sheet two": (as_xlsx([["Обложка"]], ROWS), LogOptions(), ["'sheet 2'"]),
    "sheet named": (as_xlsx([["Обложка"]], ROWS), LogOptions(sheet="sheet 2"), []),
    "sheet numbered": (as_xlsx([["Обложка"]], ROWS), LogOptions(sheet="2"), []),
    "dates as dates": (
        as_xlsx([ROWS[0], *([*row[:3], EIGHT + timedelta(hours=n), row[4]] for n, row in enumerate(ROWS[1:], 1))]),
        LogOptions(), [],
    ),
    "ODS": (as_ods(ROWS), LogOptions(), []),
    "start and end": (
        as_csv([["case", "activity", "resource", "start_time", "end_time", "weight"],
                *([*row[:3], "31.12.2026 08:00", *row[3:]] for row in ROWS[1:])]).encode(), LogOptions(), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_COME)
def test_a_log_is_read_as_it_comes_and_what_was_guessed_is_said(tmp_path: Path, name: str) -> None:
    content, options, said = AS_THEY_COME[name]
    mapping = {"weight": "weight"}
    log = read_event_log(a_file(tmp_path, content), mapping, ZoneInfo("Europe/Moscow"), options)
    assert [(item.resource, item.weight) for item in log.items] == [
        ("Анна Иванова", 1.5),
        ("Борис Кузнецов", 2),
    ]
    assert log.items[0].at == datetime(2026, 12, 31, 6, tzinfo=UTC)
    assert (log.items[0].started is not None) is (name == "start and end")
    guesses = [note for note in log.notes if "read as dd.mm.yyyy" not in note]
    assert len(guesses) == len(said) and all(
        word in note for word, note in zip(said, guesses, strict=True)
    ), guesses
    assert any(column.startswith("time: column ") and ", read as " in column for column in log.columns)


REFUSED: dict[str, tuple[bytes, LogOptions, str]] = {
    "thousands or decimals": (
        as_csv([ROWS[0], ["1", "a", "Anna", "2026-01-01", "1,000"]]).encode(), LogOptions(), "1000 or 1.000"),
    "no such sheet": (as_xlsx(ROWS), LogOptions(sheet="log"), "sheets are sheet 1"),
    "no such encoding": (as_csv(ROWS).encode(), LogOptions(encoding="windows"), "no encoding"),
    "another encoding": (as_csv(ROWS).encode("cp1251"), LogOptions(encoding="utf-8"), "no text in utf-8"),
    "no such format": (as_csv(ROWS).encode(), LogOptions(date_format="us"), "formats are iso"),
    "a sheet of a text": (as_csv(ROWS).encode(), LogOptions(sheet="1"), "no sheets"),
    "an encoding of a sheet": (as_xlsx(ROWS), LogOptions(encoding="cp1251"), "has its own"),
    "no headings": (as_xlsx([["a"]], [["b"]]), LogOptions(), "columns are a"),
    "no dates": (as_csv([ROWS[0], ["1", "a", "Anna", "soon", "1"]]).encode(), LogOptions(), "'soon'"),
    "fourteen digits": (
        as_csv([ROWS[0], ["1", "a", "Anna", "20249915103000", "1"]]).encode(), LogOptions(), "no listed format"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_log_that_can_be_read_in_two_ways_or_in_none_is_refused_with_what_there_is(
    tmp_path: Path, name: str
) -> None:
    content, options, told = REFUSED[name]
    with pytest.raises(EventLogError, match=told):
        read_event_log(a_file(tmp_path, content), {"weight": "weight"}, options=options)


def test_what_a_log_tells_of_itself_may_be_nested_and_long(tmp_path: Path) -> None:
    inner = "".join(f'<int key="r{n}" value="{n}"><string key="a" value="b"/></int>' for n in range(8_000))
    content = XES.replace(
        "<trace>",
        f'<string key="meta_org:resources" value=""><list key="l">{inner}</list></string><trace>',
        1,
    )
    assert len(read_event_log(a_file(tmp_path, content, "log.xes")).items) == 1


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_is_in_the_file_the_answer_is_a_log_or_a_refusal(tmp_path: Path, content: bytes) -> None:
    path = a_file(tmp_path, content)
    with contextlib.suppress(EventLogError):
        assert read_event_log(path).items
