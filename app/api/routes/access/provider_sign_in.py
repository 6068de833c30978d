"""Signing in by an OpenID provider: a page begins it, the provider answers the page, the page hands the answer in.

Addresses hold a code that works once, for the page that began alone; tokens are in answers of this API alone.
"""

from fastapi import APIRouter

from app.access.oidc import Provider
from app.api.deps import AppParts, CallerDep, NowDep, PartsDep, SessionDep
from app.api.problems import problems
from app.api.routes.access.auth import lives_of
from app.api.strict import StrictRoute
from app.errors import NotFound
from app.messages.message import say
from app.schemas.access import ProviderAnswer, ProviderBegin, ProviderBegun, ProviderTokens, SignInOptions
from app.services.accounts import provider_sign_in as service

router = APIRouter(prefix="/v1/auth", tags=["access"], route_class=StrictRoute)


@router.get("/options")
async def get_sign_in_options(parts: PartsDep) -> SignInOptions:
    """How one may sign in: always by a password, and by a provider where one is configured."""
    return SignInOptions(provider=parts.settings.oidc_label)


@router.post("/provider/begin", responses=problems(404, 413, 422, 429, 503))
async def begin_provider_sign_in(
    body: ProviderBegin, parts: PartsDep, session: SessionDep, caller: CallerDep, now: NowDep
) -> ProviderBegun:
    """Begin to sign in by the provider: send the browser to `url`.

    It comes back to the page with `code` and `state` (or `error`), for `POST /v1/auth/provider/finish`.
    """
    provider = _provider(parts)
    parts.begun_throttle.take(caller.address or "")
    url = await service.begin(
        session,
        provider=provider,
        settings=parts.settings,
        challenge=body.challenge,
        page=body.page,
        language=body.language,
        now=now,
    )
    return ProviderBegun(url=url, expires_in=int(service.LIFE.total_seconds()))


@router.post("/provider/finish", responses=problems(401, 403, 404, 409, 413, 422, 429, 503))
async def finish_provider_sign_in(
    body: ProviderAnswer, parts: PartsDep, session: SessionDep, caller: CallerDep, now: NowDep
) -> ProviderTokens:
    """Hand in what the provider sent the browser back with. Each state works once, whatever comes of it."""
    provider = _provider(parts)
    async with parts.throttle.attempt(caller.address or ""):
        done = await service.finish(
            session,
            provider=provider,
            settings=parts.settings,
            answer=body.model_dump(),
            passwords=parts.passwords,
            keys=parts.keys,
            lives=lives_of(parts),
            now=now,
        )
    parts.callers.forget()
    tokens = done.signed_in
    return ProviderTokens(
        access_token=tokens.access_token,
        expires_in=int(tokens.lives.access.total_seconds()),
        refresh_token=tokens.refresh_token,
        refresh_expires_in=int(tokens.lives.refresh.total_seconds()),
        leave_url=done.leave_url,
    )


def _provider(parts: AppParts) -> Provider:
    if parts.provider is None:
        raise NotFound(
            say("There is no sign-in provider here: set OIDC_ISSUER, or sign in by POST /v1/auth/token.")
        )
    return parts.provider
