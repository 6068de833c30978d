"""What holds for every pool and every stream of tasks that Hypothesis can invent."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from app.engine.fairness.fair import fair_share
from app.engine.placement.allocate import BatchOutcome, Decision, in_order, place, preview
from app.engine.placement.decision_log import ROUTED
from app.engine.placement.state import MILLI, PoolState
from app.engine.types import ExecutorId, Policy, Task
from tests.engine.reference import Reference
from tests.engine.worlds import World, worlds

pytestmark = pytest.mark.usefixtures("team_size")


def told(outcome: BatchOutcome) -> dict[int, tuple[object, object]]:
    """Per task: (executor, kind), or (None, reason)."""
    placed: dict[int, tuple[object, object]] = {d.task_id: (d.executor_id, d.kind) for d in outcome.decisions}
    return placed | {waiting.task_id: (None, waiting.reason) for waiting in outcome.waiting}


def decided(state: PoolState, batches: Sequence[Sequence[Task]]) -> list[Decision]:
    return [decision for batch in batches for decision in place(state, batch).decisions]


@given(worlds())
def test_every_decision_and_every_wait_equals_that_of_a_plain_loop(world: World) -> None:
    state = world.state()
    reference = Reference.of(world.rules(), world.settings, world.people, world.loads)
    outcome = place(state, world.tasks)
    expected = reference.place(world.tasks)
    assert told(outcome) == {task_id: (who, what) for task_id, who, what in expected}
    assert [d.task_id for d in outcome.decisions] == [
        task_id for task_id, who, _ in expected if who is not None
    ]
    for person in reference.people.values():
        load = state.load_of(person.executor.id)
        assert (load.level, load.used) == (person.level / 1000, person.used / 1000)
        assert (load.open, load.last_assigned) == (person.open, person.last)


@given(worlds(), st.data())
def test_how_a_stream_is_cut_into_batches_changes_nothing(world: World, data: st.DataObject) -> None:
    ordered = in_order(world.tasks)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(ordered)), max_size=4)))
    batches = [ordered[a:b] for a, b in zip([0, *cuts], [*cuts, len(ordered)], strict=True)]
    cut = decided(world.state(), batches)
    whole = decided(world.state(), [ordered])
    assert [d[:8] for d in cut] == [d[:8] for d in whole]


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_batch_is_handed_over_changes_nothing(world: World, random: object) -> None:
    shuffled = list(world.tasks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert place(world.state(), shuffled).decisions == place(world.state(), world.tasks).decisions


@given(worlds())
def test_nobody_ineligible_absent_or_full_receives_routed_work(world: World) -> None:
    state, rules = world.state(), world.rules()
    by_id = {task.id: task for task in world.tasks}
    people = {person.id: person for person in world.people}
    used = {person.id: state.load_of(person.id).used for person in world.people}
    open_now = {person.id: state.load_of(person.id).open for person in world.people}
    for decision in place(state, world.tasks).decisions:
        person, task = people[decision.executor_id], by_id[decision.task_id]
        assert person.active
        if decision.kind in ROUTED:
            assert person.available
            assert person.id in world.allowed[str(rules.task_key(task))]
            assert person.id not in task.excluded_executors
            used[person.id] = round(used[person.id] + decision.weight, 3)
            assert person.daily_limit is None or used[person.id] <= person.daily_limit
            assert person.max_open is None or open_now[person.id] < person.max_open
        open_now[person.id] += 1


@given(worlds())
def test_forced_work_goes_to_the_one_it_must_go_to_or_is_routed(world: World) -> None:
    by_id = {task.id: task for task in world.tasks}
    for decision in place(world.state(), world.tasks).decisions:
        task = by_id[decision.task_id]
        if decision.kind not in ROUTED:
            assert decision.executor_id == task.forced_executor
            assert decision.kind is task.forced_kind


@given(worlds())
def test_no_task_waits_while_somebody_eligible_has_room(world: World) -> None:
    state = world.state()
    waiting = {waiting.task_id for waiting in place(state, world.tasks).waiting}
    again = place(state, [task for task in world.tasks if task.id in waiting])
    assert not again.decisions


@given(worlds())
def test_weight_is_conserved(world: World) -> None:
    state = world.state()
    before = {person.id: state.load_of(person.id) for person in world.people}
    outcome = place(state, world.tasks)
    assert len(outcome.decisions) + len(outcome.waiting) == len(world.tasks)
    for person in world.people:
        own = [d for d in outcome.decisions if d.executor_id == person.id]
        after = state.load_of(person.id)
        assert round(after.level - before[person.id].level, 3) == round(sum(d.weight for d in own), 3)
        assert round(after.used - before[person.id].used, 3) == round(
            sum(d.weight for d in own if d.kind in ROUTED), 3
        )
        assert after.open - before[person.id].open == len(own)


@given(worlds())
def test_no_policy_beats_the_fair_optimum(world: World) -> None:
    """The sum of squares over qualification of whatever was placed is never below that of its fair share."""
    state, rules = world.state(), world.rules()
    used = state.used / MILLI
    decisions = place(state, world.tasks).decisions
    by_id = {task.id: task for task in world.tasks}
    order = [person.id for person in world.people]
    q = np.array([person.qualification for person in world.people])
    limits = np.array([np.inf if p.daily_limit is None else p.daily_limit for p in world.people]) - used
    fixed, got, barred = np.zeros(len(order)), np.zeros(len(order)), frozenset[ExecutorId]()
    work: dict[tuple[object, frozenset[ExecutorId]], float] = {}
    for decision in decisions:
        at = order.index(decision.executor_id)
        if decision.kind in ROUTED:
            task = by_id[decision.task_id]
            barred = task.excluded_executors
            name = (rules.task_key(task), barred)
            work[name] = work.get(name, 0.0) + decision.weight
            got[at] += decision.weight
        else:
            fixed[at] += decision.weight
    here = np.array([person.available and person.active for person in world.people])
    rows = [rules.eligible(key) & here & ~np.isin(order, list(without)) for key, without in work]
    eligible = np.array(rows).reshape(len(rows), len(order))
    best = fair_share(eligible, np.array([*work.values()]), q, fixed, np.maximum(limits, 0.0))
    assert best.unplaced.sum() < 1e-3
    assert (best.shares**2 / q).sum() <= ((fixed + got) ** 2 / q).sum() + 1e-3


def renamed(world: World, names: dict[ExecutorId, ExecutorId]) -> World:
    """The same world with other ids."""
    return replace(
        world,
        people=tuple(replace(person, id=names[person.id]) for person in world.people),
        loads={names[i]: load for i, load in world.loads.items()},
        allowed={activity: frozenset(names[i] for i in ids) for activity, ids in world.allowed.items()},
        preferred={
            activity: {names[i]: liking for i, liking in likings.items()}
            for activity, likings in world.preferred.items()
        },
        tasks=tuple(
            replace(
                task,
                forced_executor=None if task.forced_executor is None else names.get(task.forced_executor),
                forced_kind=task.forced_kind if task.forced_executor in names else None,
                excluded_executors=frozenset(names[i] for i in task.excluded_executors if i in names),
            )
            for task in world.tasks
        ),
    )


@given(worlds(), st.data())
def test_other_ids_in_the_same_order_change_nothing(world: World, data: st.DataObject) -> None:
    """Ids break ties by their order and do nothing else."""
    ids = sorted(person.id for person in world.people)
    others = sorted(data.draw(st.sets(st.integers(100, 999), min_size=len(ids), max_size=len(ids))))
    names = dict(zip(ids, map(ExecutorId, others), strict=True))
    same = renamed(world, {i: i for i in ids})
    plain, other = (
        place(same.state(), same.tasks),
        place(renamed(world, names).state(), renamed(world, names).tasks),
    )
    assert [names[d.executor_id] for d in plain.decisions] == [d.executor_id for d in other.decisions]
    assert [w.reason for w in plain.waiting] == [w.reason for w in other.waiting]


@given(worlds(policies=(Policy.FAIR,)), st.permutations(range(7)))
def test_permuting_ids_changes_only_who_wins_a_tie(world: World, order: list[int]) -> None:
    """Up to the first tie both worlds decide alike; at it, both choose among equals."""
    ids = sorted(person.id for person in world.people)
    shuffled = [ids[k] for k in order if k < len(ids)]
    names = dict(zip(ids, shuffled, strict=True))
    plain = renamed(world, {i: i for i in ids})
    other = renamed(world, names)
    first, second = place(plain.state(), plain.tasks), place(other.state(), other.tasks)
    for one, two in zip(first.decisions, second.decisions, strict=False):
        if names[one.executor_id] != two.executor_id:
            assert one.score == two.score
            return
        assert one.task_id == two.task_id
    assert [w.task_id for w in first.waiting] == [w.task_id for w in second.waiting]


@given(worlds(policies=(Policy.FAIR, Policy.BEST_MATCH)), st.sampled_from((2.0, 0.25, 3.0, 0.7)))
def test_scaling_all_qualifications_changes_nothing(world: World, factor: float) -> None:
    """The day load per unit of qualification scales with them: it is a total divided by their sum."""
    scaled = replace(
        world,
        people=tuple(replace(p, qualification=p.qualification * factor) for p in world.people),
        settings=replace(world.settings, day_load=world.settings.day_load / factor),
    )
    assert told(place(scaled.state(), world.tasks)) == told(place(world.state(), world.tasks))


@given(worlds())
def test_a_preview_tells_what_would_happen_and_changes_nothing(world: World) -> None:
    state = world.state()
    for task in in_order(world.tasks):
        loads = {person.id: state.load_of(person.id) for person in world.people}
        flex = state.classes.flex.tolist()
        foreseen = preview(state, task)
        assert {person.id: state.load_of(person.id) for person in world.people} == loads
        assert state.classes.flex.tolist() == flex
        outcome = place(state, [task])
        assert [*outcome.decisions, *outcome.waiting] == [foreseen]
