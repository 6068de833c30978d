"""API keys of programs."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from app.api.deps import CallerDep, CallersDep, NowDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.schemas.access import ApiKeyIn, ApiKeyMade, ApiKeyOut, ApiKeyPage
from app.schemas.common import Identifier
from app.services.accounts import api_keys as key_service
from app.services.accounts.api_keys import KeyWish

router = APIRouter(prefix="/v1/api-keys", tags=["access"], route_class=StrictRoute)

ApiKeyIdPath = Annotated[Identifier, Path(description="The key's id.")]


@router.get("", responses=problems(401, 403, 422))
async def list_api_keys(
    session: SessionDep, cursor: CursorParam = None, limit: LimitParam = 100
) -> ApiKeyPage:
    """All keys, newest first, without their secrets."""
    keys, before = await key_service.list_keys(session, before=cursor_to_id(cursor), limit=limit)
    return ApiKeyPage(items=[ApiKeyOut.model_validate(key) for key in keys], next_cursor=id_to_cursor(before))


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 422))
async def create_api_key(body: ApiKeyIn, session: SessionDep, caller: CallerDep, now: NowDep) -> ApiKeyMade:
    """Make a key. `key` in the answer is shown this once and kept as a hash."""
    key, whole = await key_service.create_key(
        session, wish=KeyWish(**body.model_dump()), caller=caller, now=now
    )
    shown = {name: getattr(key, name) for name in ApiKeyOut.model_fields if name != "api_key_id"}
    return ApiKeyMade.model_validate({**shown, "id": key.id, "key": whole})


@router.delete(
    "/{api_key_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404, 422)
)
async def revoke_api_key(
    api_key_id: ApiKeyIdPath, session: SessionDep, callers: CallersDep, now: NowDep
) -> None:
    """End a key."""
    await key_service.revoke_key(session, key_id=api_key_id, now=now)
    callers.forget()
