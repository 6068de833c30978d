"""Signing in and staying so: a password once, then a chain of refresh tokens, each good for one use.

Every failure is answered alike and takes as long: nobody learns which names exist, which are locked, or whose password
was right. A refresh token that comes a second time was stolen or copied: its whole family ends.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import KeyRing, hash_secret, make_secret
from app.errors import Unauthenticated
from app.messages.message import say
from app.models import ExecutorRow, RefreshToken, User
from app.services.accounts.passwords import Passwords
from app.services.audit.audit_log import note

log = structlog.get_logger()

FREE_FAILURES = 5
"""Wrong passwords before a name is locked for a minute; each further one doubles that."""
LONGEST_LOCK = timedelta(minutes=15)

_COUNT_FAILURE = text("""
UPDATE users SET failed_logins = failed_logins + 1,
    locked_until = CASE WHEN failed_logins + 1 >= CAST(:free AS integer) THEN CAST(:now AS timestamptz) + least(
        interval '1 minute' * power(2, least(failed_logins + 1 - CAST(:free AS integer), 10)),
        CAST(:longest AS interval)
    ) END
WHERE username = :username RETURNING locked_until
""")
_NO_WAIT = text("SET LOCAL synchronous_commit = off")
"""A failure is written without waiting for the disk: a name that exists takes no longer than one that does not."""

_REFUSED = say("Wrong name or password; after several failures a name is locked for up to 15 minutes.")
_ENDED = say("The refresh token is not valid any more: sign in again by POST /v1/auth/token.")


@dataclass(frozen=True, slots=True)
class Lives:
    """How long tokens live."""

    access: timedelta
    refresh: timedelta


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh pair of tokens."""

    access_token: str
    refresh_token: str
    lives: Lives


async def is_known_device(session: AsyncSession, *, username: str, device: str) -> bool:
    """Whether a sign-in of this user with this device's secret is still kept (as long as its refresh tokens are)."""
    known = select(RefreshToken.id).join(User, User.id == RefreshToken.user_id)
    known = known.where(User.username == username, RefreshToken.device_hash == hash_secret(device)).limit(1)
    found = await session.scalar(known)
    await session.rollback()  # hold no connection while the try waits for its turn
    return found is not None


async def sign_in(
    session: AsyncSession,
    *,
    username: str,
    password: str,
    passwords: Passwords,
    keys: KeyRing,
    lives: Lives,
    now: datetime,
    device: str | None = None,
    device_known: bool = False,
) -> SignedIn:
    """Begin a chain. Raises Unauthenticated for every kind of failure, Overloaded under a flood.

    A known device is not hit by the lock of the name: its wrong tries do not count to it, and its right one leaves it
    as it is for all others.
    """
    columns = (User.id, User.password_hash, User.locked_until)
    user = (await session.execute(select(*columns).where(User.username == username, User.active))).first()
    await session.rollback()  # hold no connection while the password is checked
    right = await passwords.check(password, user.password_hash if user else None)
    locked = user is not None and user.locked_until is not None and user.locked_until > now
    if user is None or not right or (locked and not device_known):
        user_id, counts = user.id if user else None, not right and not device_known
        await _count_failure(session, username, now, user_id=user_id, counts=counts)
        raise Unauthenticated(_REFUSED)
    return await begin_chain(
        session,
        user_id=user.id,
        keys=keys,
        lives=lives,
        now=now,
        device_hash=None if device is None else hash_secret(device),
        unlock=not locked,
    )


async def _count_failure(
    session: AsyncSession, username: str, now: datetime, *, user_id: int | None, counts: bool
) -> None:
    """Count a failed sign-in and note it in the audit log, with the caller's address.

    A name that no user has is not noted: people type passwords into that field.
    """
    await session.execute(_NO_WAIT)
    values = {
        "username": username if counts else "",
        "now": now,
        "free": FREE_FAILURES,
        "longest": LONGEST_LOCK,
    }
    locked = (await session.execute(_COUNT_FAILURE, values)).scalar_one_or_none()
    await note(
        session,
        action="sign_in_refused",
        entity="users",
        entity_id="" if user_id is None else str(user_id),
        actor=None if user_id is None else username,
    )
    await session.commit()
    log.warning("sign_in.refused", locked_until=str(locked) if locked else None)


async def begin_chain(
    session: AsyncSession,
    *,
    user_id: int,
    keys: KeyRing,
    lives: Lives,
    now: datetime,
    ends_at: datetime | None = None,
    details: str | None = None,
    device_hash: bytes | None = None,
    unlock: bool = True,
) -> SignedIn:
    """Tokens for somebody who proved who they are. Raises Unauthenticated where they may not sign in any more.

    With `ends_at`, the chain ends then, however much it is used; `details` are noted in the audit log.
    """
    user = await session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None or not user.active or await _has_left(session, user):
        raise Unauthenticated(_REFUSED)
    user.last_login_at = now
    if unlock:
        user.failed_logins, user.locked_until = 0, None
    await session.execute(
        text("DELETE FROM refresh_tokens WHERE user_id = :user_id AND expires_at < :now"),
        {"user_id": user_id, "now": now},
    )
    signed_in = _issue(session, user, _Link(uuid.uuid4().hex, ends_at, device_hash), keys, lives, now)
    await note(
        session,
        action="signed_in",
        entity="users",
        entity_id=str(user_id),
        actor=user.username,
        details=details,
    )
    await session.commit()
    return signed_in


async def _has_left(session: AsyncSession, user: User) -> bool:
    """Whether the account is that of an executor who is not active any more: it opens nothing until they are."""
    if user.role != "executor":
        return False
    return not await session.scalar(select(ExecutorRow.active).where(ExecutorRow.id == user.executor_id))


@dataclass(frozen=True, slots=True)
class _Link:
    """What every link of a chain has from the one before."""

    family: str
    ends_at: datetime | None
    device_hash: bytes | None


def _issue(
    session: AsyncSession, user: User, link: _Link, keys: KeyRing, lives: Lives, now: datetime
) -> SignedIn:
    secret = make_secret()
    left = lives.refresh if link.ends_at is None else min(lives.refresh, link.ends_at - now)
    lives = Lives(min(lives.access, left), left)
    session.add(
        RefreshToken(
            user_id=user.id,
            family=link.family,
            token_hash=hash_secret(secret),
            issued_at=now,
            expires_at=now + left,
            ends_at=link.ends_at,
            device_hash=link.device_hash,
        )
    )
    access = keys.issue(user_id=user.id, token_version=user.token_version, now=now, life=lives.access)
    return SignedIn(access, secret, lives)


async def refresh(
    session: AsyncSession, *, token: str, keys: KeyRing, lives: Lives, now: datetime
) -> SignedIn:
    """The next link of a chain. Raises Unauthenticated; a token that was used before ends its family."""
    known = await session.scalar(
        select(RefreshToken).where(RefreshToken.token_hash == hash_secret(token)).with_for_update()
    )
    if known is None or known.revoked_at is not None or known.expires_at <= now:
        raise Unauthenticated(_ENDED)
    user = await session.get_one(User, known.user_id)
    if known.used_at is not None:
        await _end_family(session, known, now)
        await note(
            session, action="token_reused", entity="users", entity_id=str(user.id), actor=user.username
        )
        await session.commit()
        log.warning("sign_in.token_reused", user_id=user.id)
        raise Unauthenticated(_ENDED)
    if not user.active or await _has_left(session, user):
        raise Unauthenticated(_ENDED)
    known.used_at = now
    signed_in = _issue(session, user, _Link(known.family, known.ends_at, known.device_hash), keys, lives, now)
    await session.commit()
    return signed_in


async def sign_out(session: AsyncSession, *, token: str, now: datetime) -> None:
    """End a chain, and with it every access token of the user; what is not known is no error."""
    known = await session.scalar(select(RefreshToken).where(RefreshToken.token_hash == hash_secret(token)))
    if known is None or known.revoked_at is not None:
        return
    user = await session.get_one(User, known.user_id)
    await _end_family(session, known, now)
    await note(session, action="signed_out", entity="users", entity_id=str(user.id), actor=user.username)
    await session.commit()


async def _end_family(session: AsyncSession, token: RefreshToken, now: datetime) -> None:
    """Revoke the whole family, and the access tokens out there: the user's others are refreshed unseen."""
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.family == token.family, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    await session.execute(
        update(User).where(User.id == token.user_id).values(token_version=User.token_version + 1)
    )


async def end_all_chains(session: AsyncSession, *, user: User, now: datetime) -> None:
    """Sign a user out everywhere, in the caller's transaction."""
    user.token_version += 1
    await session.execute(
        update(RefreshToken)
        .where(RefreshToken.user_id == user.id, RefreshToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
