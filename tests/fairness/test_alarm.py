"""Alarms of a pool that keeps people apart on purpose: what an outlook explains is none, what it does not is one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.database import Database
from app.engine.fairness.alarm import AlarmBounds, AlarmKind, PeriodStanding, find_alarms
from app.engine.types import ExecutorId, PoolId
from app.services.fairness.fairness_watch import FairnessWatch
from tests.builders import add_tasks
from tests.fairness.test_fairness_watch import alerts, give_everything_to, place, run
from tests.fairness.test_forecast import (
    a_team,
    a_week_ago_much_special_work_came_in_the_afternoon,
    switch_on,
    who_got,
)


def standing(
    number: int, received: float, fair: float = 20.0, expected: float | None = None
) -> PeriodStanding:
    return PeriodStanding(ExecutorId(number), received, fair, fair, expected)


def who(standings: list[PeriodStanding], *, reserves: bool = False) -> list[tuple[AlarmKind, int | None]]:
    found = find_alarms(standings, AlarmBounds(), 1.0, reserves=reserves)
    return [(alarm.kind, alarm.executor_id) for alarm in found]


APART = [standing(1, 0), standing(2, 40)]
GAP, DEVIATION = AlarmKind.GAP, AlarmKind.DEVIATION


def test_without_a_forecast_being_apart_is_unfair() -> None:
    assert who(APART) == [(GAP, None), (DEVIATION, 1), (DEVIATION, 2)]


def test_who_is_expected_to_come_to_what_is_fair_is_no_alarm_nor_who_took_their_place() -> None:
    assert who([standing(1, 0, expected=20), standing(2, 40, expected=30)]) == []


@pytest.mark.parametrize("expected", [0.0, 5.0])
def test_who_is_not_expected_to_come_to_it_is_one(expected: float) -> None:
    found = find_alarms(
        [standing(1, 0, expected=expected), standing(2, 40, expected=20)], AlarmBounds(), task_weight=1.0
    )
    assert [(alarm.kind, alarm.executor_id) for alarm in found] == who(APART)
    assert [alarm.value for alarm in found] == [1, -1, 1], "told is how far they are off, all of it"


def test_a_fault_beside_a_forecast_is_seen() -> None:
    """Number 1 is held back; 2 has everything, and 3, of whom nothing is expected, has nothing."""
    found = who([standing(1, 0, expected=40), standing(2, 60, expected=10), standing(3, 0, expected=0)])
    assert found == [(GAP, None), (DEVIATION, 2), (DEVIATION, 3)]


def test_who_has_more_than_they_are_to_end_with_is_seen_where_nobody_is_held_back() -> None:
    assert (DEVIATION, 2) in who([standing(1, 0, expected=0), standing(2, 40, expected=20)])
    assert who([standing(1, 20, expected=60), standing(2, 20, expected=20)]) == []


def test_a_reserve_may_keep_people_apart_by_a_few_tasks() -> None:
    few, many = ([standing(1, 12 - off, 12), standing(2, 12 + off, 12)] for off in (4, 6))
    silent = replace(AlarmBounds(), gap=None)
    assert len(find_alarms(few, silent, 1.0)) == 2
    assert find_alarms(few, silent, 1.0, reserves=True) == []
    assert len(find_alarms(many, silent, 1.0, reserves=True)) == 2


async def look(database: Database, pool_id: PoolId) -> set[AlarmKind]:
    await FairnessWatch(database).look(datetime.now(UTC))
    return {alert.kind for alert in await alerts(database, pool_id)}


async def test_a_forecast_that_holds_people_back_raises_no_alarm_and_a_fault_does(
    database: Database, pool_id: PoolId
) -> None:
    able, common_only = await a_team(database, pool_id)
    await a_week_ago_much_special_work_came_in_the_afternoon(database, pool_id)
    await run(database, "DELETE FROM executor_days")
    await switch_on(database, pool_id)
    await add_tasks(database, pool_id, 40, parameters={"kind": "common"})
    await place(database, pool_id)
    assert await who_got(database, "common") == common_only
    assert await look(database, pool_id) == set(), "they will come to what is fair in the afternoon"
    await give_everything_to(database, common_only[0])
    assert await look(database, pool_id) == {AlarmKind.GAP, AlarmKind.DEVIATION}
    told = {alert.executor_id for alert in await alerts(database, pool_id)}
    assert common_only[1] in told and not told & set(able)
