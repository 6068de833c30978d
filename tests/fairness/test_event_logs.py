"""Event logs as they come: other names, other times, missing people, and files that mean harm."""

import contextlib
import gzip
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from app import eventlog
from app.eventlog import EventLogError, parse_mapping, read_event_log
from app.eventlog.times import reader_for

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
    read, note = reader_for(texts, ZoneInfo("UTC"))
    assert read(texts[0]) == datetime.fromisoformat(first)
    assert note is None


def test_a_column_that_can_be_read_in_two_ways_is_told() -> None:
    read, note = reader_for(["02/03/2026 09:00"], ZoneInfo("UTC"))
    assert read("02/03/2026 09:00") == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert note and "day first" in note


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_is_in_the_file_the_answer_is_a_log_or_a_refusal(tmp_path: Path, content: bytes) -> None:
    path = a_file(tmp_path, content)
    with contextlib.suppress(EventLogError):
        assert read_event_log(path).items
