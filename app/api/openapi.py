"""What the OpenAPI document says of the API as a whole, and of who may use each route."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from app import __version__
from app.api.edge.permissions import PUBLIC, ROUTES
from app.api.problems import Problem, problems

DESCRIPTION = """
Decides **who does the next piece of work**: tasks come in, each goes to an executor who is eligible by the rules and
is furthest below a fair share; never twice, never over a limit, always with an explanation.

* Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details: `code` is stable, `errors` name the
  field, the reason and the remedy. Sentences are English or Russian, as `Accept-Language` prefers.
* Lists are paged by cursor: send `next_cursor` as `cursor`.
* Times are ISO 8601 in UTC. `pool_id` left out means the default pool.
* Say who you are by **Authorize** above: `access_token` of `POST /v1/auth/token`, or an API key. On the machine itself
  nothing is needed, unless `AUTH_REQUIRED` is on.
"""

SCHEMES = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "`access_token` of `POST /v1/auth/token`; lives minutes. An API key is taken here too.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A program's key, `ebk_...`, made by an admin with `POST /v1/api-keys`.",
    },
}
"""Either is enough. The names are those that the button Authorize of /docs shows."""

TAGS = [
    {"name": "tasks", "description": "Work: taken in, placed, moved on."},
    {"name": "executors", "description": "People: who they are, whether they are here, what they carry."},
    {"name": "rules", "description": "Who may take what, and who is preferred."},
    {"name": "parameters", "description": "The catalogue of what is known of tasks and executors."},
    {"name": "pools", "description": "Teams with their own rules, people and work."},
    {"name": "distribution", "description": "How fair it is."},
    {"name": "access", "description": "Who may sign in, as what, and what they did."},
    {"name": "system", "description": "Health and metrics."},
]


def describe() -> dict[str, Any]:
    """Keyword arguments of the FastAPI application."""
    return {
        "title": "Executor Balancer",
        "version": __version__,
        "description": DESCRIPTION,
        "openapi_tags": TAGS,
        "docs_url": "/docs",
        "redoc_url": None,
        "redirect_slashes": False,  # the address of a redirect would be built from what Host says
    }


@dataclass(frozen=True, slots=True)
class Described:
    """What the document says more than FastAPI knows: all routes, and whether everybody must say who they are."""

    routes: Sequence[Route]
    auth_required: bool


class DescribedAPI(FastAPI):
    """FastAPI whose document also says how to sign in, what is public and what the guard answers."""

    def openapi(self) -> dict[str, Any]:
        """The document, made at the first question."""
        if self.openapi_schema is None:
            _add_security(super().openapi(), self.state.described)
        return super().openapi()


def _add_security(document: dict[str, Any], described: Described) -> None:
    """Whatever is not public takes either scheme, or nothing on this machine where that is enough."""
    needed: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]
    document["security"] = needed if described.auth_required else [*needed, {}]
    components = document["components"]
    components["securitySchemes"] = SCHEMES
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= problem.pop("$defs", {}) | {"Problem": problem}
    for route in described.routes:
        for method in route.methods or ():
            if operation := document["paths"].get(route.path, {}).get(method.lower()):
                _say_who_may(operation, ROUTES.get(route.name))


def _say_who_may(operation: dict[str, Any], decision: str | None) -> None:
    if decision == PUBLIC:
        operation["security"] = []
        return
    refusals = {str(status): answer for status, answer in problems(401, 403).items()}
    operation["responses"] = dict(sorted((refusals | operation["responses"]).items()))
    operation["description"] += f"\n\nNeeds the action `{decision}`."
