"""A stream of invented tasks into a pool of its own, from a thread of this process: it outlives its page."""

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

import streamlit as st

from streamlit_app.client import Api, ApiError, Json

POOL = "load-test"
CATEGORIES = ("network", "hardware", "software", "access", "security")
_LABELS = {"network": "Сеть", "hardware": "Оборудование", "software": "Программы", "access": "Доступ",
           "security": "Безопасность"}  # fmt: skip
_TICK = 0.1  # seconds between two batches
_MOST_IN_A_BATCH = 1000
_DRAIN_SECONDS = 60.0
_RUNS = itertools.count(int(time.time()))

Mix = Literal["even", "peak", "heavy"]
State = Literal["preparing", "running", "draining", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Plan of a load test: tasks per second, seconds, and number of people."""

    rate: float
    seconds: int
    people: int
    mix: Mix
    pool_name: str
    language: Literal["ru", "en"] = "ru"

    @property
    def total(self) -> int:
        """All tasks of the test."""
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stood after so many seconds; latencies in seconds."""

    second: float
    sent: int
    assigned: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass
class LoadTest:
    """One test, seen from every session."""

    plan: LoadPlan
    api: Api
    state: State = "preparing"
    why: str = ""
    pool_id: int = 0
    sent: int = 0
    refused: int = 0
    samples: list[Sample] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    _began: float = 0.0
    _assigned_before: int = 0

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.state in {"preparing", "running", "draining"}

    @property
    def assigned(self) -> int:
        """Tasks of this test that were assigned."""
        return self.samples[-1].assigned if self.samples else 0

    def run(self) -> None:
        """Prepare, send, wait for the rest; never raises."""
        try:
            self.pool_id = _prepare(self.api, self.plan)
            self._assigned_before = self._look()["assigned"]
            self._began = time.monotonic()
            self.state = "running"
            sender = threading.Thread(target=self._send, name="load-sender", daemon=True)
            sender.start()
            self._watch(sender)
        except ApiError as error:
            self.why, self.state = error.detail, "failed"
            self.stopping.set()

    def _watch(self, sender: threading.Thread) -> None:
        """A sample each second until everything is assigned, or nothing more comes."""
        deadline = time.monotonic() + self.plan.seconds + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            self._sample()
            if self.state == "failed":
                return
            if not sender.is_alive():
                if self.stopping.is_set():
                    self.state = "stopped"
                    return
                self.state = "draining"
                if self.assigned >= self.sent:
                    break
            self.stopping.wait(1.0)
        self.state = "done"

    def _sample(self) -> None:
        look = self._look()
        latency = look["latency"] or {}
        self.samples.append(
            Sample(
                time.monotonic() - self._began,
                self.sent,
                look["assigned"] - self._assigned_before,
                latency.get("p50"),
                latency.get("p95"),
                latency.get("p99"),
            )
        )

    def _look(self) -> Json:
        look: Json = self.api.get("/v1/distribution/overview", pool_id=self.pool_id, period=1440)
        return look

    def _send(self) -> None:
        """Keep to the rate: what a slow answer held up is made up for in the next batch."""
        chance = random.Random(1)  # noqa: S311 - work is invented, nothing is kept secret
        run = next(_RUNS)
        while self.sent < self.plan.total and not self.stopping.is_set():
            due = min(self.plan.total, int((time.monotonic() - self._began) * self.plan.rate) + 1)
            count = min(due - self.sent, _MOST_IN_A_BATCH)
            if count > 0 and not self._send_batch(run, count, chance):
                return
            if count < _MOST_IN_A_BATCH:
                self.stopping.wait(_TICK)

    def _send_batch(self, run: int, count: int, chance: random.Random) -> bool:
        tasks = [_task(f"{run}-{self.sent + number}", self.plan.mix, chance) for number in range(count)]
        try:
            self.api.post("/v1/tasks/batch", {"pool_id": self.pool_id, "tasks": tasks})
        except ApiError as error:
            if error.status in {0, 429, 503}:
                self.refused += 1
                return not self.stopping.wait(1.0)
            self.why, self.state = error.detail, "failed"
            return False
        self.sent += count
        return True


def _task(number: str, mix: Mix, chance: random.Random) -> Json:
    category = CATEGORIES[0] if mix == "peak" and chance.random() < 0.7 else chance.choice(CATEGORIES)
    heavy = mix == "heavy" and chance.random() < 0.5
    return {
        "external_id": number,
        "parameters": {
            "category": category,
            "difficulty": 4 if heavy else chance.randint(1, 3),
            "vip": heavy,
        },
        "weight": 3 if heavy else 1,
        "priority": 5 if heavy else 0,
    }


def _prepare(api: Api, plan: LoadPlan) -> int:
    """The pool with its catalogue, people and rules; what is there already stays."""
    pools = {each["code"]: each for each in api.get("/v1/pools")["items"]}
    pool = pools.get(POOL) or api.post("/v1/pools", {"code": POOL, "name": plan.pool_name})
    pool_id = int(pool["pool_id"])
    if not api.get("/v1/parameters", pool_id=pool_id)["items"]:
        for parameter in _parameters():
            api.post("/v1/parameters", {"pool_id": pool_id} | parameter)
    people = [_person(number, plan.language) for number in range(plan.people)]
    for start in range(0, len(people), 5000):
        api.post("/v1/executors/batch", {"pool_id": pool_id, "executors": people[start : start + 5000]})
    if not api.get("/v1/rules", pool_id=pool_id, state="active", limit=1)["items"]:
        made = api.post(
            "/v1/rules", {"pool_id": pool_id, "name": "Load test", "rules": _rules(plan.language)}
        )
        api.post(f"/v1/rules/{made['rule_set_id']}/activate")
    return pool_id


def _parameters() -> list[Json]:
    options = [{"value": each, "label_ru": _LABELS[each], "label_en": each.title()} for each in CATEGORIES]
    grade = {"type": "number", "minimum": 1, "maximum": 5}
    return [
        {"owner": "task", "key": "category", "type": "enum", "label_ru": "Категория", "label_en": "Category",
         "options": options},
        {"owner": "task", "key": "difficulty", "label_ru": "Сложность", "label_en": "Difficulty"} | grade,
        {"owner": "task", "key": "vip", "type": "boolean", "label_ru": "Важный клиент", "label_en": "VIP"},
        {"owner": "executor", "key": "skills", "type": "list", "label_ru": "Навыки", "label_en": "Skills",
         "options": options},
        {"owner": "executor", "key": "grade", "label_ru": "Разряд", "label_en": "Grade"} | grade,
    ]  # fmt: skip


def _person(number: int, language: str) -> Json:
    """Two to three of the skills each, so that classes overlap; grades 3 to 5."""
    skills = [CATEGORIES[(number + step) % len(CATEGORIES)] for step in range(2 + number % 2)]
    return {
        "external_id": f"L-{number + 1:05}",
        "name": f"{'Исполнитель' if language == 'ru' else 'Executor'} {number + 1:05}",
        "parameters": {"skills": skills, "grade": 3 + number % 3},
        "qualification": 1.5 if number % 7 == 0 else 1.0,
    }


def _rules(language: str) -> Json:
    skill, grade = ("навык", "разряд") if language == "ru" else ("skill", "grade")
    return {
        "conditions": [
            {"name": skill, "operator": "contains", "field": "executor.parameters.skills",
             "value": {"field": "task.parameters.category"}},
            {"name": grade, "operator": "gte", "field": "executor.parameters.grade",
             "value": {"field": "task.parameters.difficulty"}},
        ],
        "weights": [],
        "task_weights": [
            {"condition": {"operator": "eq", "field": "task.parameters.vip", "value": True}, "weight": 2.0}
        ],
    }  # fmt: skip


class Bench:
    """The one test of this process."""

    def __init__(self) -> None:
        self.test: LoadTest | None = None
        self._lock = threading.Lock()

    def start(self, plan: LoadPlan, api: Api) -> None:
        """Begin a test, unless one runs."""
        with self._lock:
            if self.test is None or not self.test.running:
                self.test = LoadTest(plan, api)
                threading.Thread(target=self.test.run, name="load-test", daemon=True).start()

    def clear(self) -> None:
        """Forget a test that is over."""
        with self._lock:
            if self.test is not None and not self.test.running:
                self.test = None


@st.cache_resource(show_spinner=False)
def bench() -> Bench:
    """The same for all sessions."""
    return Bench()
