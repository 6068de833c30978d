"""R9 in its short form (LIFECYCLE_EXAMPLES and LIFECYCLE_STEPS make it long), and the defects that it must find."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from app.config import Settings
from app.services.placement import sql as statements
from app.services.tasks import moves, sql as lifecycle_statements
from app.services.tasks.moves import MOVES, MoveName
from app.services.waking import sql as waking_statements
from tests.lifecycle.model import Lifecycle

EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "8"))
STEPS = int(os.environ.get("LIFECYCLE_STEPS", "20"))


def test_model_and_system_agree_whatever_happens(settings: Settings) -> None:
    class OnThisDatabase(Lifecycle):
        settings_of_run = settings

    run_state_machine_as_test(
        OnThisDatabase,
        settings=hypothesis_settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@contextmanager
def opened(settings: Settings, *people: tuple[float | None, int | None]) -> Iterator[Lifecycle]:
    """A machine that is driven by hand."""

    class OnThisDatabase(Lifecycle):
        settings_of_run = settings

    machine = OnThisDatabase()
    machine.open_a_pool(list(people))
    try:
        yield machine
    finally:
        machine.teardown()


def a_life(machine: Lifecycle) -> None:
    """Steps in which each of the defects below shows."""
    machine.submit([1.0, 1.0, 1.0], again=True)
    machine.a_worker_places_what_waits()
    for move in ("start", "return", "complete", "resume"):
        first = min(machine.world.tasks)
        machine.move(first, MoveName(move))
        machine.model_and_system_agree()
        machine.a_worker_places_what_waits()
        machine.model_and_system_agree()
    for name in (MoveName.REJECT, MoveName.COMPLETE, MoveName.REASSIGN):
        held = [task_id for task_id, work in machine.world.tasks.items() if work.status == "assigned"]
        machine.move(max(held, key=lambda task_id: machine.world.tasks[task_id].counted), name)
        machine.model_and_system_agree()
        machine.a_worker_places_what_waits()
        machine.model_and_system_agree()
        machine.submit([1.0], again=False)
        machine.a_worker_places_what_waits()


def test_the_life_that_shows_defects_is_sound_without_one(settings: Settings) -> None:
    with opened(settings, (8.0, 1), (8.0, 1)) as machine:
        a_life(machine)


def accept_a_forbidden_move(patch: pytest.MonkeyPatch) -> None:
    statuses, effect = MOVES[MoveName.COMPLETE]
    patch.setitem(MOVES, MoveName.COMPLETE, ((*statuses, "returned"), effect))


def count_what_was_undone(patch: pytest.MonkeyPatch) -> None:
    statuses, effect = MOVES[MoveName.REJECT]
    patch.setitem(MOVES, MoveName.REJECT, (statuses, effect._replace(undone=False)))


def keep_the_slot(patch: pytest.MonkeyPatch) -> None:
    statuses, effect = MOVES[MoveName.COMPLETE]
    patch.setitem(MOVES, MoveName.COMPLETE, (statuses, effect._replace(releases=False)))


def wake_nobody(patch: pytest.MonkeyPatch) -> None:
    asleep = waking_statements.WAKE_FOR.replace("status = 'pending'\nRETURNING", "false\nRETURNING")
    assert asleep != waking_statements.WAKE_FOR
    patch.setattr(waking_statements, "WAKE_FOR", asleep)


def forget_the_loads(patch: pytest.MonkeyPatch) -> None:
    without = lifecycle_statements.MOVE_TASKS.replace(
        "open_count = load.open_count - sum.count", "open_count = 0"
    )
    patch.setattr(lifecycle_statements, "MOVE_TASKS", without)


def give_it_back_to_whom_it_was_taken_from(patch: pytest.MonkeyPatch) -> None:
    forgetful = statements.NEXT_TASKS.replace("task.route,", "NULL AS route,")
    assert forgetful != statements.NEXT_TASKS
    patch.setattr(statements, "NEXT_TASKS", forgetful)


DEFECTS: list[Callable[[pytest.MonkeyPatch], Any]] = [
    accept_a_forbidden_move,
    count_what_was_undone,
    keep_the_slot,
    wake_nobody,
    forget_the_loads,
    give_it_back_to_whom_it_was_taken_from,
]


def test_planted_defects_are_found(settings: Settings) -> None:
    """6 of 6: a model that finds nothing proves nothing."""
    survived = []
    for plant in DEFECTS:
        with pytest.MonkeyPatch.context() as patch, opened(settings, (8.0, 1), (8.0, 1)) as machine:
            plant(patch)
            found = False
            try:
                a_life(machine)
            except Exception:  # noqa: BLE001 - whichever check turns red
                found = True
            survived += [] if found else [plant.__name__]
    assert survived == []
    assert moves.MOVES is MOVES
