"""The page to which `type` of a problem leads."""

from fastapi import APIRouter, Response

from app.api.deps import LanguageDep
from app.api.problem_kinds import page
from app.api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, tags=["system"])


@router.get(
    "/errors",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}, "description": "The page."}},
)
async def get_errors(language: LanguageDep) -> Response:
    """The kinds of problems with their meaning and remedy, in the language of Accept-Language."""
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return Response(page(language), media_type="text/html", headers=headers)
