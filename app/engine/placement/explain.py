"""Why X received the task, why Y did not, why it waits: answered from what was stored, years later.

Three stored things are read and nothing is decided again::

    record      the assignment (or the parked task) with its `explanation`
    content     the class snapshot it names (`snapshot`): who passes which rule, and who is preferred
    frames      the trail's frames from the last full one up to the record's (`trail`)

    explanation = explain(record, content, picture_at(frames, step))
    explanation.why_not(executor_id)        # for anybody
    words.sentences(explanation, "ru", names)
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from app.engine.placement.allocate import Decision, WaitingTask, place
from app.engine.placement.decision_log import (
    ROUTED,
    LoadPicture,
    StandingBefore,
    everybody,
    outlook_row,
    picture_at,
    settings_row,
)
from app.engine.placement.scores import GRID
from app.engine.placement.snapshot import unfold, unpack
from app.engine.placement.state import MILLI, PoolState
from app.engine.types import AssignmentKind, ExecutorId, Policy, Task, TaskId, WaitReason

Terms: TypeAlias = tuple[tuple[str, float], ...]
"""Preferences that hold: (label, weight)."""


class Because(StrEnum):
    """Why somebody did not receive a task."""

    CHOSEN = "chosen"  # they did
    BOUND = "bound"  # it was bound to another executor: parent, rework, a person's decision
    UNKNOWN = "unknown"  # not in the pool then
    LEFT = "left"  # no longer active
    RULE = "rule"  # a condition does not hold
    BARRED = "barred"  # it was taken from them before
    ABSENT = "absent"  # not available: break, absence, outside working hours
    LIMIT = "limit"  # no room in the daily limit
    BUSY = "busy"  # as many open tasks as allowed
    PREFERENCE = "preference"  # somebody preferred had room (best_match)
    SCORE = "score"  # somebody had a lower score
    TIE = "tie"  # equal scores: fewer kinds of work, then the lower id, goes first


@dataclass(frozen=True, slots=True)
class Record:
    """The record stored with an assignment, or with a task that waits (then without executor, kind and score)."""

    task_id: TaskId
    weight: float
    executor_id: ExecutorId | None = None
    kind: AssignmentKind | None = None
    reason: WaitReason | None = None
    barred: frozenset[ExecutorId] = frozenset()
    instead_of: ExecutorId | None = None

    @classmethod
    def of(cls, placed: Decision | WaitingTask) -> "Record":
        """The record of what was just decided."""
        return cls(
            task_id=placed.task_id,
            weight=placed.weight,
            executor_id=placed.executor_id if isinstance(placed, Decision) else None,
            kind=placed.kind if isinstance(placed, Decision) else None,
            reason=placed.reason if isinstance(placed, WaitingTask) else None,
            barred=placed.barred,
            instead_of=placed.instead_of,
        )


@dataclass(frozen=True, slots=True)
class Contender:
    """One executor before the decision; weights in task units.

    `score` is what was compared (the lowest wins): day loads, a sequence number by `round_robin`, by `longest_idle`
    also the instant at which the last open task ended, in microseconds. `terms` are the preferences that held, each
    with its weight. `held` is by how much they were held back for what is to come, and `target` the day's routed
    work that a forecast expected them to come to.
    """

    executor_id: ExecutorId
    level: float
    qualification: float
    score: float
    preference: float
    terms: Terms
    open: int
    used: float
    held: float = 0.0
    target: float | None = None


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why one executor did not receive the task; what does not apply is None. Weights in task units."""

    executor_id: ExecutorId
    because: Because
    rule: str | None = None
    used: float | None = None
    limit: float | None = None
    open: int | None = None
    max_open: int | None = None
    candidate: Contender | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision or a wait with all that led to it.

    `ranking` are those who could have taken the task, the best first (of a forced task: by the policy, had it
    been free). `excluded` counts by name of the first rule that does not hold.
    """

    record: Record
    policy: Policy
    ranking: tuple[Contender, ...]
    eligible: int
    absent: int
    at_limit: int
    busy: int
    excluded: Mapping[str, int]
    reasons: Mapping[ExecutorId, WhyNot]

    @property
    def chosen(self) -> Contender | None:
        """The executor who received the task; None while it waits, or where they could not have taken it unbound."""
        return next((one for one in self.ranking if one.executor_id == self.record.executor_id), None)

    def runners_up(self, count: int = 3) -> tuple[Contender, ...]:
        """Those who came next."""
        return tuple(one for one in self.ranking if one.executor_id != self.record.executor_id)[:count]

    def why_not(self, executor_id: ExecutorId) -> WhyNot:
        """Why this executor did not receive the task."""
        return self.reasons.get(executor_id) or WhyNot(executor_id, Because.UNKNOWN)


def explain(record: Record, content: Mapping[str, Any], picture: LoadPicture) -> Explanation:
    """Everything about one decision, from the stored record, class snapshot and picture."""
    rules, likings = _failed_rules(content), _likings(content)
    candidates: list[Contender] = []
    reasons: dict[ExecutorId, WhyNot] = {}
    for executor_id, standing in picture.standings.items():
        obstacle = _obstacle(executor_id, standing, record, rules)
        if obstacle is None:
            preference, terms = likings.get(executor_id, (1.0, ()))
            counts = preference if content["preferred"] else 0.0
            held, target = _expected(executor_id, picture)
            score = _score(standing, round(record.weight * MILLI), picture, counts, held)
            one = _candidate(executor_id, standing, score, preference, terms)
            candidates.append(replace(one, held=held / MILLI, target=target))
        else:
            reasons[executor_id] = obstacle
    ranking = tuple(sorted(candidates, key=lambda one: _rank(one, picture, record)))
    reasons |= {one.executor_id: _outranked(one, ranking, record, picture) for one in ranking}
    if record.executor_id is not None:
        chosen = next((one for one in ranking if one.executor_id == record.executor_id), None)
        reasons[record.executor_id] = WhyNot(record.executor_id, Because.CHOSEN, candidate=chosen)
    kinds = Counter(reason.because for reason in reasons.values())
    return Explanation(
        record=record,
        policy=Policy(picture.policy),
        ranking=ranking,
        eligible=len(unpack(content["eligible"])),
        absent=kinds[Because.ABSENT],
        at_limit=kinds[Because.LIMIT],
        busy=kinds[Because.BUSY],
        excluded=Counter(reason.rule or "" for reason in reasons.values() if reason.because is Because.RULE),
        reasons=reasons,
    )


def explain_preview(state: PoolState, task: Task) -> tuple[Decision | WaitingTask, Explanation]:
    """Decide who would receive this task now, and explain it, without changing `state`."""
    twin = state.copy()
    picture = picture_of(twin)
    outcome = place(twin, [task])
    placed = outcome.decisions[0] if outcome.decisions else outcome.waiting[0]
    content = twin.snapshot(placed.class_digest).content
    return placed, explain(Record.of(placed), content, picture)


def picture_of(state: PoolState) -> LoadPicture:
    """The loads of all executors at present."""
    frame = {"full": everybody(state), "settings": settings_row(state), "to": [], "weight": [], "fixed": []}
    frame |= outlook_row(state)
    return picture_at([{**frame, "sequence": state.sequence}], 0)


def _failed_rules(content: Mapping[str, Any]) -> dict[ExecutorId, str]:
    labels = content["labels"]
    return {
        ExecutorId(i): labels[label] if 0 <= label < len(labels) else ""
        for label, folded in content["excluded"]
        for i in unfold(folded)
    }


def _likings(content: Mapping[str, Any]) -> dict[ExecutorId, tuple[float, Terms]]:
    return {
        ExecutorId(i): (preference, tuple((label, weight) for label, weight in terms))
        for preference, terms, ids in content["preferences"]
        for i in unpack(ids).tolist()
    }


def _obstacle(
    executor_id: ExecutorId, standing: StandingBefore, record: Record, rules: Mapping[ExecutorId, str]
) -> WhyNot | None:
    """The reason why an executor was no candidate at all, in the order in which reasons are checked."""
    if not standing.active:
        return WhyNot(executor_id, Because.LEFT)
    if executor_id in rules:
        return WhyNot(executor_id, Because.RULE, rule=rules[executor_id])
    if executor_id in record.barred:
        return WhyNot(executor_id, Because.BARRED)
    if not standing.here:
        return WhyNot(executor_id, Because.ABSENT)
    limit, max_open = standing.limit, standing.max_open
    if limit is not None and standing.used + round(record.weight * MILLI) > limit:
        return WhyNot(executor_id, Because.LIMIT, used=standing.used / MILLI, limit=limit / MILLI)
    if max_open is not None and standing.open >= max_open:
        return WhyNot(executor_id, Because.BUSY, open=standing.open, max_open=max_open)
    return None


def _candidate(
    executor_id: ExecutorId, standing: StandingBefore, score: float, preference: float, terms: Terms
) -> Contender:
    return Contender(
        executor_id=executor_id,
        level=standing.level / MILLI,
        qualification=standing.qualification,
        score=score,
        preference=preference,
        terms=terms,
        open=standing.open,
        used=standing.used / MILLI,
    )


def _expected(executor_id: ExecutorId, picture: LoadPicture) -> tuple[int, float | None]:
    """By how much somebody was held back, in thousandths, and what a forecast expected of them."""
    outlook = picture.outlook
    if outlook is None or picture.policy not in (Policy.FAIR, Policy.BEST_MATCH):
        return 0, None
    prospect = outlook.people.get(executor_id)
    return outlook.held_of(executor_id), prospect.target if prospect else None


def _score(
    standing: StandingBefore, weight: int, picture: LoadPicture, preference: float, held: int
) -> float:
    """The score that `scores` compared, on the same grid."""
    if picture.policy == Policy.LONGEST_IDLE and not standing.open and standing.ended is not None:
        return float(standing.ended)
    if picture.policy in (Policy.ROUND_ROBIN, Policy.LONGEST_IDLE):
        return float(standing.last)
    scale = GRID / (standing.qualification * picture.day_load * MILLI)
    theta = picture.theta if picture.policy == Policy.FAIR else 0.0
    return (
        round(standing.level * scale)
        + round(weight / 2 * scale)
        + round(held * scale)
        - round(theta * preference * GRID)
    ) / GRID


def _order(one: Contender, picture: LoadPicture) -> tuple[float, ...]:
    """The key that decides between two candidates before ties."""
    if picture.policy == Policy.BEST_MATCH:
        return (-one.preference, one.score)
    if picture.policy == Policy.LONGEST_IDLE:
        return (float(one.open > 0), one.score)
    return (one.score,)


def _rank(one: Contender, picture: LoadPicture, record: Record) -> tuple[object, ...]:
    return (*_order(one, picture), one.executor_id != record.executor_id, one.executor_id)


def _outranked(
    one: Contender, ranking: tuple[Contender, ...], record: Record, picture: LoadPicture
) -> WhyNot:
    if record.kind is not None and record.kind not in ROUTED:
        return WhyNot(one.executor_id, Because.BOUND, candidate=one)
    first = ranking[0]
    if _order(one, picture) == _order(first, picture):
        because = Because.TIE
    elif picture.policy == Policy.BEST_MATCH and one.preference != first.preference:
        because = Because.PREFERENCE
    else:
        because = Because.SCORE
    return WhyNot(one.executor_id, because, candidate=one)
