"""Webhooks: receivers of a pool's messages that users name. Signed, so that the receiver knows who speaks.

The header `X-Balancer-Signature: t=<unix seconds>,v1=<hex>` carries HMAC-SHA256 of `<t>.<body>` under the webhook's
secret; a receiver checks it and refuses a `t` that is minutes old. Addresses inside this network are refused
(`app.integrations.public_addresses`), when the webhook is made and at each request.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

import httpx
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.config import Settings
from app.database import HotPool
from app.engine.types import PoolId
from app.errors import Conflict, Invalid, NotFound
from app.integrations.ais import AisDown, DeliveryVerdict
from app.integrations.public_addresses import check_url, outbound_client, parse_networks, read_bounded
from app.messages.message import say
from app.models import Webhook
from app.services.pools.pools import get_pool

PREFIX = "webhook:"
_MOST_PER_POOL = 10
_FIND = "SELECT url, secret FROM webhooks WHERE id = $1 AND active"
_DROP = text(
    "UPDATE outbox SET dead_at = clock_timestamp(), last_error = 'the webhook was deleted'"
    " WHERE destination = :destination AND delivered_at IS NULL AND dead_at IS NULL"
)
_REFUSES = range(300, 500)
_LATER = frozenset({408, 425, 429})


def signature(secret: str, body: bytes, at: int) -> str:
    """The header's value for a body sent at this unix time."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookReceiver:
    """Sends one message in each request."""

    def __init__(self, url: str, secret: str, settings: Settings) -> None:
        self._url = url
        self._secret = secret
        self._client = outbound_client(parse_networks(settings.outbound_allow), timeout=10.0)

    async def send(self, messages: Sequence[dict[str, Any]]) -> dict[int, DeliveryVerdict]:
        """Post each message; 2xx is taken in, 3xx and 4xx refused. Raises AisDown for everything else.

        A redirect is not followed, so it is a refusal: the webhook must name the address itself.
        """
        return {message["delivery_id"]: await self._post(message) for message in messages}

    async def _post(self, message: dict[str, Any]) -> DeliveryVerdict:
        body = json.dumps(message, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Balancer-Signature": signature(self._secret, body, int(time.time())),
            "X-Balancer-Delivery": str(message["delivery_id"]),
        }
        try:
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                said = await read_bounded(response)
        except Invalid as refused:
            return DeliveryVerdict(False, refused.detail)
        except httpx.InvalidURL as error:  # stored by an older version: no repetition makes it an address
            return DeliveryVerdict(False, f"url: {error}")
        except httpx.HTTPError as error:
            raise AisDown(str(error) or type(error).__name__) from error
        if response.is_success:
            return DeliveryVerdict(True)
        answer = f"{response.status_code} {said[:200].decode(errors='replace')}"
        if response.status_code in _REFUSES and response.status_code not in _LATER:
            return DeliveryVerdict(False, answer)
        raise AisDown(answer)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()


async def find_receiver(pool: HotPool, destination: str, settings: Settings) -> WebhookReceiver | None:
    """The webhook that a destination names; None where it is gone or switched off."""
    number = destination.removeprefix(PREFIX)
    if not (destination.startswith(PREFIX) and number.isdigit()):
        return None
    async with pool.acquire() as connection:
        row = await connection.fetchrow(_FIND, int(number))
    return WebhookReceiver(row["url"], row["secret"], settings) if row else None


async def create_webhook(
    session: AsyncSession, *, pool_id: PoolId, url: str, secret: str | None, actor: str, settings: Settings
) -> Webhook:
    """Have a pool's messages sent to an address from now on. Raises NotFound (pool), Invalid, Conflict."""
    check_url(url, parse_networks(settings.outbound_allow))
    await get_pool(session, pool_id=pool_id)
    if len(await list_webhooks(session, pool_id=pool_id)) >= _MOST_PER_POOL:
        raise Conflict(say("A pool has at most {most} webhooks; delete one first.", most=_MOST_PER_POOL))
    made = secret or secrets.token_urlsafe(32)
    webhook = Webhook(pool_id=pool_id, url=url, secret=made, created_by=actor)
    session.add(webhook)
    await session.commit()
    await session.refresh(webhook)
    return webhook


async def list_webhooks(session: AsyncSession, *, pool_id: PoolId) -> Sequence[Webhook]:
    """A pool's active webhooks."""
    query = select(Webhook).where(Webhook.pool_id == pool_id, Webhook.active).order_by(Webhook.id)
    return (await session.scalars(query)).all()


async def delete_webhook(session: AsyncSession, *, webhook_id: int) -> None:
    """Send nothing more there; what is still to be sent is dropped. Raises NotFound."""
    found = await session.execute(
        update(Webhook).where(Webhook.id == webhook_id, Webhook.active).values(active=False)
    )
    if not getattr(found, "rowcount", 0):
        raise NotFound(say("There is no webhook {webhook_id}.", webhook_id=webhook_id), webhook_id=webhook_id)
    await session.execute(_DROP, {"destination": f"{PREFIX}{webhook_id}"})
    await session.commit()
