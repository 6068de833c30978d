"""Pools: made, changed, looked at."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Caller, no_pool, within_reach
from app.engine.types import PoolId
from app.errors import AlreadyExists, FieldError, Invalid
from app.messages.message import Message, say
from app.models import Pool, PoolStateRow, RuleSetRow
from app.services.common.pool_lock import raise_epoch
from app.services.common.pool_options import (
    BrokenSettings,
    FlowOptions,
    fairness_options,
    flow_options,
    next_pool,
)
from app.services.pools.day_change import change_window, change_zone
from app.services.pools.forecast_verdict import refuse_bad_forecast
from app.services.pools.relaxed_names import condition_names
from app.services.waking.waking import pause_or_go_on, wake_everything, wake_for_present
from app.utils.trouble import sqlstate_of

_NO_SUCH_ZONE = "22023"
_NOW = text("SELECT clock_timestamp()")


async def create_pool(session: AsyncSession, *, values: Mapping[str, Any]) -> Pool:
    """Make a pool. Raises AlreadyExists where the code is taken, Invalid for a zone that the database lacks."""
    await _check_zone(session, values["timezone"])
    pool = Pool(**values)
    session.add(pool)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            say("code: there is a pool '{code}' already; choose another code.", code=values["code"])
        ) from error
    session.add(PoolStateRow(pool_id=pool.id))
    await session.commit()
    await session.refresh(pool)
    return pool


async def _check_zone(session: AsyncSession, name: str) -> None:
    """Refuse a zone that Python knows and this PostgreSQL does not: every statement about its day would fail."""
    try:
        await session.execute(
            text("SELECT clock_timestamp() AT TIME ZONE CAST(:zone AS text)"), {"zone": name}
        )
    except DBAPIError as error:
        if sqlstate_of(error) != _NO_SUCH_ZONE:
            raise
        reason = say("PostgreSQL here does not know the zone '{name}'", name=name)
        raise Invalid(
            say("timezone: {reason}.", reason=reason),
            [FieldError("timezone", reason, say("choose another one"))],
        ) from error


async def list_pools(session: AsyncSession, *, caller: Caller) -> Sequence[Pool]:
    """The caller's pools, by id."""
    return (await session.scalars(within_reach(select(Pool).order_by(Pool.id), Pool.id, caller))).all()


async def find_pool(session: AsyncSession, *, code: str) -> PoolId | None:
    """The pool with this code; None where there is none."""
    found = await session.scalar(select(Pool.id).where(Pool.code == code))
    return None if found is None else PoolId(found)


async def get_pool(session: AsyncSession, *, pool_id: PoolId) -> Pool:
    """One pool. Raises NotFound."""
    pool = await session.get(Pool, pool_id)
    if pool is None:
        raise no_pool(pool_id)
    return pool


async def change_pool(
    session: AsyncSession, *, pool_id: PoolId, changes: Mapping[str, Any], caller: Caller
) -> Pool:
    """Change a pool; workers see it with their next batch, and what that may make room for is looked at again.

    Raises NotFound, and Invalid for options that make no sense or name a pool that the caller may not change.
    """
    epoch = await raise_epoch(session, pool_id, configuration=True)
    pool = await get_pool(session, pool_id=pool_id)
    now = await session.scalar(_NOW)
    flow_before = pool.settings.get("flow")
    if "timezone" in changes:
        await _check_zone(session, changes["timezone"])
    for name, value in changes.items():
        if name == "fairness":
            pool.settings = await _with_fairness(session, pool, value)
        elif name == "flow":
            pool.settings = await _with_flow(session, pool, value, caller)
        elif name == "timezone" and value != pool.timezone:
            change_zone(pool, value, now=now)
        elif name == "fairness_window" and value != pool.fairness_window:
            await change_window(session, pool, value, now=now, epoch=epoch)
        else:
            setattr(pool, name, value)
    if pool.active and changes.get("paused_until"):
        raise _wrong("paused_until", say("the pool is not paused"), say("send it with active: false"))
    if "active" in changes or "paused_until" in changes:
        pool.paused_until = None if pool.active else changes.get("paused_until")
        await pause_or_go_on(session, pool_id=pool_id, active=pool.active)
    if pool.settings.get("flow") != flow_before:  # what a step relaxes
        await wake_everything(session, pool_id=pool_id, escalated_only=True)
    if "timezone" in changes:  # the day may end at another time
        await wake_for_present(session, pool_id=pool_id, executor_ids=[])
    await session.commit()
    await session.refresh(pool)
    return pool


async def _with_fairness(session: AsyncSession, pool: Pool, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these options changed. Raises Invalid where the whole would make no sense.

    A forecast that was not measured here, or that hurt, is not switched on.
    """
    before = pool.settings.get("fairness")
    merged = {**pool.settings, "fairness": {**(before if isinstance(before, dict) else {}), **changes}}
    try:
        fairness_options(merged)
    except BrokenSettings as error:
        raise Invalid(say("fairness: {error}", error=error)) from error
    if changes.get("forecast") and not (isinstance(before, dict) and before.get("forecast")):
        await refuse_bad_forecast(session, pool_id=PoolId(pool.id))
    return merged


async def _with_flow(
    session: AsyncSession, pool: Pool, changes: Mapping[str, Any], caller: Caller
) -> dict[str, Any]:
    """The settings with these options changed. Raises Invalid, also for conditions that the active rules lack."""
    before = pool.settings.get("flow")
    merged = {**pool.settings, "flow": {**(before if isinstance(before, dict) else {}), **changes}}
    try:
        flow = flow_options(merged)
    except BrokenSettings as error:
        raise Invalid(say("flow: {error}", error=error)) from error
    await _refuse_unknown_conditions(session, pool, flow)
    if (target := next_pool(merged)) is not None and target != next_pool(pool.settings):
        await _refuse_target(
            session, pool, target, f"flow.escalation[{len(flow.escalation) - 1}].to_pool", caller
        )
    return merged


async def _refuse_unknown_conditions(session: AsyncSession, pool: Pool, flow: FlowOptions) -> None:
    document = await session.scalar(
        select(RuleSetRow.document).where(RuleSetRow.pool_id == pool.id, RuleSetRow.state == "active")
    )
    known = condition_names(document or {})
    for number, step in enumerate(flow.escalation):
        for name in step.relax:
            if name not in known:
                raise _wrong(
                    f"flow.escalation[{number}].relax",
                    say("no condition '{name}' in the active rules", name=name),
                    say("use one of: {known}", known=known[:20] or say("none: there are no conditions")),
                )


_ROUTES_BETWEEN_POOLS = text("SELECT pg_advisory_xact_lock(hashtext('executor_balancer.next_pool'))")
"""One change of where tasks go on to at a time, taken after the pool: two halves of a circle cannot be made at once."""


async def _refuse_target(session: AsyncSession, pool: Pool, target: int, place: str, caller: Caller) -> None:
    """Raise Invalid for a pool that is not there or not theirs, and for one from which tasks would come back."""
    if target == pool.id:
        raise _wrong(place, say("the pool itself"), say("name another pool"))
    if not caller.sees(target) or await session.get(Pool, target) is None:
        raise _wrong(place, say("there is no pool {target}", target=target), say("use one of GET /v1/pools"))
    await session.execute(_ROUTES_BETWEEN_POOLS)
    onward = {
        row.id: next_pool(row.settings) for row in await session.execute(select(Pool.id, Pool.settings))
    }
    way: list[int] = []
    step: int | None = target
    while step is not None and step not in way:
        way.append(step)
        step = pool.id if step == pool.id else onward.get(step)
    if pool.id in way:
        listed = " -> ".join(map(str, [pool.id, *way]))
        raise _wrong(
            place,
            say("tasks would go in a circle: {listed}", listed=listed),
            say("name a pool that does not lead back"),
        )


def _wrong(place: str, reason: Message, remedy: Message) -> Invalid:
    return Invalid.at(place, reason, remedy)
