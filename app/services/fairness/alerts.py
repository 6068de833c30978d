"""Alarms of fairness: raised when a bound is passed, cleared when it no longer is, told once each time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.fairness.alarm import Alarm, AlarmKind
from app.engine.types import ExecutorId, PoolId
from app.models import ExecutorRow, FairnessAlert
from app.telemetry import metrics

log = structlog.get_logger()

_TOLD = ("received", "fair", "even")


@dataclass(frozen=True, slots=True)
class StandingAlarm:
    """An alarm that stands, with the name of whom it is about."""

    kind: AlarmKind
    executor_id: ExecutorId | None
    name: str
    value: float
    bound: float
    raised_at: datetime
    facts: dict[str, Any]


async def keep_alarms(
    session: AsyncSession, *, pool_id: PoolId, alarms: Sequence[Alarm], now: datetime
) -> int:
    """Bring the stored alarms in line with these; part of the caller's transaction. Returns how many are new.

    Whoever calls holds the pool's watch, so that nobody else writes them.
    """
    standing = await _open(session, pool_id)
    seen = {_name(alarm.kind, alarm.executor_id): alarm for alarm in alarms}
    for name, row in standing.items():
        alarm = seen.get(name)
        if alarm is None:
            row.cleared_at = now
            log.info("fairness.cleared", pool=pool_id, kind=row.kind, executor=row.executor_id)
        else:
            row.value, row.bound, row.facts = alarm.value, alarm.bound, _facts(alarm)
    new = [alarm for name, alarm in seen.items() if name not in standing]
    for alarm in new:
        session.add(_row(pool_id, alarm, now))
        metrics.fairness_alarms_total.labels(metrics.pool_label(pool_id), alarm.kind.value).inc()
        log.warning(
            "fairness.alarm",
            pool=pool_id,
            kind=alarm.kind.value,
            executor=alarm.executor_id,
            value=round(alarm.value, 4),
            bound=alarm.bound,
        )
    return len(new)


async def list_alerts(session: AsyncSession, *, pool_id: PoolId) -> list[StandingAlarm]:
    """The alarms that stand, the pool's own first, then the farthest off."""
    about = select(FairnessAlert.executor_id).where(
        FairnessAlert.pool_id == pool_id, FairnessAlert.cleared_at.is_(None)
    )
    people = await session.execute(select(ExecutorRow.id, ExecutorRow.name).where(ExecutorRow.id.in_(about)))
    names = {row.id: row.name for row in people}
    rows = (await _open(session, pool_id)).values()
    alerts = [
        StandingAlarm(
            AlarmKind(row.kind),
            None if row.executor_id is None else ExecutorId(row.executor_id),
            names.get(row.executor_id or 0, ""),
            row.value,
            row.bound,
            row.raised_at,
            dict(row.facts),
        )
        for row in rows
    ]
    return sorted(alerts, key=lambda alert: (alert.executor_id is not None, -abs(alert.value)))


async def _open(session: AsyncSession, pool_id: PoolId) -> dict[tuple[str, int | None], FairnessAlert]:
    rows = await session.scalars(
        select(FairnessAlert).where(FairnessAlert.pool_id == pool_id, FairnessAlert.cleared_at.is_(None))
    )
    return {_name(row.kind, row.executor_id): row for row in rows}


def _name(kind: str, executor_id: int | None) -> tuple[str, int | None]:
    return str(kind), executor_id


def _row(pool_id: PoolId, alarm: Alarm, now: datetime) -> FairnessAlert:
    return FairnessAlert(
        pool_id=pool_id,
        kind=alarm.kind.value,
        executor_id=alarm.executor_id,
        value=alarm.value,
        bound=alarm.bound,
        facts=_facts(alarm),
        raised_at=now,
    )


def _facts(alarm: Alarm) -> dict[str, Any]:
    if alarm.standing is None:
        return {}
    return {name: round(value, 3) for name, value in asdict(alarm.standing).items() if name in _TOLD}
