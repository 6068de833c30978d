"""What people complain about in other task routers (PITFALLS.md), row by row: here it does not happen.

Rows 1, 14 and 16 are in test_fairness_watch.py, on a real database.
"""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from app.engine.fairness.fair import Span, fair_share_of_spans
from app.engine.ledger import members_of
from app.engine.placement.allocate import place
from app.engine.placement.explain import Because, explain_preview
from app.engine.placement.state import PoolSettings
from app.engine.placement.words import because, sentences
from app.engine.replay import Turn, replay
from app.engine.types import ExecutorId, Load, Policy
from app.messages.catalogue import told as in_language
from app.replay_report.words import TEXTS
from app.schemas.distribution import ShareOut
from tests.engine.builders import a_pool, a_task, an_executor, chosen, executors, received, tasks
from tests.fairness.test_replay import HOUR, NINE, a_stream, arrivals


def spread(loads: Iterable[float]) -> float:
    values = list(loads)
    return max(values) - min(values)


@pytest.mark.parametrize("team", [3, 7, 40])
def test_pitfall_5_a_burst_spreads_as_evenly_as_one_by_one(team: int) -> None:
    at_once, one_by_one = a_pool(executors(team)), a_pool(executors(team))
    burst = tasks(1000)
    outcome = place(at_once, burst)
    slowly = [who for task in burst for who in chosen(place(one_by_one, [task]))]
    assert chosen(outcome) == slowly
    assert spread(received(at_once).values()) <= 1


def test_pitfall_9_whoever_works_fast_is_not_punished_with_more() -> None:
    """The level counts what was received, not what is open: the fast one has nothing open all the time."""
    pool = a_pool(executors(3))
    for number in range(1, 61):
        place(pool, [a_task(number)])
        fast = pool.load_of(ExecutorId(1))
        pool.update_loads({ExecutorId(1): Load(fast.level, fast.used, 0, fast.last_assigned)})
    assert received(pool) == {1: 20, 2: 20, 3: 20}


@given(
    st.lists(st.sampled_from((0.5, 1.0, 1.5, 2.0)), min_size=2, max_size=6),
    st.sampled_from((Policy.FAIR, Policy.BEST_MATCH)),
)
def test_pitfall_10_everything_is_relative_to_qualification(shares: list[float], policy: Policy) -> None:
    people = [an_executor(i, qualification=q) for i, q in enumerate(shares, 1)]
    pool = a_pool(people, settings=PoolSettings(policy))
    place(pool, tasks(300))
    per_unit = [received(pool)[one.id] / one.qualification for one in people]
    assert spread(per_unit) <= 1 / min(shares) + 1e-9


@pytest.mark.parametrize("comes_at", [0, 10, 50])
def test_pitfall_11_a_newcomer_is_neither_flooded_nor_starved(comes_at: int) -> None:
    people = executors(5)
    late = an_executor(6)
    away = an_executor(6, available=False)
    turn = Turn(NINE + comes_at * 60 + 1, [late])
    played = replay(a_pool([*people, away]), a_stream(arrivals(110, every=60), [turn]))
    after = 110 - comes_at
    got = {one.executor_id: one.received for one in played.figures().people}
    assert got[ExecutorId(6)] == pytest.approx(after / 6, abs=1.5)


def test_pitfall_11_the_first_tasks_after_a_return_do_not_all_go_to_the_one_who_returned() -> None:
    pool = a_pool([*executors(4), an_executor(5, available=False)])
    place(pool, tasks(400))
    level = pool.join_levels([ExecutorId(5)])[ExecutorId(5)]
    pool.upsert([an_executor(5)], {ExecutorId(5): Load(level=level)})
    assert chosen(place(pool, tasks(10, first=401))).count(5) == 2


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 20), st.data())
def test_pitfall_12_why_not_anybody_has_an_answer_in_words(team: int, done: int, data: st.DataObject) -> None:
    people = [
        an_executor(
            i,
            available=data.draw(st.booleans()),
            daily_limit=data.draw(st.sampled_from((None, 3.0))),
            max_open=data.draw(st.sampled_from((None, 2))),
        )
        for i in range(1, team + 1)
    ]
    pool = a_pool(people, {"": data.draw(st.sets(st.integers(1, team)))})
    place(pool, tasks(done))
    _, told = explain_preview(pool, a_task(done + 1))
    for one in people:
        assert told.why_not(one.id).because is not Because.UNKNOWN
        for language in ("ru", "en"):
            assert len(in_language(because(told, one.id, {}), language)) > 10
            assert all(in_language(each, language) for each in sentences(told, {}))


def test_pitfall_13_what_counts_as_load_is_one_definition_and_is_said() -> None:
    assert "weight" in str(ShareOut.model_fields["assigned_today"].description)
    assert "weight" in TEXTS["en"]["units"] and "веса" in TEXTS["ru"]["units"]
    pool = a_pool(executors(2))
    place(pool, [a_task(1, weight=3.0), *tasks(3, first=2)])
    assert received(pool) == {1: 3.0, 2: 3.0}


def test_pitfall_14_whoever_starves_for_want_of_eligible_work_is_not_called_unfair_treatment() -> None:
    pool = a_pool(executors(4), {"": {1, 2}})
    outcome = place(pool, tasks(100))
    work = [(frozenset({1, 2}), float(len(outcome.decisions)))]
    fair = fair_share_of_spans([Span(members_of(pool), work)], {})
    assert {i: round(share, 3) for i, share in fair.items()} == {1: 50, 2: 50, 3: 0, 4: 0}


def test_a_settled_team_is_still_one_by_one() -> None:
    """Settling in the middle of nothing changes nothing: an hour without work leaves no trace."""
    turn = Turn(NINE + HOUR, executors(3))
    with_turn = replay(a_pool(executors(3)), a_stream(arrivals(30, every=60), [turn]))
    assert spread(one.received for one in with_turn.figures().people) <= 1
