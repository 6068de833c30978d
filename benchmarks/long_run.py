"""R15: a long life of pools in three zones: completions, returns, absences, crashes, restarts, days that pass."""

import asyncio
import random
import time
from typing import Any

import psutil

from app.config import Settings
from app.services.lifecycle import MoveName
from benchmarks.results import Result, Table
from benchmarks.system import running_servers
from tests.lifecycle.model import ALLOWED, NAMES, Lifecycle

ABOUT = """
A seeded driver lives the life of a pool on the real database: it submits, moves, breaks, falls ill, changes limits,
kills a worker before its commit, restarts everything, lets days pass. Every so often the model, the counters and every
invariant are compared; the first difference ends the run.
"""
ZONES = ("Pacific/Kiritimati", "Europe/Moscow", "America/St_Johns")
ENDED = ("completed", "rejected", "cancelled")


class _LongLife(Lifecycle):
    """The model of the tests, driven by a seed; tasks that ended are counted and forgotten."""

    batch = 500
    chance: random.Random

    def some(self, things: dict[int, Any], data: Any) -> int:
        return self.chance.choice(list(things))

    def step(self) -> None:
        """One thing that happens."""
        drawn = self.chance.random()
        if drawn < 0.30:
            weights = [self.chance.choice([0.5, 1.0, 2.0]) for _ in range(self.chance.randint(1, 20))]
            self.submit(weights, again=drawn < 0.02)
        elif drawn < 0.55:
            self.a_worker_places_what_waits()
        elif drawn < 0.94:
            self._work()
        elif drawn < 0.96:
            limit, slots = self.chance.choice([None, 20.0, 60.0]), self.chance.choice([None, 5, 20])
            self.a_limit_changes(None, limit, slots)
        else:
            rare = (
                self.somebody_takes_a_break_or_returns,
                self.somebody_falls_ill_or_is_well_again,
                self.somebody_hands_everything_over,
            )
            self.chance.choice(rare)(None)

    def rare_event(self) -> None:
        """A crash, a restart, a new day."""
        self.chance.choice(
            (self.a_worker_dies_before_it_commits, self.everything_starts_again, self.a_day_passes)
        )()

    def _work(self) -> None:
        """Several moves, mostly such as people make; some that are refused."""
        for task_id in self.chance.sample(list(self.world.tasks), min(len(self.world.tasks), 12)):
            status = self.world.tasks[task_id].status
            fitting = [name for name, ways in ALLOWED.items() if status in ways and name != "cancel"]
            name = (
                self.chance.choice(fitting)
                if fitting and self.chance.random() < 0.9
                else self.chance.choice(NAMES)
            )
            self.move(task_id, MoveName(name))

    def forget_what_ended(self) -> int:
        """Drop what can change no more from the model; returns how many."""
        ended = [number for number, work in self.world.tasks.items() if work.status in ENDED]
        for number in ended:
            del self.world.tasks[number]
        return len(ended)

    def check(self) -> None:
        """Compare everything; what ended is compared by the invariants."""
        kept, self._fetch = self._fetch, self._open_only  # type: ignore[method-assign]
        try:
            self.model_and_system_agree()
        finally:
            self._fetch = kept  # type: ignore[method-assign]

    async def _open_only(self, query: str) -> list[Any]:
        rows = await Lifecycle._fetch(self, query)
        return [row for row in rows if "status" not in row or row["id"] in self.world.tasks]


def run(*, short: bool) -> Result:
    """All zones, on servers of their own."""
    tasks, seed = (600 if short else 34_000), 15
    result = Result("long_run", "A long life in three zones", ABOUT)
    with running_servers() as system:
        rows = [_live(system, zone, tasks, seed) for zone in ZONES]
    columns = ["zone", "tasks", "things", "checks", "violations", "memory, MB", "growth, MB", "s"]
    result.tables.append(Table("Lives", columns, rows))
    return result


def _live(system: Any, zone: str, tasks: int, seed: int) -> list[Any]:
    url = asyncio.run(system.fresh())

    class Here(_LongLife):
        settings_of_run = Settings(database_url=url, redis_url=None)
        chance = random.Random(seed)

    Here.zone = zone
    life, started = Here(), time.monotonic()
    life.open_a_pool([(60.0, 20), (None, 20), (20.0, None), (40.0, 5), (None, None)])
    submitted, happened, checks, first = 0, 0, 0, 0.0
    while submitted < tasks:
        before = len(life.world.tasks)
        life.step()
        submitted += max(0, len(life.world.tasks) - before)
        happened += 1
        if happened % 100 == 0:
            life.rare_event()
        if happened % 50 == 0:
            life.check()
            life.forget_what_ended()
            checks += 1
            first = first or psutil.Process().memory_info().rss / 2**20
    life.check()
    memory = psutil.Process().memory_info().rss / 2**20
    life.teardown()
    return [
        zone,
        submitted,
        happened,
        checks + 1,
        0,
        round(memory),
        round(memory - first, 1),
        round(time.monotonic() - started),
    ]
