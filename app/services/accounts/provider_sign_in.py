"""Signing in by a provider: begun by a page, answered to it once, and by it alone.

What is begun is kept here under the hash of its `state`; the answer must come within minutes, once, with that state and
with the secret of the page that began it (otherwise somebody could be signed in as an attacker by a link). People are
known by issuer and subject, never by a name that they may choose themselves. What they may do is what an admin set, or,
where OIDC_ROLES says so, what the provider says, each time anew; nobody is let in without a role.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import KeyRing, hash_secret, make_secret
from app.access.oidc import Asked, Identity, Provider, challenge_of
from app.access.roles import Role
from app.config import ProviderGrant, Settings
from app.database import among
from app.errors import Conflict, FieldError, Forbidden, Invalid, Unauthenticated
from app.messages.message import say
from app.models import Pool, ProviderSignIn, User
from app.services.accounts.password_sign_in import Lives, SignedIn, begin_chain, end_all_chains
from app.services.accounts.passwords import Passwords
from app.services.accounts.users import checked, lock_admins

log = structlog.get_logger()

LIFE: Final = timedelta(minutes=10)
_MOST_BEGUN = 10_000
"""Sign-ins that may be under way; of more, the oldest are forgotten."""
_STRONGEST: tuple[Role, ...] = ("admin", "lead", "viewer", "executor")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?\Z")
_UNKNOWN = say("This sign-in is unknown, too old, used, or another browser's: begin it anew.")
_NAME_ACTOR = text("SELECT set_config('app.actor', :actor, true)")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the provider's word makes of somebody; None where it decides nothing."""

    role: Role
    pool_ids: list[int] | None


@dataclass(frozen=True, slots=True)
class ProviderSignedIn:
    """Tokens, and where to leave the provider too."""

    signed_in: SignedIn
    leave_url: str | None


async def begin(
    session: AsyncSession,
    *,
    provider: Provider,
    settings: Settings,
    challenge: str,
    page: str | None,
    language: str | None,
    now: datetime,
) -> str:
    """Where to send the browser. Raises Invalid for a page that is none of ours, Unavailable."""
    pages = settings.oidc_page_list
    if page is not None and page not in pages:
        fault = FieldError("page", say("none of OIDC_PAGES"), say("leave it out, or have it added there"))
        raise Invalid(say("page: it is none of OIDC_PAGES."), [fault])
    asked = Asked(page or pages[0], nonce=make_secret(), code_verifier=make_secret())
    state = make_secret()
    where = await provider.where_to(asked, state=state, language=language)
    await session.execute(delete(ProviderSignIn).where(ProviderSignIn.expires_at < now))
    newest = select(ProviderSignIn.id).order_by(ProviderSignIn.id.desc()).offset(_MOST_BEGUN)
    await session.execute(delete(ProviderSignIn).where(ProviderSignIn.id.in_(newest)))
    session.add(
        ProviderSignIn(
            state_hash=hash_secret(state),
            challenge=challenge,
            redirect_uri=asked.redirect_uri,
            nonce=asked.nonce,
            code_verifier=asked.code_verifier,
            expires_at=now + LIFE,
        )
    )
    await session.commit()
    return where


async def finish(
    session: AsyncSession,
    *,
    provider: Provider,
    settings: Settings,
    answer: Mapping[str, Any],
    passwords: Passwords,
    keys: KeyRing,
    lives: Lives,
    now: datetime,
) -> ProviderSignedIn:
    """Tokens for whom the provider vouches. Raises Unauthenticated, Forbidden (no user, no role), Unavailable."""
    asked = await _take(session, answer["state"], answer["verifier"], now)
    wanted = (settings.oidc_name_claim, *([_outer(settings.oidc_role_claim)] if settings.oidc_roles else ()))
    who = await provider.identify(asked, code=answer["code"], issuer=answer["iss"], wanted=wanted)
    leave_url = await provider.where_to_leave(asked.redirect_uri)
    await session.execute(_NAME_ACTOR, {"actor": f"provider {urlsplit(who.issuer).hostname}"})
    grant = await _grant(session, settings, who)
    user = await _find(session, settings, who, grant, passwords)
    if not user.active:
        raise Forbidden(say("Your user is switched off here: ask an admin."))
    if grant is not None:
        await _apply(session, user, grant, now)
    signed_in = await begin_chain(
        session,
        user_id=user.id,
        keys=keys,
        lives=lives,
        now=now,
        ends_at=now + timedelta(hours=settings.oidc_session_hours),
        details=json.dumps({"provider": who.issuer}),
    )
    return ProviderSignedIn(signed_in, leave_url)


async def _take(session: AsyncSession, state: str, verifier: str, now: datetime) -> Asked:
    """What was begun, taken so that nobody takes it again, whatever comes of it. Raises Unauthenticated."""
    begun = (
        await session.execute(
            update(ProviderSignIn)
            .where(
                ProviderSignIn.state_hash == hash_secret(state),
                ProviderSignIn.used_at.is_(None),
                ProviderSignIn.expires_at > now,
            )
            .values(used_at=now)
            .returning(
                ProviderSignIn.challenge,
                ProviderSignIn.redirect_uri,
                ProviderSignIn.nonce,
                ProviderSignIn.code_verifier,
            )
        )
    ).first()
    await session.commit()
    if begun is None or not hmac.compare_digest(begun.challenge, challenge_of(verifier)):
        raise Unauthenticated(_UNKNOWN)
    return Asked(begun.redirect_uri, begun.nonce, begun.code_verifier)


async def _grant(session: AsyncSession, settings: Settings, who: Identity) -> Grant | None:
    """What the provider's groups make of them; the strongest role counts. Raises Forbidden where that is nothing."""
    if not settings.oidc_roles:
        return None
    values = _values(who.claims, settings.oidc_role_claim)
    found = [settings.oidc_roles[value] for value in values if value in settings.oidc_roles]
    if not found:
        log.warning(
            "sign_in.no_role", subject=who.subject, claim=settings.oidc_role_claim, values=values[:20]
        )
        raise Forbidden(
            say("The sign-in provider gives you no role here: ask an admin for a group of OIDC_ROLES.")
        )
    role = min((grant.role for grant in found), key=_STRONGEST.index)
    return Grant(role, await _pool_ids(session, [grant for grant in found if grant.role == role]))


async def _pool_ids(session: AsyncSession, grants: list[ProviderGrant]) -> list[int] | None:
    """The pools of all these grants together; None: every pool."""
    codes: set[str] = set()
    for grant in grants:
        if grant.pools is None:
            return None
        codes.update(grant.pools)
    return sorted(await session.scalars(select(Pool.id).where(among(Pool.code, codes))))


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a claim, which may be one or a list; a claim of the whole name goes before one inside objects."""
    value: Any = claims
    for part in [name] if name in claims else name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    listed = value if isinstance(value, list) else [value]
    return [each for each in listed if isinstance(each, str)]


def _outer(name: str) -> str:
    return name.partition(".")[0] if "://" not in name else name


async def _find(
    session: AsyncSession, settings: Settings, who: Identity, grant: Grant | None, passwords: Passwords
) -> User:
    """The user of this subject, made where that is allowed. Raises Forbidden."""
    by_subject = select(User).where(User.oidc_issuer == who.issuer, User.oidc_subject == who.subject)
    if (user := await session.scalar(by_subject)) is not None:
        return user
    if settings.oidc_users != "create" or grant is None:
        log.warning("sign_in.unknown_subject", issuer=who.issuer, subject=who.subject)
        raise Forbidden(
            say("You are no user here yet: ask an admin, who will find your oidc_subject in the log.")
        )
    if grant.role == "executor":
        raise Forbidden(say("Nobody said which executor you are: ask an admin to make your user."))
    nobodys = await passwords.hash(make_secret())  # the column asks for a password: one that nobody has
    await session.execute(_new_user(settings, who, grant, nobodys))
    user = await session.scalar(by_subject)
    if user is None:
        raise Forbidden(
            say("Your name is another user's here: ask an admin to make your user under another one.")
        )
    return user


def _new_user(settings: Settings, who: Identity, grant: Grant, password_hash: str) -> Any:
    """Adds them; nothing where they came a moment ago, or where somebody else has the name."""
    [name, *_] = [*_values(who.claims, settings.oidc_name_claim), ""]
    return (
        insert(User)
        .values(
            username=name if _NAME.match(name) else f"subject {who.subject}"[:100],
            password_hash=password_hash,
            role=grant.role,
            pool_ids=grant.pool_ids,
            oidc_issuer=who.issuer,
            oidc_subject=who.subject,
        )
        .on_conflict_do_nothing()
    )


async def _apply(session: AsyncSession, user: User, grant: Grant, now: datetime) -> None:
    """Give them what the provider says; where that is a change, all their other sign-ins end. Raises Conflict."""
    wanted = await checked(session, {"role": grant.role, "pool_ids": grant.pool_ids}, user)
    if all(getattr(user, name) == value for name, value in wanted.items()):
        return
    admins = await lock_admins(session)
    await session.refresh(user, with_for_update=True)
    if admins == {user.id} and grant.role != "admin":
        raise Conflict(
            say("The provider makes you no admin any more, and you are the last one: make another first.")
        )
    for name, value in wanted.items():
        setattr(user, name, value)
    await end_all_chains(session, user=user, now=now)
