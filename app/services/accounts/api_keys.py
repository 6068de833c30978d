"""API keys: made, listed, revoked. The secret is shown once and kept as a hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import make_api_key
from app.access.roles import GRANTS, Action, Caller, Role
from app.errors import FieldError, Invalid, NotFound
from app.messages.message import say
from app.models import ApiKey
from app.services.accounts.users import check_pools


@dataclass(frozen=True, slots=True)
class KeyWish:
    """A key to be made: what it may do, where, and until when (None: for good)."""

    name: str
    role: Role
    scopes: Sequence[Action]
    pool_ids: Sequence[int] | None
    expires_at: datetime | None


async def create_key(
    session: AsyncSession, *, wish: KeyWish, caller: Caller, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key; returns it and the secret that is never shown again. Raises Invalid."""
    if beyond := sorted(set(wish.scopes) - GRANTS[wish.role]):
        fault = FieldError(
            "scopes",
            say("the role {role} has no {missing}", role=wish.role, missing=beyond[0]),
            say("leave it out"),
        )
        raise Invalid(
            say("scopes: the role {role} has no {missing}.", role=wish.role, missing=list(beyond)), [fault]
        )
    if wish.expires_at is not None and wish.expires_at <= now:
        raise Invalid(
            say("expires_at: it is past."),
            [FieldError("expires_at", say("it is past"), say("send a later one"))],
        )
    await check_pools(session, wish.pool_ids)
    made = make_api_key()
    key = ApiKey(
        name=wish.name,
        prefix=made.prefix,
        key_hash=made.hash,
        role=wish.role,
        scopes=sorted(set(wish.scopes)),
        pool_ids=None if wish.pool_ids is None else sorted(set(wish.pool_ids)),
        expires_at=wish.expires_at,
        created_by=caller.name,
    )
    session.add(key)
    await session.commit()
    await session.refresh(key)
    return key, made.whole


async def list_keys(
    session: AsyncSession, *, before: int | None, limit: int
) -> tuple[Sequence[ApiKey], int | None]:
    """A page of keys, newest first, revoked ones too, and the id to go on before (None on the last page)."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit + 1)
    rows = (await session.scalars(query if before is None else query.where(ApiKey.id < before))).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


async def revoke_key(session: AsyncSession, *, key_id: int, now: datetime) -> None:
    """End a key; ending it again changes nothing. Raises NotFound."""
    key = await session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(say("There is no API key {key_id}.", key_id=key_id), api_key_id=key_id)
    key.revoked_at = key.revoked_at or now
    await session.commit()
