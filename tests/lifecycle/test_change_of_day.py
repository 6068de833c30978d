"""A pool's time zone or fairness window changes in the middle of a day: limits, counters and levels go on."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.access.roles import Caller
from app.database import Database
from app.engine.calendar import BusinessDays
from app.services.audit.invariants import find_violations
from app.services.audit.recount import reset_daily_counts
from app.services.common.rows import days_of_pool
from app.services.fairness.fairness import get_standings
from app.services.pools.pools import change_pool, get_pool
from app.services.tasks.moves import MoveName
from tests.lifecycle.team import Team

ROUND_THE_WORLD = (
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
    "UTC",
    "Etc/GMT+12",
)
ROOT = Caller(name="tests", role="admin", pool_ids=None)


@pytest.fixture
async def team(database: Database) -> Team:
    return await Team.make(database)


async def change(team: Team, **changes: Any) -> None:
    async with team.database.session() as session:
        await change_pool(session, pool_id=team.pool_id, changes=changes, caller=ROOT)


async def sound(team: Team) -> None:
    async with team.database.hot.acquire() as connection:
        assert await find_violations(connection) == []


async def received(team: Team) -> dict[int, int]:
    rows = await team.database.hot.fetch("SELECT executor_id FROM assignments WHERE counted")
    return dict(Counter(row["executor_id"] for row in rows))


async def test_nobody_gets_a_day_s_limit_twice_by_a_change_of_zone(team: Team) -> None:
    anna = await team.person(["a"], 10, daily_limit=2)
    for zone in ROUND_THE_WORLD:
        await team.tasks(2)
        await team.work()
        await sound(team)
        await change(team, timezone=zone)
    await team.work()
    assert await received(team) == {anna: 2}
    assert await team.in_vain() == []
    await sound(team)
    await reset_daily_counts(team.database.hot)
    assert await received(team) == {anna: 2}
    await sound(team)


async def test_levels_and_fair_shares_go_on_over_a_change_of_zone(team: Team) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["b", "a"], 10)
    await team.tasks(4, "b")
    await team.work()
    for zone in ROUND_THE_WORLD:
        await change(team, timezone=zone)
        async with team.database.session() as session:
            pool = await get_pool(session, pool_id=team.pool_id)
            days = days_of_pool(pool)
            now = datetime.now(UTC)
            standings = await get_standings(session, pool_id=team.pool_id, day=days.day_of(now), days=days)
        assert standings.standings[boris].received == standings.standings[boris].fair == 4, zone
    await team.tasks(4, "a")
    await team.work()
    assert await received(team) == {
        anna: 4,
        boris: 4,
    }, "the one who received less is ahead, whatever the zone"
    await sound(team)


@pytest.mark.parametrize("windows", [("week", "day"), ("month", "week", "day"), ("week", "month")])
async def test_levels_go_on_over_a_change_of_window(team: Team, windows: tuple[str, ...]) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["b", "a"], 10)
    await team.tasks(5, "b")
    await team.work()
    for window in windows:
        await change(team, fairness_window=window)
        await team.tasks(1, "a")
        await team.work()
        await sound(team)
    await team.tasks(5 - len(windows), "a")
    await team.work()
    assert await received(team) == {anna: 5, boris: 5}
    await sound(team)


async def test_work_taken_back_after_a_change_of_window_leaves_the_counters_sound(team: Team) -> None:
    await team.person(["a"], 10)
    first, second = await team.tasks(2)
    await team.work()
    await team.database.hot.execute(
        "UPDATE assignments SET business_day = business_day - 40 WHERE task_id = $1", first
    )
    await reset_daily_counts(team.database.hot)
    await change(team, fairness_window="month")
    await sound(team)
    for task in (first, second):
        await team.move(task, MoveName.CANCEL)
        await sound(team)


ZONES = st.sampled_from(
    ["UTC", "Europe/Moscow", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago",
     "America/New_York", "Australia/Lord_Howe", "Etc/GMT+12"]
).map(ZoneInfo)  # fmt: skip
STEPS = st.lists(st.tuples(st.integers(1, 40 * 60), ZONES), max_size=8)


@given(ZONES, STEPS)
def test_days_follow_each_other_whatever_zones_they_are_counted_in(
    first: ZoneInfo, steps: list[tuple[int, ZoneInfo]]
) -> None:
    now = datetime(2026, 3, 28, 5, tzinfo=UTC)
    days, seen, began = BusinessDays(first), list[date](), dict[date, datetime]()
    for minutes, zone in steps:
        for _ in range(minutes // 30 + 1):
            now += timedelta(minutes=min(minutes, 30))
            day = days.day_of(now)
            assert not seen or day >= seen[-1], "a day that is over does not come again"
            began.setdefault(day, now)
            begins, ends = days.span(day)
            assert begins <= now < ends
            assert days.ends(now) == ends
            seen.append(day)
        before, until = days.day_of(now), days.ends(now)
        days = days.moved_to(zone, now)
        assert days.day_of(now) == before, "the day goes on"
        assert now < days.ends(now) <= until + timedelta(hours=27)
        assert days.day_of(days.ends(now)) > before
        assert days.zone == zone
    assert all(days.day_of(now + timedelta(days=3)) >= day for day in seen)


@given(ZONES, STEPS)
def test_the_spans_of_days_touch(first: ZoneInfo, steps: list[tuple[int, ZoneInfo]]) -> None:
    now, days = datetime(2026, 3, 28, 5, tzinfo=UTC), BusinessDays(first)
    for minutes, zone in steps:
        now += timedelta(minutes=minutes)
        days = days.moved_to(zone, now)
    today = days.day_of(now)
    edges = [days.span(today + timedelta(days=back)) for back in range(-4, 5)]
    edges = [(begins, ends) for begins, ends in edges if begins < ends]
    assert all(before[1] == after[0] for before, after in pairwise(edges))
