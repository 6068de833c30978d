"""Replay: the live engine over a stream of past work; nothing invented, nothing lost, nothing known of the future."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from app.engine.matrix import MatrixRules
from app.engine.placement.allocate import place
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.replay import Arrival, PlayedStream, Stream, Turn, recount, replay
from app.engine.types import AssignmentKind, Executor, ExecutorId, Policy, TaskId
from tests.engine.builders import a_pool, a_task, an_executor, executors

ZONE = ZoneInfo("Europe/Moscow")
NINE = datetime(2026, 3, 2, 9, tzinfo=ZONE).timestamp()
HOUR, DAY = 3600.0, 86400.0


def an_arrival(number: int, after: float = 0.0, activity: str = "", **changes: object) -> Arrival:
    return Arrival(a_task(number, activity), NINE + after, **changes)  # type: ignore[arg-type]


def arrivals(count: int, every: float = 60.0, **changes: object) -> list[Arrival]:
    return [an_arrival(number, number * every, **changes) for number in range(1, count + 1)]


def a_stream(items: Iterable[Arrival], turns: Iterable[Turn] = (), **changes: object) -> Stream:
    return Stream(list(items), list(turns), ZONE, **changes)  # type: ignore[arg-type]


def received(played: PlayedStream) -> Mapping[int, float]:
    return {one.executor_id: one.received for one in played.figures().people}


def test_a_stream_without_events_is_placed_as_the_live_engine_places_it() -> None:
    items = arrivals(50)
    played = replay(a_pool(executors(7)), a_stream(items))
    outcome = place(a_pool(executors(7)), [item.task for item in items])
    assert played.holders == {decision.task_id: decision.executor_id for decision in outcome.decisions}


def test_what_cannot_be_placed_waits_until_somebody_comes() -> None:
    state = a_pool([an_executor(1, available=False)])
    turn = Turn(NINE + HOUR, [an_executor(1)])
    figures = replay(state, a_stream([an_arrival(1)], [turn])).figures()
    assert (figures.placed, figures.waits.longest if figures.waits else 0) == (1, HOUR)


def test_a_daily_limit_turns_over_at_the_zones_midnight() -> None:
    state = a_pool([an_executor(1, daily_limit=2.0)])
    figures = replay(state, a_stream([*arrivals(3), an_arrival(9, 2 * DAY)])).figures()
    assert figures.placed == 4
    assert [day.placed for day in figures.days] == [2, 1, 1]
    assert figures.waits is not None and figures.waits.longest == pytest.approx(15 * HOUR - 3 * 60)


def test_what_stays_over_the_limit_at_the_end_is_told_with_its_reason() -> None:
    figures = replay(a_pool([an_executor(1, daily_limit=2.0)]), a_stream(arrivals(5))).figures()
    assert (figures.placed, figures.unplaced) == (2, {"all_at_limit": 3})


def test_finished_work_makes_room_for_what_waits_at_once() -> None:
    """PITFALLS 2: a slot that is freed is used."""
    state = a_pool([an_executor(1, max_open=1)])
    figures = replay(state, a_stream(arrivals(3, every=0.0, stays=600.0))).figures()
    assert figures.placed == 3
    assert figures.waits is not None
    assert (figures.waits.longest, figures.waits.waited) == (1200.0, 2)


def test_a_child_follows_whoever_received_its_parent_in_the_replay() -> None:
    parent = an_arrival(1, actual=ExecutorId(2))
    child = an_arrival(2, 60, follows=TaskId(1), kind=AssignmentKind.PARENT, actual=ExecutorId(2))
    played = replay(a_pool(executors(2)), a_stream([parent, child]))
    assert played.holders == {1: 1, 2: 1}


def test_reassigned_work_goes_to_somebody_else_in_the_replay_too() -> None:
    first = an_arrival(1)
    again = an_arrival(2, 60, away_from=TaskId(1), kind=AssignmentKind.REASSIGN)
    played = replay(a_pool(executors(2), loads={}), a_stream([first, again]))
    assert played.holders[TaskId(1)] != played.holders[TaskId(2)]


def test_what_happened_is_counted_with_what_the_rules_would_not_have_allowed() -> None:
    state = a_pool([an_executor(1), an_executor(2, available=False)], {"a": {1}, "b": {1, 2}})
    items = [
        an_arrival(1, 0, "a", actual=ExecutorId(2), waited=30.0),
        an_arrival(2, 60, "b", actual=ExecutorId(2), waited=60.0),
        an_arrival(3, 90, "b", actual=ExecutorId(1), waited=90.0),
        an_arrival(4, 120, "b"),
    ]
    figures = recount(state, a_stream(items)).figures()
    assert figures.broken == {"ineligible": 1, "absent": 2}
    assert figures.unplaced == {"never_assigned": 1}
    assert figures.waits is not None and figures.waits.mean == 60.0


def short_days(days: int, a_day: int) -> list[Arrival]:
    return [
        an_arrival(day * a_day + number, day * DAY + number * 60)
        for day in range(days)
        for number in range(1, a_day + 1)
    ]


def test_a_few_tasks_a_day_reach_everybody_in_time() -> None:
    """PITFALLS 14: with daily windows and little work those with the higher numbers used to receive nothing."""
    settled = replay(a_pool(executors(10)), a_stream(short_days(30, 3)))
    assert sorted(received(settled).values()) == [9.0] * 10
    from_zero = replay(a_pool(executors(10)), a_stream(short_days(30, 3), settles=False))
    assert sorted(received(from_zero).values()) == [0.0] * 7 + [30.0] * 3


def test_who_was_away_owes_nothing_and_is_owed_nothing() -> None:
    """PITFALLS 11: a returner is neither flooded nor starved."""
    people = executors(4)
    away = Turn(NINE + DAY - HOUR, [replace(people[3], available=False)])
    back = Turn(NINE + 5 * DAY - HOUR, [people[3]])
    played = replay(a_pool(people), a_stream(short_days(6, 40), [away, back]))
    figures = played.figures()
    assert received(played)[4] == pytest.approx(20, abs=1)
    assert figures.fairness_gap == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("told", ["replayed", "recounted"])
def test_who_comes_amid_a_day_shares_what_comes_after(told: str) -> None:
    first, second = executors(2)
    state = a_pool([first, replace(second, available=False)])
    came = Turn(NINE + HOUR, [second])
    before, all_ = 5, 13
    items = [an_arrival(number, number * HOUR / 6, actual=first.id) for number in range(1, all_ + 1)]
    played = (replay if told == "replayed" else recount)(state, a_stream(items, [came]))
    fair = {one.executor_id: one.fair for one in played.figures().people}
    assert fair == pytest.approx({first.id: (all_ + before) / 2, second.id: (all_ - before) / 2})
    if told == "replayed":
        assert received(played) == fair


PEOPLE = st.integers(1, 5)


@st.composite
def streams(draw: st.DrawFn) -> tuple[PoolState, Stream]:
    count = draw(PEOPLE)
    ids = [ExecutorId(number) for number in range(1, count + 1)]
    people = [
        Executor(
            i,
            qualification=draw(st.sampled_from((1.0, 0.5, 2.0))),
            daily_limit=draw(st.sampled_from((None, None, 3.0, 0.0))),
            max_open=draw(st.sampled_from((None, None, 1, 2))),
        )
        for i in ids
    ]
    allowed = {name: set(draw(st.lists(st.sampled_from(ids), unique=True))) for name in ("a", "b")}
    state = PoolState(MatrixRules(allowed), PoolSettings(draw(st.sampled_from(Policy))))
    state.upsert(people)
    instants = sorted(draw(st.lists(st.integers(0, 3 * 24), max_size=25)))
    items = [
        an_arrival(
            number,
            hour * HOUR,
            draw(st.sampled_from(("a", "b", "c"))),
            stays=draw(st.sampled_from((0.0, 30.0, 5 * HOUR))),
        )
        for number, hour in enumerate(instants, 1)
    ]
    turns = [
        Turn(NINE + hour * HOUR, [replace(draw(st.sampled_from(people)), available=draw(st.booleans()))])
        for hour in sorted(draw(st.lists(st.integers(0, 3 * 24), max_size=6)))
    ]
    return state, a_stream(items, turns)


@settings(max_examples=150)
@given(streams())
def test_nothing_is_lost_and_nobody_gets_what_they_must_not(given_: tuple[PoolState, Stream]) -> None:
    state, stream = given_
    played = replay(state, stream)
    figures = played.figures()
    assert figures.placed + sum(figures.unplaced.values()) == len(stream.arrivals)
    assert sum(one.received for one in figures.people) == figures.placed == len(played.holders)
    assert sum(one.fair for one in figures.people) == pytest.approx(figures.placed, abs=1e-3)
    for item in stream.arrivals:
        who = played.holders.get(item.task.id)
        if who is not None:
            key = state.rules.task_key(item.task)
            assert state.rules.eligible(key)[state.position[who]]


@settings(max_examples=100)
@given(streams())
def test_daily_limits_hold_on_every_business_day(given_: tuple[PoolState, Stream]) -> None:
    state, stream = given_
    limits = {one.id: one.daily_limit for one in state.executors}
    played = replay(state, stream)
    for day in played.ledger._days.values():
        for executor_id, weight in day.received.items():
            limit = limits[ExecutorId(executor_id)]
            assert limit is None or weight <= limit


@settings(max_examples=50)
@given(streams())
def test_the_same_stream_gives_the_same_replay(given_: tuple[PoolState, Stream]) -> None:
    state, stream = given_
    twin = state.copy()
    twin.rules.update(range(len(twin.executors)), twin.executors)
    assert replay(twin, stream).holders == replay(state, stream).holders


def test_progress_counts_what_was_played() -> None:
    told: list[int] = []
    replay(a_pool(executors(2)), a_stream(arrivals(5, every=DAY)), told.append)
    assert told[-1] == 5 and told == sorted(told)


def test_instants_are_business_days_of_the_zone() -> None:
    late = datetime(2026, 3, 2, 22, 30, tzinfo=UTC).timestamp()  # 01:30 of the next day in Moscow
    figures = replay(a_pool(executors(1)), a_stream([Arrival(a_task(1), late)])).figures()
    assert [str(day.day) for day in figures.days] == ["2026-03-03"]
    assert [hour.arrived for hour in figures.hours if hour.hour == 1] == [1]


def test_the_worst_is_whoever_is_farthest_from_fair() -> None:
    items = [an_arrival(number, number, actual=ExecutorId(1)) for number in range(1, 11)]
    figures = recount(a_pool(executors(2)), a_stream(items)).figures()
    assert figures.fairness_gap == pytest.approx(1.0)
    assert figures.worst is not None and abs(figures.worst.deviation) == pytest.approx(5.0)


def test_an_empty_stream_has_figures_too() -> None:
    figures = replay(a_pool(executors(2)), a_stream([])).figures()
    assert (figures.placed, figures.fairness_gap, figures.waits) == (0, None, None)


def drifting_weeks(weeks: int, steady: bool = False) -> list[Arrival]:
    """Mondays: what all may do in the morning, what only two may do in the afternoon; or both all day."""
    items = []
    for week in range(weeks):
        for number in range(40):
            common = number < 20 if not steady else number % 2 == 0
            activity = "common" if common else "special"
            at = week * 7 * DAY + (0 if number < 20 else 5 * HOUR) + number * 60
            items.append(an_arrival(week * 40 + number + 1, at, activity))
    return items


def gap_with(items: list[Arrival], forecasts: bool) -> float:
    """The mean gap of the days after the first, which has nothing to go by; nothing is carried from day to day."""
    allowed = {"common": {1, 2, 3, 4}, "special": {1, 2}}
    stream = a_stream(items, forecasts=forecasts, settles=False)
    days = replay(a_pool(executors(4), allowed), stream).figures().days[1:]
    return sum(day.gap or 0.0 for day in days) / len(days)


def test_a_forecast_leaves_room_for_what_comes_in_the_afternoon() -> None:
    plain, ahead = gap_with(drifting_weeks(8), False), gap_with(drifting_weeks(8), True)
    assert plain > 0.4 and ahead < plain / 4


def test_a_steady_day_is_no_worse_for_it_by_more_than_a_little() -> None:
    assert gap_with(drifting_weeks(6, steady=True), True) < 0.05


def test_a_forecast_of_the_past_alone_decides() -> None:
    """What comes later in the stream changes nothing before: cut short, the replay decides the same."""
    whole, cut = drifting_weeks(4), drifting_weeks(3)
    allowed = {"common": {1, 2, 3, 4}, "special": {1, 2}}
    full, short = (
        replay(a_pool(executors(4), allowed), a_stream(items, forecasts=True)).holders
        for items in (whole, cut)
    )
    assert {task: who for task, who in full.items() if task in short} == short
