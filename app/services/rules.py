"""Rule sets: drafted, checked, activated, archived."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId, RuleSetId
from app.errors import Conflict, FieldError, Invalid, NotFound
from app.models import RuleSet
from app.rule_engine import Fault, RuleSetInvalid, parse_rule_set
from app.services.epoch import raise_epoch
from app.services.parameters import read_catalogue
from app.services.pools import WAKE_PARKED


async def find_faults(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any]
) -> Sequence[Fault]:
    """Everything that is wrong with a document under the pool's catalogue; empty where it may be saved."""
    try:
        parse_rule_set(document, await read_catalogue(session, pool_id=pool_id))
    except RuleSetInvalid as error:
        return error.issues
    return ()


async def create_rule_set(
    session: AsyncSession, *, pool_id: PoolId, name: str, document: Mapping[str, Any], author: str
) -> RuleSet:
    """Save a checked document as the next version of its name. Raises Invalid."""
    _refuse(await find_faults(session, pool_id=pool_id, document=document))
    await raise_epoch(session, pool_id)  # the pool's lock: versions of one name count without gaps
    version = await session.scalar(
        select(func.coalesce(func.max(RuleSet.version), 0) + 1).where(
            RuleSet.pool_id == pool_id, RuleSet.name == name
        )
    )
    rule_set = RuleSet(pool_id=pool_id, name=name, version=version, document=dict(document), author=author)
    session.add(rule_set)
    await session.commit()
    await session.refresh(rule_set)
    return rule_set


async def activate_rule_set(session: AsyncSession, *, rule_set_id: RuleSetId, now: datetime) -> RuleSet:
    """Put a rule set in force and archive the one before, at once; what waits is looked at again.

    Raises NotFound, Conflict (archived), Invalid (the catalogue changed since it was saved).
    """
    pool_id = PoolId((await get_rule_set(session, rule_set_id=rule_set_id)).pool_id)
    await raise_epoch(session, pool_id, configuration=True)
    rule_set = await session.get_one(RuleSet, rule_set_id, populate_existing=True)
    if rule_set.state == "active":
        return rule_set
    if rule_set.state == "archived":
        raise Conflict(f"Rule set {rule_set_id} is archived: create a new version with its document.")
    _refuse(await find_faults(session, pool_id=pool_id, document=rule_set.document))
    before = await session.scalar(
        select(RuleSet).where(RuleSet.pool_id == pool_id, RuleSet.state == "active")
    )
    if before is not None:
        before.state, before.archived_at = "archived", now
        await session.flush()  # the unique index allows one active rule set at any moment
    rule_set.state, rule_set.activated_at = "active", now
    await session.execute(WAKE_PARKED, {"pool_id": pool_id})
    await session.commit()
    return rule_set


async def get_rule_set(session: AsyncSession, *, rule_set_id: RuleSetId) -> RuleSet:
    """One rule set. Raises NotFound."""
    rule_set = await session.get(RuleSet, rule_set_id)
    if rule_set is None:
        raise NotFound(f"There is no rule set {rule_set_id}.", rule_set_id=rule_set_id)
    return rule_set


async def list_rule_sets(
    session: AsyncSession, *, pool_id: PoolId, state: str | None, before: int | None, limit: int
) -> tuple[Sequence[RuleSet], int | None]:
    """A page of rule sets, newest first, and the id to go on before (None on the last page)."""
    query = select(RuleSet).where(RuleSet.pool_id == pool_id)
    if state is not None:
        query = query.where(RuleSet.state == state)
    if before is not None:
        query = query.where(RuleSet.id < before)
    rows = (await session.scalars(query.order_by(RuleSet.id.desc()).limit(limit + 1))).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        errors = [FieldError(f"rules{fault.path[1:]}", fault.reason, fault.remedy) for fault in faults]
        raise Invalid(f"{errors[0].field}: {errors[0].reason}; {errors[0].remedy}", errors)
