"""The pool's lock and epoch: taken first by every transaction that changes what a decision depends on."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import NotFound
from app.messages.message import say
from app.utils.trouble import sqlstate_of

# A cold transaction may rest longer than one that holds a pool: what hangs with a pool in its hands soon loses it.
_RAISE = text("""
UPDATE pool_states SET epoch = epoch + 1
WHERE pool_id = :pool_id RETURNING epoch, set_config('idle_in_transaction_session_timeout', '2s', true)
""")
_RAISE_CONFIG = text("""
UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1
WHERE pool_id = :pool_id RETURNING epoch, set_config('idle_in_transaction_session_timeout', '2s', true)
""")
_PATIENCE = text("SELECT set_config('lock_timeout', :milliseconds, true)")
_LOCK_NOT_AVAILABLE = "55P03"


async def raise_epoch(session: AsyncSession, pool_id: PoolId, *, configuration: bool = False) -> int:
    """Lock the pool until the transaction ends and return its new epoch, to stamp on each executor or load row changed.

    With `configuration` (rules, parameters, pool settings) workers reload the whole picture instead of a delta.
    """
    statement = _RAISE_CONFIG if configuration else _RAISE
    epoch = (await session.execute(statement, {"pool_id": pool_id})).scalar_one_or_none()
    if epoch is None:
        raise NotFound(say("There is no pool {pool_id}.", pool_id=pool_id), pool_id=pool_id)
    return int(epoch)


async def try_to_raise_epoch(session: AsyncSession, pool_id: PoolId, *, seconds: float) -> int | None:
    """The same; None, and the transaction rolled back, where the pool does not come free within `seconds`.

    For what can be done later: a process that hangs must leave no request at the server that takes the pool when the
    lock it hangs with is taken from it. So `seconds` are fewer than `worker_transaction_seconds`.
    """
    await session.execute(_PATIENCE, {"milliseconds": f"{max(1, int(seconds * 1000))}ms"})
    try:
        return await raise_epoch(session, pool_id)
    except DBAPIError as error:
        if sqlstate_of(error) != _LOCK_NOT_AVAILABLE:
            raise
        await session.rollback()
        return None
