"""The header Idempotency-Key of the routes that honour it; app/api/strict.py refuses it on all others."""

from typing import Annotated

from fastapi import Depends, Header, Request

from app.errors import Invalid
from app.messages.message import say
from app.services.common.sent_keys import SentKey, sent_key

LONGEST_KEY = 200


async def _sent(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=LONGEST_KEY,
            description="The same key again gets the same answer; with another body it is refused.",
        ),
    ] = None,
) -> SentKey | None:
    """The key with what was sent. Raises Invalid where two keys were."""
    if idempotency_key is None:
        return None
    if len(request.headers.getlist("idempotency-key")) > 1:
        reason, remedy = say("two keys were sent"), say("send one")
        raise Invalid.at("Idempotency-Key", reason, remedy)
    body = await request.json() if await request.body() else None
    return sent_key(idempotency_key, request.scope["route"].name, body)


SentKeyDep = Annotated[SentKey | None, Depends(_sent)]
