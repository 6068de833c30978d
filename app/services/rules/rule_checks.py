"""What rules would do, before and while they do it: checked, looked at with real people and recent work, tried."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import Executor, ExecutorId, PoolId, Task, TaskId
from app.errors import FieldError, Invalid
from app.messages.message import say
from app.models import ExecutorRow, RuleSetRow, TaskRow
from app.rule_engine import Catalogue, Fault, RuleSet, RuleSetInvalid, Surprise, parse_rule_set, run_examples
from app.rule_engine.findings import Finding, look_at_document
from app.rule_engine.roster import (
    ClassCount,
    Funnel,
    Roster,
    StreamFunnel,
    TriedExecutor,
    heavier_than_limits,
    look_at_roster,
)
from app.services.pools.parameters import read_catalogue
from app.services.pools.relaxed_names import relaxed_in_vain

MOST_TASKS: Final = 5000
"""Recent tasks that rules are looked at with: the last day's, or the last ones where there were few."""
FEWEST_TASKS: Final = 200
RECENT: Final = timedelta(days=1)
MOST_PAIRS: Final = 10_000_000
"""Pairs of task and executor in one look, so that an answer takes seconds whatever the size of the pool."""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What there is to say of a document. Without faults it may be saved, without surprises activated too."""

    faults: Sequence[Fault] = ()
    surprises: Sequence[Surprise] = ()
    findings: Sequence[Finding] = ()
    executors: int = 0
    tasks: int = 0
    tasks_without_anyone: int = 0
    classes: Sequence[ClassCount] = field(default_factory=tuple)


def refuse(faults: Sequence[Fault]) -> None:
    """Raise Invalid where there are faults, each with its path, value, reason and remedy."""
    if faults:
        errors = [
            FieldError(
                f"rules{fault.path[1:]}",
                say("{value}: {reason}", value=fault.value, reason=fault.reason),
                fault.remedy,
            )
            for fault in faults
        ]
        raise Invalid(
            say(
                "{field}: {reason}; {remedy}",
                field=errors[0].field,
                reason=errors[0].reason,
                remedy=errors[0].remedy,
            ),
            errors,
        )


def refuse_surprises(surprises: Sequence[Surprise]) -> None:
    """Raise Invalid where examples of the rule set come out otherwise than they say."""
    if surprises:
        errors = [
            FieldError(
                f"rules{each.path[1:]}",
                say(
                    "{label}: expected {expected}, came out {found}",
                    label=each.label or say("the test"),
                    expected=each.expected,
                    found=each.found,
                ),
                say("correct the rules, or what the test expects"),
            )
            for each in surprises
        ]
        raise Invalid(
            say(
                "{field}: {reason}; {remedy}",
                field=errors[0].field,
                reason=errors[0].reason,
                remedy=errors[0].remedy,
            ),
            errors,
        )


async def judge(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any], now: datetime
) -> RuleVerdict:
    """Check a document, run its tests, and look at it with the pool's people and recent tasks. Changes nothing."""
    catalogue = await read_catalogue(session, pool_id=pool_id)
    try:
        rule_set = parse_rule_set(document, catalogue)
    except RuleSetInvalid as error:
        return RuleVerdict(faults=error.issues)
    executors = await read_executors(session, pool_id=pool_id)
    tasks = await read_recent_tasks(session, pool_id=pool_id, now=now)
    active = await find_active(session, pool_id=pool_id)
    before = active.document if active else {}
    in_vain = await relaxed_in_vain(session, pool_id=pool_id, before=before, after=document)
    verdict = await asyncio.to_thread(_look, rule_set, catalogue, executors, tasks)
    return replace(verdict, findings=[*verdict.findings, *map(_relaxes_nothing, in_vain)])


def _relaxes_nothing(name: str) -> Finding:
    return Finding(
        "relaxes_nothing",
        "$.conditions",
        say(
            "the pool's escalation relaxes '{name}', which these rules do not have: they will not be activated",
            name=name,
        ),
    )


def _look(
    rule_set: RuleSet, catalogue: Catalogue, executors: Sequence[Executor], tasks: Sequence[Task]
) -> RuleVerdict:
    roster = Roster(rule_set, executors)
    tasks = _fitting(tasks, roster)
    classes = roster.classes(tasks)
    return RuleVerdict(
        surprises=run_examples(rule_set),
        findings=[*look_at_document(rule_set, catalogue), *look_at_roster(roster, tasks)],
        executors=len(roster.executors),
        tasks=len(tasks),
        tasks_without_anyone=sum(each.tasks for each in classes if each.eligible == 0),
        classes=classes[:20],
    )


async def refuse_too_heavy(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any], now: datetime
) -> None:
    """Raise Invalid for task weights by which recent work becomes heavier than every daily limit.

    Work that is so without any factor is not theirs to mend, and refuses no rules.
    """
    if not document.get("task_weights"):
        return
    roster = await _roster(session, pool_id, document)
    tasks = _fitting(await read_recent_tasks(session, pool_id=pool_id, now=now), roster)
    heavy = await asyncio.to_thread(heavier_than_limits, roster, tasks)
    made_so = sum(task.weight <= most for task, most in heavy)
    if made_so:
        reason = say(
            "{heavy} of {count} recent tasks would weigh more than any eligible person's daily limit",
            heavy=made_so,
            count=len(tasks),
        )
        remedy = say("lower the weights, or raise a daily limit")
        raise Invalid(
            say("rules.task_weights: {reason}; {remedy}.", reason=reason, remedy=remedy),
            [FieldError("rules.task_weights", reason, remedy)],
        )


async def lint_active(
    session: AsyncSession, *, pool_id: PoolId, now: datetime
) -> tuple[int | None, RuleVerdict]:
    """The active rules (their id, None where there are none) on the live stream."""
    active = await find_active(session, pool_id=pool_id)
    verdict = await judge(session, pool_id=pool_id, document=active.document if active else {}, now=now)
    if active is None:
        told = Finding("no_rules", "$", say("no rule set is active: everybody may take everything"))
        verdict = RuleVerdict(findings=[told], executors=verdict.executors, tasks=verdict.tasks)
    return (active.id if active else None), verdict


async def who_could(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any] | None, task: Task
) -> tuple[list[TriedExecutor], Funnel]:
    """Who could take a task under a document, or the active rules; whom each condition leaves. Raises Invalid."""
    roster = await _roster(session, pool_id, document)
    return await asyncio.to_thread(lambda: (roster.candidates(task), roster.funnel(task)))


async def recent_funnel(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any] | None, now: datetime
) -> tuple[StreamFunnel, Sequence[ClassCount]]:
    """Whom each condition leaves, over the pool's recent tasks and by eligibility class. Raises Invalid."""
    roster = await _roster(session, pool_id, document)
    tasks = await read_recent_tasks(session, pool_id=pool_id, now=now)
    fitting = _fitting(tasks, roster)
    return await asyncio.to_thread(lambda: (roster.stream_funnel(fitting), roster.classes(fitting)[:20]))


def _fitting(tasks: Sequence[Task], roster: Roster) -> Sequence[Task]:
    """The newest tasks, as many as one look may hold."""
    return tasks[: max(FEWEST_TASKS, MOST_PAIRS // max(1, len(roster.executors)))]


async def _roster(session: AsyncSession, pool_id: PoolId, document: Mapping[str, Any] | None) -> Roster:
    if document is None:
        active = await find_active(session, pool_id=pool_id)
        document = active.document if active else {}
    catalogue = await read_catalogue(session, pool_id=pool_id)
    try:
        rule_set = parse_rule_set(document, catalogue)
    except RuleSetInvalid as error:
        refuse(error.issues)
        raise
    executors = await read_executors(session, pool_id=pool_id)
    return await asyncio.to_thread(Roster, rule_set, executors)


async def find_active(session: AsyncSession, *, pool_id: PoolId) -> RuleSetRow | None:
    """The rule set in force."""
    found: RuleSetRow | None = await session.scalar(
        select(RuleSetRow).where(RuleSetRow.pool_id == pool_id, RuleSetRow.state == "active")
    )
    return found


async def read_executors(session: AsyncSession, *, pool_id: PoolId) -> list[Executor]:
    """The active people of a pool as rules see them."""
    row = ExecutorRow
    query = select(
        row.id, row.parameters, row.external_id, row.name, row.qualification, row.daily_limit, row.max_open
    )
    rows = await session.execute(query.where(row.pool_id == pool_id, row.active).order_by(row.id))
    return [
        Executor(
            id=ExecutorId(each.id),
            parameters=each.parameters,
            external_id=each.external_id or "",
            name=each.name,
            qualification=float(each.qualification),
            daily_limit=None if each.daily_limit is None else float(each.daily_limit),
            max_open=each.max_open,
        )
        for each in rows
    ]


async def read_recent_tasks(session: AsyncSession, *, pool_id: PoolId, now: datetime) -> list[Task]:
    """The tasks of the last day, newest first, at most MOST_TASKS; the last FEWEST_TASKS where there were fewer."""
    row = TaskRow
    query = select(
        row.id, row.parameters, row.external_id, row.weight, row.priority, row.deadline, row.created_at
    )
    rows = await session.execute(
        query.where(row.pool_id == pool_id).order_by(row.created_at.desc(), row.id.desc()).limit(MOST_TASKS)
    )
    return [
        Task(
            id=TaskId(each.id),
            parameters=each.parameters,
            external_id=each.external_id or "",
            weight=float(each.weight),
            priority=each.priority,
            deadline=each.deadline,
            created_at=each.created_at,
        )
        for number, each in enumerate(rows)
        if number < FEWEST_TASKS or each.created_at >= now - RECENT
    ]
