"""Users: made, changed, signed out. Whoever loses rights loses them with the next request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import make_secret
from app.access.roles import Caller
from app.database import among
from app.errors import AlreadyExists, Conflict, FieldError, Forbidden, Invalid, NotFound
from app.messages.message import Message, say
from app.models import ExecutorRow, Pool, User
from app.services.accounts.password_sign_in import end_all_chains
from app.services.accounts.passwords import Passwords, check_choice


async def create_user(
    session: AsyncSession, *, values: Mapping[str, Any], passwords: Passwords, issuer: str | None = None
) -> User:
    """Make a user, by a password or by the name that the provider `issuer` knows. Raises Invalid, AlreadyExists."""
    fields = _named(dict(values), issuer)
    password = fields.pop("password", None)
    if password is None and fields.get("oidc_subject") is None:
        raise _invalid("password", say("missing"), say("send one, or oidc_subject"))
    if password is not None:
        check_choice(password, fields["username"])
    hashed = await passwords.hash(password or make_secret())  # without one, nobody knows it
    user = User(password_hash=hashed, **await checked(session, fields, None))
    session.add(user)
    await _flush(session)
    await session.commit()
    await session.refresh(user)
    return user


async def list_users(
    session: AsyncSession, *, after: int | None, limit: int
) -> tuple[Sequence[User], int | None]:
    """A page of users by id, and the id to go on after (None on the last page)."""
    query = select(User).order_by(User.id).limit(limit + 1)
    rows = (await session.scalars(query if after is None else query.where(User.id > after))).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


async def get_user(session: AsyncSession, *, user_id: int) -> User:
    """One user. Raises NotFound."""
    user = await session.get(User, user_id)
    if user is None:
        raise NotFound(say("There is no user {user_id}.", user_id=user_id), user_id=user_id)
    return user


def _named(fields: dict[str, Any], issuer: str | None) -> dict[str, Any]:
    """The fields, with the provider of whom `oidc_subject` is. Raises Invalid where there is none."""
    if fields.get("oidc_subject") is None:
        return fields if "oidc_subject" not in fields else {**fields, "oidc_issuer": None}
    if issuer is None:
        raise _invalid("oidc_subject", say("no provider is configured"), say("set OIDC_ISSUER first"))
    return {**fields, "oidc_issuer": issuer}


async def change_user(
    session: AsyncSession,
    *,
    user_id: int,
    changes: Mapping[str, Any],
    passwords: Passwords,
    now: datetime,
    issuer: str | None = None,
) -> User:
    """Change a user and sign them out everywhere.

    Raises NotFound, Invalid, AlreadyExists, and Conflict for the last admin.
    """
    fields = _named(dict(changes), issuer)
    admins = await lock_admins(session)
    user = await session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None:
        raise NotFound(say("There is no user {user_id}.", user_id=user_id), user_id=user_id)
    if (password := fields.pop("password", None)) is not None:
        check_choice(password, user.username)
        user.password_hash = await passwords.hash(password)
        user.failed_logins, user.locked_until = 0, None
    for name, value in (await checked(session, fields, user)).items():
        setattr(user, name, value)
    if admins == {user.id} and not (user.role == "admin" and user.active):
        raise Conflict(say("role: this is the last active admin; make another one first."))
    await end_all_chains(session, user=user, now=now)
    await _flush(session)
    await session.commit()
    await session.refresh(user)
    return user


async def lock_admins(session: AsyncSession) -> set[int]:
    """All active admins, locked by id: two who demote each other at once must not both succeed."""
    rows = await session.scalars(
        select(User.id).where(User.role == "admin", User.active).order_by(User.id).with_for_update()
    )
    return set(rows)


async def change_own_password(
    session: AsyncSession, *, caller: Caller, old: str, new: str, passwords: Passwords, now: datetime
) -> None:
    """Change the caller's password and end all their sign-ins. Raises Invalid, Forbidden for who has none."""
    if caller.user_id is None:
        raise Forbidden(say("Only a user who signed in has a password."))
    user = await session.get_one(User, caller.user_id)
    kept, username = user.password_hash, user.username
    await session.rollback()  # hold no connection while passwords are checked
    if not await passwords.check(old, kept):
        fault = FieldError("old_password", say("not the password"), say("send the one you signed in with"))
        raise Invalid(say("old_password: it is not the password."), [fault])
    check_choice(new, username)
    hashed = await passwords.hash(new)
    user = await session.get_one(User, caller.user_id, with_for_update=True, populate_existing=True)
    user.password_hash = hashed
    await end_all_chains(session, user=user, now=now)
    await session.commit()


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_users_username" in str(error.orig):
            raise AlreadyExists(say("username: taken; choose another one.")) from error
        if "uq_users_oidc_issuer_oidc_subject" in str(error.orig):
            raise AlreadyExists(say("oidc_subject: another user has it.")) from error
        raise


async def checked(session: AsyncSession, fields: dict[str, Any], user: User | None) -> dict[str, Any]:
    """Values that fit together: pools and executor exist, an executor is somebody, an admin has every pool."""
    role = fields.get("role", user.role if user else "viewer")
    pool_ids = fields.get("pool_ids", user.pool_ids if user else None)
    executor_id = fields.get("executor_id", user.executor_id if user else None)
    executor = None if executor_id is None else await session.get(ExecutorRow, executor_id)
    if executor_id is not None and executor is None:
        raise _invalid(
            "executor_id",
            say("there is no executor {executor_id}", executor_id=executor_id),
            say("send one that exists"),
        )
    if role == "admin":
        return {**fields, "pool_ids": None}
    if role == "executor":
        if executor is None:
            raise _invalid("executor_id", say("missing"), say("say who of the executors this user is"))
        return {**fields, "pool_ids": [executor.pool_id]}
    await check_pools(session, pool_ids)
    return fields


async def check_pools(session: AsyncSession, pool_ids: Sequence[int] | None) -> None:
    """Raise Invalid where one of these pools does not exist."""
    known = set(await session.scalars(select(Pool.id).where(among(Pool.id, pool_ids or ()))))
    if missing := sorted(set(pool_ids or ()) - known):
        raise _invalid(
            "pool_ids", say("there is no pool {missing}", missing=missing[0]), say("see GET /v1/pools")
        )


def _invalid(field: str, reason: Message, remedy: Message) -> Invalid:
    return Invalid.at(field, reason, remedy)
