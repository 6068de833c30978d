"""An event log as a stream of work: people, tasks, who was there, and rules where none are given.

Without a rule set, a person who has done an activity may do it. A log does not say who was at work, so that somebody
is taken as present on the days on which they did something (`day`), or throughout (`always`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from app.engine.calendar import business_day
from app.engine.matrix import MatrixRules
from app.engine.placement.state import PoolSettings, PoolState, expected_day_load
from app.engine.replay import Arrival, Stream, Turn, Window
from app.engine.types import Executor, ExecutorId, ParameterValue, Rules, Scalar, Task, TaskId
from app.eventlog import EventLog, WorkItem
from app.rule_engine import Catalogue, Parameter, ParameterType, compile_rules, parse_rule_set

Presence: TypeAlias = Literal["day", "always"]

_GROUP_COLUMNS = ("org:group", "org:role", "group", "role", "team", "department")
_MOST_OPTIONS = 500


@dataclass(frozen=True, slots=True)
class PreparedLog:
    """A log made ready: people by id, the stream, and what rules may read."""

    log: EventLog
    people: Sequence[Executor]
    stream: Stream
    catalogue: Catalogue

    @property
    def names(self) -> dict[ExecutorId, str]:
        """Names of people in the log."""
        return {one.id: one.name for one in self.people}

    def rules(self, document: Mapping[str, Any] | None) -> Rules:
        """The rule set, or who has ever done what. Raises RuleSetInvalid."""
        if document is not None:
            return compile_rules(parse_rule_set(document, self.catalogue))
        ids = {one.name: one.id for one in self.people}
        return MatrixRules(
            {activity: {ids[who] for who in doers} for activity, doers in self.log.doers().items()}
        )

    def state(self, rules: Rules, settings: PoolSettings) -> PoolState:
        """Zero for each executor."""
        state = PoolState(rules, settings)
        absent = bool(self.stream.turns)
        state.upsert([replace(one, available=not absent) for one in self.people])
        return state

    def day_load(self) -> float:
        """Mean work of a day per unit of qualification of those present."""
        days = defaultdict[date, float](float)
        for arrival in self.stream.arrivals:
            days[_day(arrival.at, self.stream.zone)] += arrival.task.weight
        present = [len(turn_people(turn)) for turn in self.stream.turns] or [len(self.people)]
        mean = sum(days.values()) / max(1, len(days))
        return expected_day_load(mean, [1.0] * max(1, round(sum(present) / len(present))))


def turn_people(turn: Turn) -> list[Executor]:
    """The executors who come at a turn."""
    return [one for one in turn.changed if one.available]


def prepare(
    log: EventLog,
    *,
    presence: Presence = "day",
    window: Window = "all",
    zone: ZoneInfo,
    daily_limit: float | None = None,
    max_open: int | None = None,
) -> PreparedLog:
    """A log as a stream. People are numbered by name, items in the order of time."""
    groups = _groups(log.items)
    doers = log.doers()
    people = [
        Executor(
            ExecutorId(number),
            _of_person(name, doers, groups),
            external_id=name,
            name=name,
            daily_limit=daily_limit,
            max_open=max_open,
        )
        for number, name in enumerate(sorted({item.resource for item in log.items}), 1)
    ]
    ids = {one.name: one.id for one in people}
    arrivals = [_arrival(number, item, ids) for number, item in enumerate(log.items, 1)]
    timed = log.items[0].at is not None
    turns = _turns(arrivals, people, zone) if presence == "day" and timed else []
    stream = Stream(arrivals, turns, zone, window)
    return PreparedLog(log, people, stream, _catalogue(log, groups))


def _arrival(number: int, item: WorkItem, ids: Mapping[str, ExecutorId]) -> Arrival:
    begun = item.started or item.at
    parameters: dict[str, ParameterValue] = {"activity": item.activity, **item.attributes}
    if item.case:
        parameters["case"] = item.case
    stays = (item.at - item.started).total_seconds() if item.at and item.started else 0.0
    return Arrival(
        Task(TaskId(number), parameters, weight=item.weight),
        begun.timestamp() if begun else float(number),
        stays=stays,
        actual=ids[item.resource],
    )


def _of_person(
    name: str, doers: Mapping[str, Iterable[str]], groups: Mapping[str, set[str]]
) -> dict[str, ParameterValue]:
    activities: list[Scalar] = [activity for activity, who in sorted(doers.items()) if name in who]
    own: list[Scalar] = [*sorted(groups.get(name, ()))]
    return {"activities": activities, "groups": own}


def _groups(items: Iterable[WorkItem]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for item in items:
        column = next((name for name in _GROUP_COLUMNS if item.attributes.get(name)), None)
        if column:
            groups[item.resource].add(item.attributes[column])
    return groups


def _turns(arrivals: Sequence[Arrival], people: Sequence[Executor], zone: ZoneInfo) -> list[Turn]:
    """Each midnight before a day with work: who comes, who goes."""
    by_day: dict[date, set[ExecutorId]] = defaultdict(set)
    for arrival in arrivals:
        if arrival.actual is not None:
            by_day[_day(arrival.at, zone)].add(arrival.actual)
    turns: list[Turn] = []
    here: set[ExecutorId] = set()
    for day, seen in sorted(by_day.items()):
        changed = [replace(one, available=one.id in seen) for one in people if one.id in seen ^ here]
        if changed:
            turns.append(Turn(datetime.combine(day, time.min, zone).timestamp(), changed))
        here = seen
    return turns


def _day(at: float, zone: ZoneInfo) -> date:
    return business_day(datetime.fromtimestamp(at, UTC), zone)


def _catalogue(log: EventLog, groups: Mapping[str, set[str]]) -> Catalogue:
    """Parameters that rules may read from a log: attributes as text, activities and groups of people as lists."""
    activities = tuple(sorted({item.activity for item in log.items}))
    columns = sorted({name for item in log.items for name in item.attributes})
    known = tuple(sorted({group for each in groups.values() for group in each}))
    return Catalogue(
        [
            Parameter("task", "activity", ParameterType.STRING),
            Parameter("task", "case", ParameterType.STRING),
            *(Parameter("task", name, ParameterType.STRING) for name in columns if name != "activity"),
            Parameter(
                "executor",
                "activities",
                ParameterType.LIST,
                options=activities[:_MOST_OPTIONS],
                open_options=True,
            ),
            Parameter(
                "executor", "groups", ParameterType.LIST, options=known[:_MOST_OPTIONS], open_options=True
            ),
        ]
    )
