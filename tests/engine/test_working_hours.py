"""Working hours: what is taken can always be read, whatever clients send; what cannot be read is refused by name."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.engine.calendar import MOST_SPANS, WorkingHours, WrongHours, zone_of

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
    except WrongHours:
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
    with pytest.raises(WrongHours) as refused:
        WorkingHours.parse(document, MOSCOW)
    assert refused.value.place == place and refused.value.remedy


@pytest.mark.parametrize(
    "name", ["Europe", "America/Argentina", "localtime", "Factory", "", "/etc", "Mars/Olympus"]
)
def test_a_folder_or_a_link_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        zone_of(name)
    assert zone_of("Europe/Moscow").key == "Europe/Moscow"


def test_rows_of_older_versions_mean_what_they_meant() -> None:
    stored = WorkingHours.stored({"days_off": ["2026-01-01"], "day_off": 1, "timezone": ""}, MOSCOW)
    assert not stored.working(NOW) and stored.zone == MOSCOW
