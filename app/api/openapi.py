"""What the OpenAPI document says of the API as a whole."""

from typing import Any

from app import __version__

DESCRIPTION = """
Decides **who does the next piece of work**: tasks come in, each goes to an executor who is eligible by the rules and
is furthest below a fair share; never twice, never over a limit, always with an explanation.

* Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details: `code` is stable, `errors` name the
  field, the reason and the remedy.
* Lists are paged by cursor: send `next_cursor` as `cursor`.
* Times are ISO 8601 in UTC. `pool_id` left out means the default pool.
"""

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
    }
