"""Working hours: what is taken can always be read, whatever clients send; what cannot be read is refused by name."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.engine.calendar import DAYS, MOST_SPANS, UnreadableHours, WorkingHours, zone_of
from tests.servers import ROOT

MOSCOW = ZoneInfo("Europe/Moscow")
NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)

ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        ["09:00", "18:00", "24:00", "09:00+03:00", "9", "", "2026-01-01", "Europe", "localtime"]
    )
)
LISTS = st.lists(ODD | st.lists(ODD, max_size=3), max_size=3)
KEYS = st.sampled_from(["days", "days_off", "day_off", "timezone", "mon", "sun", "someday"])
VALUES = st.recursive(ODD | LISTS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)
def test_whatever_is_taken_can_be_read(document: Any) -> None:
    try:
        hours = WorkingHours.parse(document, MOSCOW)
    except UnreadableHours:
        return
    assert WorkingHours.stored(document, MOSCOW) == hours
    assert hours.working(NOW) in (True, False)
    assert (change := hours.next_change(NOW)) is None or change > NOW


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"days": {"mon": [["09:00+03:00", "18:00"]]}}, "working_hours.days.mon"),
        ({"days": {"mon": [["09:00", "18:00Z"]]}}, "working_hours.days.mon"),
        ({"days": {"mon": [["09:00"]]}}, "working_hours.days.mon"),
        ({"days": {"mon": ["09", "18"]}}, "working_hours.days.mon"),
        ({"days": {"mon": [["09:00", "18:00"]] * (MOST_SPANS + 1)}}, "working_hours.days.mon"),
        ({"days": {"mon": None}}, "working_hours.days.mon"),
        ({"days": {"mon": 5}}, "working_hours.days.mon"),
        ({"days": {"mon": "09:00"}}, "working_hours.days.mon"),
        ({"days": {"Monday": []}}, "working_hours.days.Monday"),
        ({"days": None}, "working_hours.days"),
        ({"days": []}, "working_hours.days"),
        ({"days": "mon"}, "working_hours.days"),
        ({}, "working_hours.days"),
        ({"days_off": ["2026-01-01"]}, "working_hours.days"),
        ({"days": {}, "day_off": ["2026-01-01"]}, "working_hours.day_off"),
        ({"days": {}, "days_off": ["01.01.2026"]}, "working_hours.days_off"),
        ({"days": {}, "days_off": [5]}, "working_hours.days_off"),
        ({"days": {}, "days_off": "2026-01-01"}, "working_hours.days_off"),
        ({"days": {}, "days_off": None}, "working_hours.days_off"),
        ({"days": {}, "days_off": ["2026-01-01"] * 2000}, "working_hours.days_off"),
        ({"days": {}, "timezone": "Europe"}, "working_hours.timezone"),
        ({"days": {}, "timezone": "localtime"}, "working_hours.timezone"),
        ({"days": {}, "timezone": "../etc/passwd"}, "working_hours.timezone"),
        ({"days": {}, "timezone": 3}, "working_hours.timezone"),
        ({"days": {}, "timezone": ["UTC"]}, "working_hours.timezone"),
        ([], "working_hours"),
        ("always", "working_hours"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(document: Any, place: str) -> None:
    with pytest.raises(UnreadableHours) as refused:
        WorkingHours.parse(document, MOSCOW)
    assert refused.value.place == place and refused.value.remedy


@pytest.mark.parametrize(
    "name", ["Europe", "America/Argentina", "localtime", "Factory", "", "/etc", "Mars/Olympus"]
)
def test_a_folder_or_a_link_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        zone_of(name)
    assert zone_of("Europe/Moscow").key == "Europe/Moscow"


def test_names_of_zones_are_read_in_one_place() -> None:
    """Another reader would take what this one refuses, such as `localtime`."""
    files = [path for folder in ("app", "streamlit_app") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in files if "available_timezones" in path.read_text()] == ["calendar.py"]


def test_rows_of_older_versions_mean_what_they_meant() -> None:
    stored = WorkingHours.stored({"days_off": ["2026-01-01"], "day_off": 1, "timezone": ""}, MOSCOW)
    assert not stored.working(NOW) and stored.zone == MOSCOW


def test_pitfall_19_hours_are_times_on_the_wall_all_year_and_carry_no_zone() -> None:
    hours = WorkingHours.parse({"days": {day: [["09:00", "18:00"]] for day in DAYS}}, BERLIN)
    for month, utc in ((1, 8), (7, 7)):
        assert hours.working(datetime(2026, month, 5, utc, tzinfo=UTC))
        assert not hours.working(datetime(2026, month, 5, utc - 1, 59, tzinfo=UTC))
    for zoned in ("09:00Z", "09:00+03:00", "09:00-05", "2026-01-01T09:00"):
        with pytest.raises(UnreadableHours):
            WorkingHours.parse({"days": {"mon": [[zoned, "18:00"]]}}, BERLIN)


BERLIN, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")


def worked(spans: list[tuple[str, str]], zone: ZoneInfo, day: date) -> list[tuple[str, str]]:
    """The spans of a day's shifts in UTC, as `working` sees them by the quarter of an hour."""
    hours = WorkingHours.parse({"days": dict.fromkeys(DAYS, spans)}, zone)
    begin = datetime.combine(day, time.min, zone).astimezone(UTC)
    quarters = [begin + timedelta(minutes=15 * each) for each in range(-8, 112)]
    at_work = [each for each in quarters if hours.working(each) and each.astimezone(zone).date() == day]
    starts = [each for each in at_work if each - timedelta(minutes=15) not in at_work]
    ends = [each + timedelta(minutes=15) for each in at_work if each + timedelta(minutes=15) not in at_work]
    return [(f"{a:%H:%M}", f"{b:%H:%M}") for a, b in zip(starts, ends, strict=True)]


SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


@pytest.mark.parametrize(
    ("day", "spans", "meant"),
    [
        (SPRING, [("02:15", "02:45")], []),
        (SPRING, [("02:00", "03:00")], []),
        (SPRING, [("02:30", "10:00")], [("01:00", "08:00")]),
        (SPRING, [("01:00", "02:30")], [("00:00", "01:00")]),
        (SPRING, [("01:30", "03:30")], [("00:30", "01:30")]),
        (SPRING, [("09:00", "18:00")], [("07:00", "16:00")]),
        (AUTUMN, [("02:15", "02:45")], [("00:15", "00:45")]),
        (AUTUMN, [("01:00", "02:30")], [("23:00", "00:30")]),
        (AUTUMN, [("02:00", "03:00")], [("00:00", "02:00")]),
        (AUTUMN, [("09:00", "18:00")], [("08:00", "17:00")]),
        (date(2026, 3, 30), [("02:15", "02:45")], [("00:15", "00:45")]),
    ],
)
def test_a_shift_that_the_clock_skips_does_not_exist_and_one_that_it_repeats_is_worked_once(
    day: date, spans: list[tuple[str, str]], meant: list[tuple[str, str]]
) -> None:
    assert worked(spans, BERLIN, day) == meant


def test_a_day_that_the_calendar_skips_has_no_shifts() -> None:
    hours = WorkingHours.parse({"days": {"fri": [["09:00", "18:00"]]}}, APIA)  # there was no 2011-12-30
    begin = datetime(2011, 12, 29, 12, tzinfo=UTC)
    assert not any(hours.working(begin + timedelta(minutes=30 * each)) for each in range(144))


def test_hours_are_the_same_whatever_zone_the_instant_is_told_in() -> None:
    hours = WorkingHours.parse({"days": {"sun": [["02:30", "10:00"]]}}, BERLIN)
    for minute in range(0, 600, 15):
        instant = datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=minute)
        assert hours.working(instant) is hours.working(instant.astimezone(BERLIN))
