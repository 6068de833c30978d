"""The reserve: room kept by the mix of the day so far, for every pool that Hypothesis can invent and for plain ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from app.engine.fairness.fair import fair_share
from app.engine.fairness.forecast import prices
from app.engine.placement.allocate import Decision, place
from app.engine.placement.decision_log import ROUTED
from app.engine.placement.explain import Because, Explanation, explain_preview
from app.engine.placement.reserve_draw import MOST_PEOPLE, Mix, Reserve, lasts
from app.engine.placement.state import PoolState
from app.engine.placement.words import because, sentences
from app.engine.types import ExecutorId, Policy, Task
from app.messages.catalogue import LANGUAGES, told as in_language
from tests.engine.builders import a_pool, a_task, executors, tasks
from tests.engine.test_explanation import Archive
from tests.engine.test_placement_properties import renamed
from tests.engine.worlds import ACTIVITIES, World, worlds

GRADES = {"common": range(1, 5), "special": range(1, 3)}
SPECIAL_DAY = {"common": 40, "special": 60}


def a_reserve(state: PoolState, came: Mapping[str, int]) -> Reserve:
    """A day on which so many tasks of each activity came, each of one task unit."""
    reserve = Reserve()
    reserve.begin(
        state,
        [
            Mix(state.classes.meet(activity).eligible, count, count)
            for activity, count in came.items()
            if count
        ],
    )
    return reserve


def play(
    state: PoolState, reserve: Reserve, stream: Sequence[Task], archive: Archive | None = None
) -> list[Decision]:
    """The stream in batches of three, each with its outlook."""
    made: list[Decision] = []
    for number, first in enumerate(range(0, len(stream), 3), 1):
        batch = stream[first : first + 3]
        state.outlook = reserve.outlook_for(state, len(batch))
        placed = place(state, batch).decisions if archive is None else archive.keep(state, number, batch)
        decisions = [one for one in placed if isinstance(one, Decision)]
        reserve.note(state, decisions)
        made += decisions
    return made


@st.composite
def days(draw: st.DrawFn) -> tuple[World, dict[str, int]]:
    """A pool where the few may do what others may not, limits that bind now and then, and what came so far."""
    world = draw(worlds(policies=(Policy.FAIR,)))
    ids = draw(st.permutations([person.id for person in world.people]))
    sizes = st.integers(1, len(ids))
    people = tuple(
        replace(one, daily_limit=None if one.daily_limit is None else one.daily_limit + 9.0 * (one.id % 5))
        for one in world.people
    )
    allowed = {activity: frozenset(ids[: draw(sizes)]) for activity in ACTIVITIES}
    came = {activity: draw(st.sampled_from((0, 7, 70, 300))) for activity in ACTIVITIES}
    return replace(world, people=people, allowed=allowed), came


@given(days())
def test_nobody_ineligible_absent_or_full_receives_routed_work(day: tuple[World, dict[str, int]]) -> None:
    world, came = day
    state = world.state()
    by_id, people = {task.id: task for task in world.tasks}, {person.id: person for person in world.people}
    used = {person.id: state.load_of(person.id).used for person in world.people}
    for decision in play(state, a_reserve(state, came), world.tasks):
        person, task = people[decision.executor_id], by_id[decision.task_id]
        if decision.kind in ROUTED:
            assert person.available and person.active
            assert person.id in world.allowed[str(task.parameters["activity"])]
            used[person.id] = round(used[person.id] + decision.weight, 3)
            assert person.daily_limit is None or used[person.id] <= person.daily_limit


@given(days())
def test_it_takes_nothing_from_what_can_be_placed(day: tuple[World, dict[str, int]]) -> None:
    """Somebody held back still takes what nobody else can."""
    world, came = day
    state = world.state()
    state.outlook = a_reserve(state, came).outlook_for(state, 1)
    waiting = {waiting.task_id for waiting in place(state, world.tasks).waiting}
    assert not place(state, [task for task in world.tasks if task.id in waiting]).decisions


def held_of(world: World, came: dict[str, int]) -> dict[ExecutorId, float]:
    state = world.state()
    outlook = a_reserve(state, came).outlook_for(state, 1)
    return {} if outlook is None else {ExecutorId(i): one.held for i, one in outlook.people.items()}


@given(days(), st.permutations(range(7)))
def test_permuting_ids_holds_the_same_people_back(
    day: tuple[World, dict[str, int]], order: list[int]
) -> None:
    world, came = day
    ids = sorted(person.id for person in world.people)
    names = dict(zip(ids, [ids[k] for k in order if k < len(ids)], strict=True))
    plain, other = held_of(world, came), held_of(renamed(world, names), came)
    assert {names[i]: held for i, held in plain.items()} == pytest.approx(other, abs=0.01)


@given(days(), st.sampled_from((2.0, 0.25, 3.0, 0.7)))
def test_scaling_all_qualifications_holds_nobody_back_otherwise(
    day: tuple[World, dict[str, int]], factor: float
) -> None:
    world, came = day
    people = tuple(replace(one, qualification=one.qualification * factor) for one in world.people)
    assert held_of(replace(world, people=people), came) == pytest.approx(held_of(world, came), abs=0.01)


@given(days())
def test_where_all_may_do_the_same_there_is_no_outlook(day: tuple[World, dict[str, int]]) -> None:
    world, came = day
    everybody = frozenset(person.id for person in world.people)
    assert held_of(replace(world, allowed=dict.fromkeys(ACTIVITIES, everybody)), came) == {}


@given(days())
def test_every_choice_is_reproduced_from_what_was_stored(day: tuple[World, dict[str, int]]) -> None:
    world, came = day
    state, archive = world.state(), Archive()
    made = play(state, a_reserve(state, came), world.tasks, archive)
    for decision in made:
        told = archive.explain(decision)
        if decision.kind in ROUTED:
            best = told.ranking[0]
            assert (best.executor_id, best.level) == (decision.executor_id, decision.level_before)
            assert best.score == pytest.approx(decision.score, abs=2e-9)
            assert best.target is None
    again = world.state()
    assert [one[:8] for one in play(again, a_reserve(again, came), world.tasks)] == [one[:8] for one in made]


def graded() -> PoolState:
    """Two who may do everything, two who may do what is common; a day with more of what is special."""
    return a_pool(executors(4), GRADES, levels={1: 30, 2: 30, 3: 20, 4: 20})


def test_who_will_end_higher_is_held_back() -> None:
    state = graded()
    outlook = a_reserve(state, SPECIAL_DAY).outlook_for(state, 1)
    assert outlook is not None
    assert outlook.held_of(1) == outlook.held_of(2) > 0 == outlook.held_of(3) == outlook.held_of(4)


def test_people_are_compared_with_those_they_share_work_with() -> None:
    """One department drowns, the other has little: nobody of either can take anything from the other."""
    apart = {"here": (1, 2), "there": (3, 4)}
    state = a_pool(executors(4), apart)
    assert a_reserve(state, {"here": 90, "there": 10}).outlook_for(state, 1) is None


def test_a_morning_of_less_than_ten_tasks_a_person_tells_nothing() -> None:
    state = graded()
    assert a_reserve(state, {"common": 15, "special": 24}).outlook_for(state, 1) is None
    assert a_reserve(state, {"common": 16, "special": 24}).outlook_for(state, 1) is not None


def test_a_peak_a_large_team_and_other_policies_go_without() -> None:
    state = graded()
    reserve = a_reserve(state, SPECIAL_DAY)
    assert reserve.serves(state, 2 * lasts(4)) and not reserve.serves(state, 2 * lasts(4) + 1)
    assert not Reserve().serves(a_pool(executors(MOST_PEOPLE + 1)), 1)
    state.settings = replace(state.settings, policy=Policy.BEST_MATCH)
    assert not reserve.serves(state, 1)


def drawn() -> tuple[PoolState, Reserve]:
    state = graded()
    reserve = a_reserve(state, SPECIAL_DAY)
    state.outlook = reserve.outlook_for(state, 1)
    assert state.outlook is not None
    return state, reserve


def test_it_is_dropped_when_it_is_old_and_drawn_anew_when_it_is_due() -> None:
    state, reserve = drawn()
    first = state.outlook
    reserve.note(state, place(state, tasks(lasts(4) - 1, "common")).decisions)
    assert not reserve.due(state) and reserve.outlook(state) is first
    reserve.note(state, place(state, tasks(1, "common", first=50)).decisions)
    assert reserve.due(state) and reserve.outlook(state) is first, "good for as many again"
    reserve.note(state, place(state, tasks(lasts(4) + 1, "common", first=60)).decisions)
    assert reserve.outlook(state) is None
    assert reserve.outlook_for(state, 1) not in (None, first)


def test_it_is_dropped_when_somebody_goes_and_when_levels_are_settled() -> None:
    state, reserve = drawn()
    state.upsert([replace(state.executors[3], available=False)])
    assert reserve.outlook(state) is None and reserve.due(state)
    state, reserve = drawn()
    for executor_id in range(1, 5):
        state.set_level(ExecutorId(executor_id), float(executor_id))
    assert reserve.outlook(state) is None and reserve.due(state)


def test_what_was_placed_counts_along_and_what_others_placed_makes_it_stale() -> None:
    state, reserve = drawn()
    reserve.note(state, place(state, tasks(4, "common")).decisions)
    assert not reserve.stale(state)
    place(state, tasks(1, "common", first=9))
    assert reserve.stale(state)
    reserve.note(state, place(state, tasks(1, "common", first=10)).decisions)
    assert reserve.stale(state), "what it missed it does not guess"


def test_who_will_use_up_their_limit_is_no_bargain() -> None:
    """Number 1 ends low because of a limit: what they take now the others must take from them later."""
    eligible, q, room = np.ones((1, 3), dtype=np.bool_), np.ones(3), np.array([2.0, np.inf, np.inf])
    solved = fair_share(eligible, np.array([12.0]), q, np.zeros(3), room)
    assert solved.shares.tolist() == [2, 5, 5]
    assert prices(eligible, solved, q, room).tolist() == [5, 5, 5]
    full = fair_share(eligible, np.array([12.0]), q, np.zeros(3), np.array([1.0, 2.0, 3.0]))
    assert prices(eligible, full, q, np.array([1.0, 2.0, 3.0])).tolist() == [3, 3, 3]


def told_of(state: PoolState) -> Explanation:
    return explain_preview(state, a_task(1, "common"))[1]


def test_explanations_say_that_the_mix_of_the_day_kept_people_back() -> None:
    state, _ = drawn()
    for executor_id in range(1, 5):
        state.set_level(ExecutorId(executor_id), 20.0)
    told = told_of(state)
    assert told.record.executor_id == 3 and told.why_not(ExecutorId(1)).because is Because.SCORE
    names = {ExecutorId(i): name for i, name in enumerate(("Anna", "Boris", "Vera", "Gleb"), 1)}
    english, russian = (
        " ".join(in_language(each, language) for each in sentences(told, names)) for language in LANGUAGES
    )
    assert "counting by how much people are kept back for work that only few can take (level 20)" in english
    assert "going by the mix of today so far" in english and "forecast" not in english
    assert "судя по тому, какие заявки приходят сегодня" in russian and "рогноз" not in russian
    assert "level 20, held back by" in because(told, ExecutorId(1), names)
    assert "придержано на" in in_language(because(told, ExecutorId(1), names), "ru")


def test_where_nobody_who_could_take_it_is_held_back_nothing_is_said() -> None:
    state, _ = drawn()
    told = explain_preview(state, a_task(1, "special"))[1]
    assert "kept back" not in " ".join(sentences(told, {}))
