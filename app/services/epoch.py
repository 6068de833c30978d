"""The pool's lock and epoch: taken first by every transaction that changes what a decision depends on."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import NotFound

_RAISE = text("UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = :pool_id RETURNING epoch")
_RAISE_CONFIG = text(
    "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = :pool_id RETURNING epoch"
)


async def raise_epoch(session: AsyncSession, pool_id: PoolId, *, configuration: bool = False) -> int:
    """Lock the pool until the transaction ends and return its new epoch, to stamp on each executor or load row changed.

    With `configuration` (rules, parameters, pool settings) workers reload the whole picture instead of a delta.
    """
    statement = _RAISE_CONFIG if configuration else _RAISE
    epoch = (await session.execute(statement, {"pool_id": pool_id})).scalar_one_or_none()
    if epoch is None:
        raise NotFound(f"There is no pool {pool_id}.", pool_id=pool_id)
    return int(epoch)
