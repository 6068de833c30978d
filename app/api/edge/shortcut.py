"""The busiest request, a plain POST /v1/tasks, past the framework's routing: it costs more than the rest of a request.

Who asks and what the body may be is decided by the same middleware before and checked by the same schema here. What is
not plain, or not right, goes on to the route with its body, so that every complaint and every rarer way has one place.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.idempotency import LONGEST_KEY
from app.api.problems import problem_response
from app.api.routes.work.tasks import submit_task, take_in
from app.api.strict import read_json
from app.errors import DomainError
from app.schemas.tasks import TaskIn
from app.services.common.sent_keys import SentKey, sent_key

_PLAIN_TYPES = {b"application/json", b"application/json; charset=utf-8"}
_validated = TaskIn.__pydantic_validator__.validate_python


class Shortcut:
    """The innermost middleware. `routes` are all that the application has."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._name = submit_task.__name__
        self._route = next(route for route in routes if route.name == self._name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain new task; pass everything else on."""
        if scope.get("decided") != self._name or scope["query_string"] or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        first = await _first(receive)
        found = _task_of(first)
        if found is None:
            await self._app(scope, _Again(first, receive), send)
            return
        scope["route"] = self._route
        try:
            task, sent = found
            response = await take_in(scope["app"].state.parts, scope["caller"], task, self._key(scope, sent))
        except DomainError as error:
            response = problem_response(Request(scope), error)
        await response(scope, receive, send)

    def _key(self, scope: Scope, sent: Any) -> SentKey | None:
        for name, value in scope["headers"]:
            if name == b"idempotency-key":
                return sent_key(value.decode("latin-1"), self._name, sent)
        return None


def _is_plain(scope: Scope) -> bool:
    """JSON by its usual name, and one key at most, as the route takes it."""
    plain = keyed = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value.lower() not in _PLAIN_TYPES:
                return False
            plain = True
        elif name == b"idempotency-key":
            if keyed or not 0 < len(value) <= LONGEST_KEY:
                return False
            keyed = True
    return plain


async def _first(receive: Receive) -> Message | HTTPException:
    """What came first of the body, or why nothing did: the route tells the client."""
    try:
        return await receive()
    except HTTPException as error:
        return error


def _task_of(first: Message | HTTPException) -> tuple[TaskIn, Any] | None:
    """The task of a body that came whole and is right, and what was sent of it; None: not that simple."""
    if isinstance(first, HTTPException) or first["type"] != "http.request" or first.get("more_body"):
        return None
    try:
        sent = read_json(first.get("body", b""))
        task: TaskIn = _validated(sent)
    except (ValidationError, ValueError, DomainError):
        return None
    return task, sent


class _Again:
    """A `receive` that gives what was read once more, then what follows."""

    def __init__(self, first: Message | HTTPException, receive: Receive) -> None:
        self._first: Message | HTTPException | None = first
        self._receive = receive

    async def __call__(self) -> Message:
        """The next message."""
        first, self._first = self._first, None
        if isinstance(first, HTTPException):
            raise first
        return await self._receive() if first is None else first
