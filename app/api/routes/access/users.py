"""Users: who may sign in, as what."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from app.api.deps import NowDep, PartsDep, SessionDep
from app.api.paging import CursorParam, LimitParam, cursor_to_id, id_to_cursor
from app.api.problems import problems
from app.api.strict import ExactRoute
from app.schemas.access import UserChange, UserIn, UserOut, UserPage
from app.schemas.common import Identifier
from app.services.accounts import users as user_service

router = APIRouter(prefix="/v1/users", tags=["access"], route_class=ExactRoute)

UserIdPath = Annotated[Identifier, Path(description="The user's id.")]


@router.get("", responses=problems(401, 403, 422))
async def list_users(session: SessionDep, cursor: CursorParam = None, limit: LimitParam = 100) -> UserPage:
    """All users, by id."""
    users, after = await user_service.list_users(session, after=cursor_to_id(cursor), limit=limit)
    return UserPage(items=[UserOut.model_validate(user) for user in users], next_cursor=id_to_cursor(after))


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409, 422, 429))
async def create_user(body: UserIn, session: SessionDep, parts: PartsDep) -> UserOut:
    """Make a user."""
    user = await user_service.create_user(
        session, values=body.model_dump(), passwords=parts.passwords, issuer=parts.settings.oidc_issuer
    )
    return UserOut.model_validate(user)


@router.get("/{user_id}", responses=problems(401, 403, 404, 422))
async def get_user(user_id: UserIdPath, session: SessionDep) -> UserOut:
    """One user."""
    return UserOut.model_validate(await user_service.get_user(session, user_id=user_id))


@router.patch("/{user_id}", responses=problems(401, 403, 404, 409, 422, 429))
async def change_user(
    user_id: UserIdPath, body: UserChange, session: SessionDep, parts: PartsDep, now: NowDep
) -> UserOut:
    """Change a user; they are signed out everywhere. `pool_ids` null: all pools; `oidc_subject` null: no provider."""
    nullable = ("pool_ids", "executor_id", "oidc_subject")
    given = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in given.items() if value is not None or name in nullable}
    user = await user_service.change_user(
        session,
        user_id=user_id,
        changes=changes,
        passwords=parts.passwords,
        now=now,
        issuer=parts.settings.oidc_issuer,
    )
    parts.callers.forget()
    return UserOut.model_validate(user)
