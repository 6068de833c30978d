"""Replay: a stream of past work placed once more, event by event, under other rules, limits or policy.

API in short::

    stream = Stream(arrivals, turns, zone, window="day")
    proposed = replay(state, stream)     # state: the rules, settings and people as they would be
    actual = recount(state, stream)      # what really happened, seen through the same rules
    proposed.figures(), actual.figures() # ledger.Figures; proposed.holders: who received which task

Nothing is known of the future: a task is decided when it arrives, with what was there then. What cannot be placed
waits, and is looked at again when somebody comes, finishes work, or a business day begins. Instants are seconds since
1970; the engine that decides is the one that serves live pools (`allocate.place`).
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from app.engine.calendar import business_day, next_midnight, window_start
from app.engine.fairness.forecast import Forecast, outlook_of
from app.engine.ledger import Ledger, StreamFigures
from app.engine.placement.allocate import BatchOutcome, Decision, place
from app.engine.placement.decision_log import ROUTED
from app.engine.placement.eligibility import EligibilityClass
from app.engine.placement.reserve_draw import Reserve, lasts, people_in
from app.engine.placement.settle import settle
from app.engine.placement.snapshot import key_text
from app.engine.placement.state import MILLI, PoolState, present_in
from app.engine.types import AssignmentKind, ClassKey, Executor, ExecutorId, Policy, Task, TaskId, WaitReason

Window: TypeAlias = Literal["day", "week", "month", "all"]
Progress: TypeAlias = Callable[[int], None]
"""Told how many arrivals were played so far."""

_Name: TypeAlias = tuple[ClassKey, float]
"""The key of tasks that wait alike: a class, and a weight in task units."""
_CHUNK = 500
_SETTLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task as it came in, and what really became of it.

    `stays` is how many seconds it is open once somebody has it. `follows` and `away_from` name an earlier task: this
    one goes to the executor who received that one (parent, rework), or not to them (reassigned). `actual` is the
    executor who really received it, after `waited` seconds (None: not known).
    """

    task: Task
    at: float
    stays: float = 0.0
    follows: TaskId | None = None
    away_from: TaskId | None = None
    kind: AssignmentKind = AssignmentKind.PRIMARY
    actual: ExecutorId | None = None
    waited: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """At this instant these people are as given here: they came, went, or their limits changed."""

    at: float
    changed: Sequence[Executor]


@dataclass(frozen=True, slots=True)
class Stream:
    """The input of a replay: arrivals and turns, each in the order of time; business days and windows in a zone.

    Where it `settles`, levels start each day, and after turns, from what is still owed (see `settle`); otherwise from
    zero with each window, and an executor who comes joins in level. Where it `forecasts`, it leaves room for what the
    same weekdays before brought from then on (see `outlook`).
    """

    arrivals: Sequence[Arrival]
    turns: Sequence[Turn]
    zone: ZoneInfo
    window: Window = "day"
    settles: bool = True
    forecasts: bool = False


@dataclass(slots=True)
class PlayedStream:
    """A stream played to its end."""

    ledger: Ledger
    holders: dict[TaskId, ExecutorId] = field(default_factory=dict)

    def figures(self) -> StreamFigures:
        """Fairness, load, waits, what was left over."""
        return self.ledger.figures()


def replay(state: PoolState, stream: Stream, progress: Progress | None = None) -> PlayedStream:
    """Place the stream anew; `state` carries the loads of its end afterwards."""
    return _Player(state, stream, progress or _silent).play()


def recount(state: PoolState, stream: Stream) -> PlayedStream:
    """Count what really happened; `broken` counts what the rules or the roster of `state` would not have allowed."""
    played = PlayedStream(Ledger(state, stream.zone))
    turns = deque(stream.turns)
    for arrival in sorted(stream.arrivals, key=_placed_at):
        at = _placed_at(arrival)
        while turns and turns[0].at <= at:
            _turn(state, turns.popleft())
        played.ledger.arrive(arrival.at)
        if arrival.actual is None:
            played.ledger.unplaced["never_assigned"] += 1
            continue
        _count(state, played, arrival, arrival.actual, at)
    return played


def _count(state: PoolState, played: PlayedStream, arrival: Arrival, who: ExecutorId, at: float) -> None:
    key = state.rules.task_key(arrival.task)
    found = state.classes.meet(key)
    position, routed = state.position[who], arrival.kind in ROUTED
    if routed and not found.eligible[position]:
        played.ledger.broken["ineligible"] += 1
    if routed and not (state.here[position] and state.active[position]):
        played.ledger.broken["absent"] += 1
    weight = max(1, round(arrival.task.weight * found.factor * MILLI)) / MILLI
    played.ledger.give(who, weight, found, at=at, wait=arrival.waited, routed=routed)
    played.holders[arrival.task.id] = who


def _placed_at(arrival: Arrival) -> float:
    return arrival.at + (arrival.waited or 0.0)


def _silent(_done: int) -> None:
    pass


def _turn(state: PoolState, turn: Turn) -> None:
    """Put executors in; those who come join in level with those who are present."""
    before = {one.id for one in turn.changed if _is_here(state, one.id)}
    state.upsert(turn.changed)
    came = [one.id for one in turn.changed if one.available and one.active and one.id not in before]
    levels = state.join_levels(came)
    state.update_loads({i: replace(state.load_of(i), level=level) for i, level in levels.items()})


def _is_here(state: PoolState, executor_id: ExecutorId) -> bool:
    at = state.position.get(executor_id)
    return at is not None and bool(state.here[at] and state.active[at])


class _Player:
    """One stream in progress."""

    def __init__(self, state: PoolState, stream: Stream, progress: Progress) -> None:
        self._state = state
        self._stream = stream
        self._progress = progress
        self._played = PlayedStream(Ledger(state, stream.zone))
        self._arrivals = deque(sorted(stream.arrivals, key=lambda one: one.at))
        self._turns = deque(stream.turns)
        self._arrived: dict[TaskId, Arrival] = {}
        self._waiting: dict[_Name, deque[Task]] = {}
        self._bound: list[Task] = []
        self._reasons: dict[TaskId, WaitReason] = {}
        self._done: list[tuple[float, int, ExecutorId]] = []
        self._counts_open = self._open_work_matters()
        self._midnight = float("-inf")
        self._settled_at = float("-inf")
        self._forecast = Forecast() if stream.forecasts else None
        self._since_outlook = 0
        self._reserve = Reserve()
        self._classes: dict[str, EligibilityClass] = {}
        self._owing = False
        self._day = date.min

    def _open_work_matters(self) -> bool:
        """Without `max_open` and by a policy that does not ask for it, what is open changes nothing."""
        people = [*self._state.executors, *(one for turn in self._stream.turns for one in turn.changed)]
        asked = self._state.settings.policy is Policy.LONGEST_IDLE
        return asked or any(one.max_open is not None for one in people)

    def play(self) -> PlayedStream:
        total = len(self._arrivals)
        while self._arrivals:
            at = self._arrivals[0].at
            self._advance(at)
            self._place(self._chunk(), at)
            self._progress(total - len(self._arrivals))
        self._wind_up()
        return self._played

    def _advance(self, until: float) -> None:
        """Let happen what happens up to this instant: midnights, turns, finished work."""
        while (at := self._next_event()) <= until:
            everything = self._midnight <= at
            if everything:
                self._begin_day(at)
            while self._turns and self._turns[0].at <= at:
                _turn(self._state, self._turns.popleft())
                everything = self._owing = True
            self._settle(at)
            if everything:
                self._look_ahead(at)
            freed = self._finish(at)
            if self._waiting or self._bound:
                self._retry(at, list(self._waiting) if everything else self._served_by(freed))

    def _next_event(self) -> float:
        turn = self._turns[0].at if self._turns else float("inf")
        done = self._done[0][0] if self._done else float("inf")
        midnight = self._midnight
        if midnight == float("-inf"):
            midnight = min(turn, self._arrivals[0].at if self._arrivals else turn)
        return min(turn, done, midnight)

    def _begin_day(self, at: float) -> None:
        zone, before = self._stream.zone, self._day
        now = datetime.fromtimestamp(at, zone)
        self._day = business_day(now, zone)
        self._midnight = next_midnight(now, zone).timestamp()
        self._state.used[:] = 0
        self._reserve = Reserve()
        window = self._stream.window
        self._owing, self._settled_at = True, float("-inf")
        first = before == date.min
        if window != "all" and not first and window_start(before, window) != window_start(self._day, window):
            self._state.level[:] = 0

    def _settle(self, at: float) -> None:
        """Now and then after a change, as the fairness watch of a live pool does."""
        due = self._stream.settles and self._owing and at >= self._settled_at + _SETTLE_SECONDS
        if due and self._state.settings.policy in (Policy.FAIR, Policy.BEST_MATCH):
            ledger = self._played.ledger
            settle(self._state, ledger.remainders(self._day), ledger.task_weight)
            self._owing, self._settled_at = False, at

    def _look_ahead(self, at: float) -> None:
        """Expect anew what comes until people change or the day ends, in place of what was expected before."""
        if self._forecast is None:
            return
        now = datetime.fromtimestamp(at, self._stream.zone)
        edge = min(self._turns[0].at if self._turns else self._midnight, self._midnight)
        until = datetime.fromtimestamp(edge, self._stream.zone)
        state = self._state
        rests = self._forecast.rests(now, until)
        state.outlook = outlook_of(
            rests,
            {key: state.eligible_ids(self._classes[key].key) for rest in rests for key in rest},
            present_in(state),
        )
        self._since_outlook = 0

    def _finish(self, at: float) -> set[ExecutorId]:
        """Release what is done by now; returns who has a hand free again."""
        freed: set[ExecutorId] = set()
        while self._done and self._done[0][0] <= at:
            executor_id = heapq.heappop(self._done)[2]
            position = self._state.position[executor_id]
            self._state.open[position] -= 1
            self._state.ended[position] = round(at * 1_000_000)
            freed.add(executor_id)
        return freed

    def _chunk(self) -> list[Task]:
        """The next arrivals that may be decided together: nothing happens between them, nor between their orders."""
        limit = self._next_event()
        first = self._take()
        chunk = [first]
        alone = self._counts_open or first.forced_executor is not None or bool(first.excluded_executors)
        most = self._most_together()
        while not alone and self._arrivals and len(chunk) < most:
            following = self._arrivals[0]
            if following.at >= limit or not _alike(following, first):
                break
            chunk.append(self._take())
        return chunk

    def _outlook_lasts(self) -> int:
        """How many tasks an outlook is good for."""
        return max(1, people_in(self._state) // 2)

    def _most_together(self) -> int:
        if self._forecast is not None:
            return self._outlook_lasts()
        return lasts(people_in(self._state)) if self._reserve.serves(self._state, 1) else _CHUNK

    def _take(self) -> Task:
        arrival = self._arrivals.popleft()
        self._played.ledger.arrive(arrival.at)
        holders, task = self._played.holders, arrival.task
        if arrival.follows is not None:
            forced = holders.get(arrival.follows, arrival.actual)
            task = replace(task, forced_executor=forced, forced_kind=arrival.kind)
        if arrival.away_from in holders:
            task = replace(task, excluded_executors=frozenset({holders[arrival.away_from]}))
        self._arrived[task.id] = arrival
        if self._forecast is not None:
            found = self._state.classes.meet(self._state.rules.task_key(task))
            key = key_text(found.key)
            self._classes[key] = found
            when = datetime.fromtimestamp(arrival.at, self._stream.zone)
            self._forecast.note(when, key, task.weight * found.factor)
        return task

    def _place(self, tasks: Iterable[Task], at: float) -> list[Decision]:
        """Place what can be placed; the rest waits."""
        if self._forecast is not None and self._since_outlook >= self._outlook_lasts():
            self._look_ahead(at)
        by_id = {task.id: task for task in tasks}
        outcome = self._decide(by_id.values())
        self._since_outlook += len(outcome.decisions)
        for decision in outcome.decisions:
            self._note(decision, at)
        for waiting in outcome.waiting:
            self._reasons[waiting.task_id] = waiting.reason
            self._park(by_id[waiting.task_id], waiting.weight, waiting.class_key)
        return outcome.decisions

    def _decide(self, tasks: Collection[Task]) -> BatchOutcome:
        """Place as the engine would, leaving room by the mix of the day where nothing is forecast."""
        self._state.forget_old_classes()
        if self._forecast is not None:
            return place(self._state, tasks)
        self._state.outlook = self._reserve.outlook_for(self._state, len(tasks))
        outcome = place(self._state, tasks)
        self._reserve.note(self._state, outcome.decisions)
        return outcome

    def _park(self, task: Task, weight: float, key: ClassKey) -> None:
        if task.forced_executor is not None or task.excluded_executors:
            self._bound.append(task)
        else:
            self._waiting.setdefault((key, weight), deque()).append(task)

    def _note(self, decision: Decision, at: float) -> None:
        arrival = self._arrived[decision.task_id]
        at = max(at, arrival.at)
        self._reasons.pop(decision.task_id, None)
        self._played.holders[decision.task_id] = decision.executor_id
        self._played.ledger.give(
            decision.executor_id,
            decision.weight,
            self._state.classes.meet(decision.class_key),
            at=at,
            wait=at - arrival.at,
            routed=decision.kind in ROUTED,
        )
        if self._counts_open:
            heapq.heappush(self._done, (at + arrival.stays, decision.task_id, decision.executor_id))

    def _retry(self, at: float, keys: Iterable[_Name]) -> None:
        """Look again at what waits under these names: the first of each, and on while one is placed."""
        bound, self._bound = self._bound, []
        if bound:
            self._place(bound, at)
        keys = [key for key in keys if key in self._waiting]
        while keys:
            heads = {self._waiting[key][0].id: key for key in keys}
            keys = self._place_heads(heads, at)

    def _served_by(self, freed: set[ExecutorId]) -> list[_Name]:
        """The waiting tasks that these executors may take."""
        positions = [self._state.position[who] for who in freed]
        return [key for key in self._waiting if self._state.classes.meet(key[0]).eligible[positions].any()]

    def _place_heads(self, heads: Mapping[TaskId, _Name], at: float) -> list[_Name]:
        """Place the first under each name; returns the names under which one was placed and more wait."""
        outcome = self._decide([self._waiting[key][0] for key in heads.values()])
        for waiting in outcome.waiting:
            self._reasons[waiting.task_id] = waiting.reason
        more = []
        for decision in outcome.decisions:
            self._note(decision, at)
            key = heads[decision.task_id]
            self._waiting[key].popleft()
            if self._waiting[key]:
                more.append(key)
            else:
                del self._waiting[key]
        return more

    def _wind_up(self) -> None:
        """Let open tasks finish and waiting ones be placed until nothing happens any more that day."""
        self._advance(self._midnight - 1e-3)
        for reason in self._reasons.values():
            self._played.ledger.unplaced[reason.value] += 1


def _alike(arrival: Arrival, first: Task) -> bool:
    task = arrival.task
    return (
        arrival.follows is None
        and arrival.away_from is None
        and task.forced_executor is None
        and not task.excluded_executors
        and (task.priority, task.deadline) == (first.priority, first.deadline)
        and task.id > first.id
    )
