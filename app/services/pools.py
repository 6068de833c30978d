"""Pools: made, changed, looked at."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import Caller, no_pool, within_reach
from app.engine.types import PoolId
from app.errors import AlreadyExists, Invalid
from app.models import Pool, PoolState
from app.services.epoch import raise_epoch
from app.services.options import BrokenSettings, fairness_options

WAKE_PARKED = text(
    "UPDATE tasks SET wait_reason = NULL, wake_at = NULL"
    " WHERE pool_id = :pool_id AND status = 'pending' AND wait_reason IS NOT NULL"
)
"""Something that decisions depend on changed: look again at everything that waits."""


async def create_pool(session: AsyncSession, *, values: Mapping[str, Any]) -> Pool:
    """Make a pool. Raises AlreadyExists where the code is taken."""
    pool = Pool(**values)
    session.add(pool)
    try:
        await session.flush()
    except IntegrityError as error:
        raise AlreadyExists(
            f"code: there is a pool '{values['code']}' already; choose another code."
        ) from error
    session.add(PoolState(pool_id=pool.id))
    await session.commit()
    await session.refresh(pool)
    return pool


async def list_pools(session: AsyncSession, *, caller: Caller) -> Sequence[Pool]:
    """The caller's pools, by id."""
    return (await session.scalars(within_reach(select(Pool).order_by(Pool.id), Pool.id, caller))).all()


async def get_pool(session: AsyncSession, *, pool_id: PoolId) -> Pool:
    """One pool. Raises NotFound."""
    pool = await session.get(Pool, pool_id)
    if pool is None:
        raise no_pool(pool_id)
    return pool


async def change_pool(session: AsyncSession, *, pool_id: PoolId, changes: Mapping[str, Any]) -> Pool:
    """Change a pool; workers see it with their next batch, and what waits is looked at again. Raises NotFound."""
    await raise_epoch(session, pool_id, configuration=True)
    pool = await get_pool(session, pool_id=pool_id)
    for name, value in changes.items():
        if name == "fairness":
            pool.settings = _with_fairness(pool.settings, value)
        else:
            setattr(pool, name, value)
    await session.execute(WAKE_PARKED, {"pool_id": pool_id})
    await session.commit()
    await session.refresh(pool)
    return pool


def _with_fairness(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these options changed. Raises Invalid where the whole would make no sense."""
    before = settings.get("fairness")
    merged = {**settings, "fairness": {**(before if isinstance(before, dict) else {}), **changes}}
    try:
        fairness_options(merged)
    except BrokenSettings as error:
        raise Invalid(f"fairness: {error}") from error
    return merged
