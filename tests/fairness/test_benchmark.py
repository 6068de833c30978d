"""The fairness that the benchmark promises, on worlds that take no time: a change that costs fairness is red."""

import pytest

from app.engine.types import Policy
from benchmarks import forecast
from benchmarks.fairness import DAYS, World, play

PROMISED = {
    "all": 0.006,
    "random 0.1": 0.006,
    "random 0.3": 0.006,
    "nested": 0.012,
    "departments": 0.03,
    "limits": 0.03,
    "shifts, nested": 0.02,
    "shifts, departments": 0.03,
}


@pytest.mark.parametrize("name", PROMISED)
def test_a_day_of_a_hundred_people_is_as_fair_as_promised(name: str) -> None:
    [day] = [day for day in DAYS if day.name == name]
    assert play(World.of(day, 100, 1), Policy.FAIR).gap <= PROMISED[name]


def test_settling_is_fairer_than_joining_in_level_and_than_from_zero() -> None:
    [day] = [day for day in DAYS if day.name == "shifts, departments"]
    world = World.of(day, 100, 1)
    settled, in_level, from_zero = (
        play(world, Policy.FAIR, way).gap for way in ("settled", "in level", "from zero")
    )
    assert settled < in_level and settled < from_zero


def test_a_right_forecast_mends_a_drifting_day_and_costs_a_steady_one_nothing() -> None:
    days = {day.name: day for day in DAYS}
    mended, drifting = (forecast.play(days["drift"], 15, 1, kind)[-1] for kind in ("right", "none"))
    assert drifting > 0.2 and mended < 0.05
    foreseen, steady = (forecast.play(days["nested"], 15, 1, kind)[-1] for kind in ("right", "none"))
    assert foreseen <= steady + 0.01
