"""Deliveries: what the outside was told, what waits, what is dead; and who else is told (webhooks)."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, status

from app.api.deps import CallerDep, DirectoryDep, SessionDep, SettingsDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.engine.types import PoolId, TaskId
from app.models import OutboxMessage, Webhook
from app.schemas.common import Identifier
from app.schemas.deliveries import (
    DeliveryOut,
    DeliveryPage,
    WebhookCreated,
    WebhookIn,
    WebhookList,
    WebhookOut,
)
from app.services.delivery import dead_letters, webhooks as webhook_service
from app.services.delivery.dead_letters import DeliveryState, state_of

router = APIRouter(tags=["deliveries"], route_class=StrictRoute)

DeliveryIdPath = Annotated[Identifier, Path(description="The delivery's id.")]
WebhookIdPath = Annotated[Identifier, Path(description="The webhook's id.")]


@router.get("/v1/deliveries", responses=problems(404, 422))
async def list_deliveries(
    session: SessionDep,
    caller: CallerDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
    task_id: Annotated[Identifier | None, Query()] = None,
    state: Annotated[DeliveryState | None, Query()] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> DeliveryPage:
    """Messages to the external system and to webhooks, newest first."""
    found, before = await dead_letters.list_deliveries(
        session,
        caller=caller,
        pool_id=None if pool_id is None else PoolId(pool_id),
        task_id=None if task_id is None else TaskId(task_id),
        state=state,
        before=cursor_to_id(cursor),
        limit=limit,
    )
    return DeliveryPage(items=[delivery_out(message) for message in found], next_cursor=id_to_cursor(before))


@router.post("/v1/deliveries/{delivery_id}/replay", responses=problems(404, 409, 422))
async def replay_delivery(delivery_id: DeliveryIdPath, session: SessionDep) -> DeliveryOut:
    """Send a message again that was set aside or failed so far."""
    return delivery_out(await dead_letters.replay_delivery(session, delivery_id=delivery_id))


@router.get("/v1/webhooks", responses=problems(404, 422))
async def list_webhooks(
    session: SessionDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query()] = None,
) -> WebhookList:
    """A pool's webhooks."""
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    found = await webhook_service.list_webhooks(session, pool_id=pool.id)
    return WebhookList(items=[WebhookOut(**_fields(webhook)) for webhook in found])


@router.post("/v1/webhooks", status_code=status.HTTP_201_CREATED, responses=problems(404, 409, 422))
async def create_webhook(
    body: WebhookIn,
    session: SessionDep,
    directory: DirectoryDep,
    caller: CallerDep,
    settings: SettingsDep,
) -> WebhookCreated:
    """Have a pool's messages sent to an address of yours, signed with the secret."""
    pool = await directory.get(None if body.pool_id is None else PoolId(body.pool_id))
    webhook = await webhook_service.create_webhook(
        session, pool_id=pool.id, url=body.url, secret=body.secret, actor=caller.name, settings=settings
    )
    return WebhookCreated(**_fields(webhook), secret=webhook.secret)


@router.delete(
    "/v1/webhooks/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404, 422)
)
async def delete_webhook(webhook_id: WebhookIdPath, session: SessionDep) -> None:
    """Send nothing more there."""
    await webhook_service.delete_webhook(session, webhook_id=webhook_id)


def _fields(webhook: Webhook) -> dict[str, Any]:
    own = {name: getattr(webhook, name) for name in WebhookOut.model_fields if name != "webhook_id"}
    return {**own, "webhook_id": webhook.id}


def delivery_out(message: OutboxMessage) -> DeliveryOut:
    """The API's form of a message."""
    own = ("delivery_id", "state")
    fields = {name: getattr(message, name) for name in DeliveryOut.model_fields if name not in own}
    return DeliveryOut.model_validate({**fields, "delivery_id": message.id, "state": state_of(message)})
