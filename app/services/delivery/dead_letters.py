"""The outbox as people see it: what was sent, what waits, what is dead; and dead letters sent again."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Caller, within_reach
from app.engine.types import PoolId, TaskId
from app.errors import Conflict, NotFound
from app.messages.message import say
from app.models import OutboxMessage

DeliveryState = Literal["waiting", "failing", "delivered", "dead"]


def state_of(message: OutboxMessage) -> DeliveryState:
    """Where a message is: on its way (failing: tried in vain so far), there, or set aside."""
    if message.delivered_at is not None:
        return "delivered"
    if message.dead_at is not None:
        return "dead"
    return "failing" if message.last_error else "waiting"


async def list_deliveries(
    session: AsyncSession,
    *,
    caller: Caller,
    pool_id: PoolId | None,
    task_id: TaskId | None,
    state: DeliveryState | None,
    before: int | None,
    limit: int,
) -> tuple[Sequence[OutboxMessage], int | None]:
    """A page of messages, newest first, and the id to go on before (None on the last page)."""
    query: Select[Any] = within_reach(select(OutboxMessage), OutboxMessage.pool_id, caller)
    if pool_id is not None:
        query = query.where(OutboxMessage.pool_id == pool_id)
    if task_id is not None:
        query = query.where(OutboxMessage.task_id == task_id)
    if before is not None:
        query = query.where(OutboxMessage.id < before)
    query = _in_state(query, state).order_by(OutboxMessage.id.desc()).limit(limit + 1)
    found = (await session.scalars(query)).all()
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _in_state(query: Select[Any], state: DeliveryState | None) -> Select[Any]:
    if state is None:
        return query
    if state == "delivered":
        return query.where(OutboxMessage.delivered_at.is_not(None))
    if state == "dead":
        return query.where(OutboxMessage.dead_at.is_not(None), OutboxMessage.delivered_at.is_(None))
    tried = (
        OutboxMessage.last_error.is_not(None) if state == "failing" else OutboxMessage.last_error.is_(None)
    )
    return query.where(OutboxMessage.delivered_at.is_(None), OutboxMessage.dead_at.is_(None), tried)


async def replay_delivery(session: AsyncSession, *, delivery_id: int) -> OutboxMessage:
    """Send a dead or failing message again at once.

    Raises NotFound, and Conflict where it is there already or a later one of its task is: it would be stale.
    """
    message = await session.get(OutboxMessage, delivery_id, with_for_update=True)
    if message is None:
        raise NotFound(
            say("There is no delivery {delivery_id}.", delivery_id=delivery_id), delivery_id=delivery_id
        )
    if message.delivered_at is not None:
        raise Conflict(say("It was delivered already."), delivery_id=delivery_id)
    later = await session.scalar(
        select(OutboxMessage.id).where(
            OutboxMessage.task_id == message.task_id,
            OutboxMessage.destination == message.destination,
            OutboxMessage.sequence > message.sequence,
            OutboxMessage.delivered_at.is_not(None),
        )
    )
    if later is not None:
        raise Conflict(
            say("Delivery {later} of the same task is newer and there already.", later=later), newer=later
        )
    message.dead_at = message.claimed_until = message.last_error = None
    message.attempts = 0
    message.next_attempt_at = func.now()
    await session.commit()
    await session.refresh(message)
    return message
