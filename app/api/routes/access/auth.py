"""Signing in and out, and who one is."""

from datetime import timedelta

from fastapi import APIRouter, status

from app.access.roles import ACTIONS
from app.api.deps import AppParts, CallerDep, NowDep, PartsDep, SessionDep
from app.api.problems import problems
from app.api.strict import ExactRoute
from app.schemas.access import Credentials, Me, PasswordChange, RefreshIn, Tokens
from app.services.accounts import password_sign_in as sign_in_service, users as user_service
from app.services.accounts.password_sign_in import Lives, SignedIn

router = APIRouter(prefix="/v1/auth", tags=["access"], route_class=ExactRoute)


@router.post("/token", responses=problems(401, 413, 422, 429, 503))
async def sign_in(
    body: Credentials, parts: PartsDep, session: SessionDep, caller: CallerDep, now: NowDep
) -> Tokens:
    """Sign in with name and password. Every failure is answered alike."""
    known = body.device is not None and await sign_in_service.is_known_device(
        session, username=body.username, device=body.device
    )
    # A device that signed in before has tries of its own: strangers use up neither them nor, by them, the name.
    throttle, key = (parts.device_throttle, body.device) if known else (parts.throttle, caller.address)
    async with throttle.attempt(key or ""):
        signed_in = await sign_in_service.sign_in(
            session,
            username=body.username,
            password=body.password,
            passwords=parts.passwords,
            keys=parts.keys,
            lives=lives_of(parts),
            now=now,
            device=body.device,
            device_known=known,
        )
    return _tokens(signed_in)


@router.post("/refresh", responses=problems(401, 413, 422, 429, 503))
async def refresh_sign_in(
    body: RefreshIn, parts: PartsDep, session: SessionDep, caller: CallerDep, now: NowDep
) -> Tokens:
    """Change a refresh token for fresh tokens. It works once: used again, it ends the whole sign-in."""
    async with parts.throttle.attempt(caller.address or ""):
        try:
            signed_in = await sign_in_service.refresh(
                session, token=body.refresh_token, keys=parts.keys, lives=lives_of(parts), now=now
            )
        finally:
            parts.callers.forget()
    return _tokens(signed_in)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, responses=problems(413, 422, 503))
async def sign_out(body: RefreshIn, parts: PartsDep, session: SessionDep, now: NowDep) -> None:
    """End a sign-in, here and everywhere."""
    await sign_in_service.sign_out(session, token=body.refresh_token, now=now)
    parts.callers.forget()


@router.get("/me", responses=problems(401))
async def get_me(caller: CallerDep) -> Me:
    """Who you are and what you may do."""
    return Me(
        name=caller.name,
        role=caller.role,
        pool_ids=None if caller.pool_ids is None else sorted(caller.pool_ids),
        executor_id=caller.executor_id,
        user_id=caller.user_id,
        actions=sorted(action for action in ACTIONS if caller.may(action)),
        local=caller.is_local,
    )


@router.post("/password", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 422, 429))
async def change_own_password(
    body: PasswordChange, parts: PartsDep, session: SessionDep, caller: CallerDep, now: NowDep
) -> None:
    """Change your own password; ends all your sign-ins."""
    async with parts.throttle.attempt(caller.address or ""):
        await user_service.change_own_password(
            session,
            caller=caller,
            old=body.old_password,
            new=body.new_password,
            passwords=parts.passwords,
            now=now,
        )
    parts.callers.forget()


def lives_of(parts: AppParts) -> Lives:
    """How long tokens live, by the settings."""
    settings = parts.settings
    return Lives(
        timedelta(minutes=settings.access_token_minutes), timedelta(days=settings.refresh_token_days)
    )


def _tokens(signed_in: SignedIn) -> Tokens:
    return Tokens(
        access_token=signed_in.access_token,
        expires_in=int(signed_in.lives.access.total_seconds()),
        refresh_token=signed_in.refresh_token,
        refresh_expires_in=int(signed_in.lives.refresh.total_seconds()),
    )
