"""Why X, why not Y for any Y, why waiting (PITFALLS 12): from what was stored, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from app.engine.placement.allocate import Decision, WaitingTask, in_order, place
from app.engine.placement.decision_log import ROUTED, picture_at
from app.engine.placement.explain import Because, Explanation, Record, explain, explain_preview
from app.engine.placement.snapshot import fold, list_or_pack, pack, unfold, unpack
from app.engine.placement.state import PoolState
from app.engine.placement.words import because, sentences
from app.engine.types import AssignmentKind, Executor, ExecutorId, Load, Policy, Task
from app.messages.catalogue import Language, told as in_language
from tests.engine.builders import a_pool, a_task, an_executor, executors, tasks
from tests.engine.worlds import LOADS, World, worlds


class Archive:
    """What a database would keep: JSON texts only."""

    def __init__(self) -> None:
        self.frames: dict[int, str] = {}
        self.snapshots: dict[str, str] = {}

    def keep(self, state: PoolState, number: int, batch: Sequence[Task]) -> list[Decision | WaitingTask]:
        state.trail.begin(state, number)
        outcome = place(state, batch)
        self.frames[number] = json.dumps(state.trail.end())
        for digest in outcome.digests():
            self.snapshots[digest] = json.dumps(state.snapshot(digest).content)
        return [*outcome.decisions, *outcome.waiting]

    def explain(self, placed: Decision | WaitingTask) -> Explanation:
        stored: Mapping[str, Any] = json.loads(json.dumps(placed.explanation))
        last = json.loads(self.frames[stored["frame"]])
        chain = [
            json.loads(text) for number, text in sorted(self.frames.items()) if number <= stored["frame"]
        ]
        chain = [frame for frame in chain if frame["start"] == last["start"]]
        content = json.loads(self.snapshots[placed.class_digest])
        return explain(Record.of(placed), content, picture_at(chain, stored["step"]))


@st.composite
def changes(draw: st.DrawFn, world: World) -> tuple[dict[ExecutorId, Load], list[Executor]]:
    """What happens between two batches: loads are counted anew, people come and go, limits move."""
    anybody = st.sampled_from(world.people)
    loads = draw(st.dictionaries(anybody.map(lambda p: p.id), LOADS, max_size=3))
    moved = draw(st.lists(anybody, max_size=2, unique_by=lambda p: p.id))
    return loads, [
        replace(p, available=not p.available, daily_limit=draw(st.sampled_from((None, 3.0)))) for p in moved
    ]


@given(worlds(), st.data())
def test_every_decision_is_explained_from_what_was_stored(world: World, data: st.DataObject) -> None:
    state, archive, placed = world.state(), Archive(), []
    ordered = in_order(world.tasks)
    for number, first in enumerate(range(0, len(ordered), 5), 1):
        placed += archive.keep(state, number, ordered[first : first + 5])
        loads, moved = data.draw(changes(world))
        state.upsert(moved, loads)
    for one in placed:
        told = archive.explain(one)
        if isinstance(one, WaitingTask):
            assert told.ranking == ()
            assert [told.absent, told.at_limit, told.busy] == [
                one.details[k] for k in ("absent", "at_limit", "busy")
            ]
        elif one.kind in ROUTED:
            best = told.ranking[0]
            assert (best.executor_id, best.level) == (one.executor_id, one.level_before)
            assert best.score == pytest.approx(one.score, abs=2e-9)
            assert all(told.why_not(other.executor_id).candidate == other for other in told.runners_up(99))
        assert all(told.why_not(p.id).because is not Because.UNKNOWN for p in world.people)


@given(st.sets(st.integers(1, 60)))
def test_folded_ids_unfold_to_themselves(ids: set[int]) -> None:
    assert unfold(json.loads(json.dumps(fold(ids)))) == sorted(ids)


@given(st.integers(1, 10**12), st.lists(st.integers(1, 40), min_size=600, max_size=700))
def test_many_ids_are_packed_and_unfold_to_themselves(first: int, steps: list[int]) -> None:
    ids = np.cumsum([first, *steps])
    packed = pack(ids)
    assert isinstance(packed, str) == (ids[-1] - ids[0] < 16 * len(ids))
    assert unfold(json.loads(json.dumps(packed))) == ids.tolist()


@pytest.mark.parametrize(("count", "kind"), [(0, list), (499, list), (500, str)])
def test_ids_that_sql_reads_are_a_plain_list_or_packed(count: int, kind: type) -> None:
    ids = np.arange(7, 7 + 2 * count, 2)
    kept = list_or_pack(ids)
    assert isinstance(kept, kind)
    assert unpack(kept).tolist() == ids.tolist()


def test_a_frame_carries_only_what_changed() -> None:
    state = a_pool(executors(50))
    archive = Archive()
    archive.keep(state, 1, tasks(10))
    state.update_loads({ExecutorId(7): Load(level=2.0)})
    archive.keep(state, 2, tasks(10, first=11))
    frame = json.loads(archive.frames[2])
    assert frame["start"] == 1
    assert [row[0] for row in frame["changed"]] == [7]
    assert len(frame["to"]) == 10


def test_a_picture_needs_the_full_frame_first() -> None:
    with pytest.raises(ValueError, match="same start"):
        picture_at([{"start": 1, "changed": [], "to": [], "weight": [], "fixed": [], "sequence": 0}], 0)


def a_busy_pool() -> PoolState:
    """Seven people, each out for another reason or in."""
    people = [
        an_executor(1, name="Anna"),
        an_executor(2, name="Boris", qualification=2.0),
        an_executor(3, name="Vera", available=False),
        an_executor(4, name="Gleb", daily_limit=5.0),
        an_executor(5, name="Dina", max_open=2),
        an_executor(6, name="Egor", active=False),
        an_executor(7, name="Zhanna"),
        an_executor(8, name="Ivan"),
    ]
    loads = {
        1: Load(level=3.0, used=3.0, open=3),
        2: Load(level=10.0),
        4: Load(level=5.0, used=5.0),
        5: Load(level=1.0, open=2),
        8: Load(level=4.0),
    }
    preferred = {"credit": {ExecutorId(2): 2.0}}
    return a_pool(people, {"credit": {1, 2, 3, 4, 5, 6, 8}}, loads=loads, preferred=preferred)


NAMES = {executor.id: executor.name for executor in a_busy_pool().executors}


def told_of(task: Task) -> Explanation:
    return explain_preview(a_busy_pool(), task)[1]


def test_why_not_names_the_first_thing_that_kept_each_one_out() -> None:
    told = told_of(a_task(1, "credit"))
    assert {i: told.why_not(ExecutorId(i)).because for i in (*range(1, 9), 99)} == {
        1: Because.CHOSEN,
        2: Because.SCORE,
        3: Because.ABSENT,
        4: Because.LIMIT,
        5: Because.BUSY,
        6: Because.LEFT,
        7: Because.RULE,
        8: Because.SCORE,
        99: Because.UNKNOWN,
    }


def test_a_forced_task_was_bound_to_somebody_else() -> None:
    bound = replace(a_task(1, "credit"), forced_executor=ExecutorId(8), forced_kind=AssignmentKind.PARENT)
    assert told_of(bound).why_not(ExecutorId(1)).because is Because.BOUND


def test_whoever_gave_the_task_back_does_not_get_it_again() -> None:
    barred = replace(a_task(1, "credit"), excluded_executors=frozenset({ExecutorId(1)}))
    told = told_of(barred)
    assert told.record.executor_id == 2
    assert told.why_not(ExecutorId(1)).because is Because.BARRED


def test_best_match_says_that_somebody_suits_better() -> None:
    state = a_busy_pool()
    state.settings = replace(state.settings, policy=Policy.BEST_MATCH)
    told = explain_preview(state, a_task(1, "credit"))[1]
    assert told.record.executor_id == 2
    assert told.why_not(ExecutorId(1)).because is Because.PREFERENCE


def test_equal_scores_are_called_a_tie() -> None:
    told = explain_preview(a_pool(executors(3)), a_task())[1]
    assert told.why_not(ExecutorId(2)).because is Because.TIE


CASES: dict[str, Task] = {
    "chosen by the policy": a_task(1, "credit"),
    "follows its parent": replace(
        a_task(1, "credit"), forced_executor=ExecutorId(8), forced_kind=AssignmentKind.PARENT
    ),
    "previous executor is away": replace(
        a_task(1, "credit"), forced_executor=ExecutorId(3), forced_kind=AssignmentKind.REWORK
    ),
    "nobody is eligible": a_task(1, "unheard of"),
}


def test_a_worse_preference_is_not_called_more_work() -> None:
    preferred = {"": {ExecutorId(1): 20.0}}
    told = explain_preview(a_pool(executors(2), levels={1: 5.0}, preferred=preferred), a_task())[1]
    assert because(told, ExecutorId(2), {}).startswith("the score of executor 2 was higher")


def speech(language: Language) -> str:
    """Every case in one text."""
    lines: list[str] = []
    for case, task in CASES.items():
        told = told_of(task)
        lines += [f"# {case}", *(in_language(each, language) for each in sentences(told, NAMES))]
        lines += [
            f"- {in_language(because(told, ExecutorId(i), NAMES), language)}" for i in (*range(1, 9), 99)
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_words_are_those_agreed_on(language: Language) -> None:
    """The golden file is kept by hand: read it before changing it."""
    golden = Path(__file__).parent / "golden" / f"explanation.{language}.txt"
    assert speech(language) == golden.read_text(encoding="utf-8")
