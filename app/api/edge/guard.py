"""Lets a request in or refuses it, before its body is read: who asks, may they, and is the thing in their reach.

It matches routes as the router does, from the same list, and decides by `permissions.py`. What it does not know
it does not decide; `decided` then refuses, so that a route that got past here still runs for nobody.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from starlette._utils import get_route_path
from starlette.datastructures import QueryParams
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.roles import Caller, no_pool
from app.api.edge.local_only import reached_by_others, why_not_local
from app.api.edge.permissions import (
    ALL_POOLS,
    NARROWED,
    NOT_FROM_HOME,
    OWNED,
    POOL,
    PUBLIC,
    QUERY_IDS,
    ROUTES,
    THINGS,
    Decision,
    Thing,
)
from app.api.problems import problem_response
from app.engine.types import PoolId
from app.errors import DomainError, FieldError, Forbidden, NotFound, Unauthenticated, Unavailable
from app.messages.message import say
from app.schemas.common import ID_FORM, read_id
from app.services.accounts.callers import Callers

log = structlog.get_logger()

ANONYMOUS = Caller("anonymous", "viewer", frozenset(), frozenset())
"""Whoever asks for something public; may do nothing else."""
LOCAL = Caller("local", "admin")
"""The administrator at this machine."""


@dataclass(frozen=True, slots=True)
class _GuardedRoute:
    """A route as the guard knows it."""

    name: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    decision: Decision | None


class Guard:
    """The middleware. `routes` are all that the application has, in its order."""

    def __init__(self, app: ASGIApp, routes: Iterable[Route], auth_required: bool, has_secret: bool) -> None:
        self._app = app
        self._has_secret = has_secret
        self._auth_required = auth_required
        self._lines = [
            _GuardedRoute(
                route.name, frozenset(route.methods or ()), route.path_regex, ROUTES.get(route.name)
            )
            for route in routes
        ]
        self._plain: dict[tuple[str, str], _GuardedRoute | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of somebody who may, answer all others."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._decide(scope)
        except DomainError as error:
            await problem_response(Request(scope), error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _decide(self, scope: Scope) -> None:
        line, ids = self._find(scope)
        scope["decided"] = None
        scope["public"] = line is None or line.decision == PUBLIC
        scope["caller"] = replace(ANONYMOUS, address=_address(scope), request_id=scope.get("request_id"))
        if line is None:  # no such place, or no such method there: the router says so
            return
        if line.decision is None:
            raise Forbidden(
                say(
                    "Nobody decided who may use '{name}': add its line to ROUTES in app/api/edge/permissions.py.",
                    name=line.name,
                )
            )
        if not self._has_secret and reached_by_others(scope):
            raise Unavailable(
                say("The service listens to other machines without SECRET_KEY: set it (make env).")
            )
        if line.decision != PUBLIC:
            caller = await self._caller(scope)
            if not caller.may(line.decision):
                raise Forbidden(
                    say(
                        "The role {role} does not allow {decision} here.",
                        role=caller.role,
                        decision=line.decision,
                    ),
                    action=line.decision,
                )
            if line.name in ALL_POOLS and caller.pool_ids is not None:
                raise Forbidden(
                    say(
                        "This shows every pool, and you see some: use METRICS_TOKEN, or an API key without pool_ids."
                    ),
                    action=line.decision,
                )
            await self._check_reach(scope, caller, line.name, ids)
            scope["caller"] = caller
        scope["decided"] = line.name

    def _find(self, scope: Scope) -> tuple[_GuardedRoute | None, Mapping[str, str]]:
        """The first route that takes this path and method."""
        path, method = get_route_path(scope), scope["method"]
        known = self._plain.get((method, path))
        if known is not None:
            return known, {}
        for line in self._lines:
            if method in line.methods and (match := line.pattern.match(path)):
                if not match.groupdict():
                    self._plain[method, path] = line
                return line, match.groupdict()
        return None, {}

    async def _caller(self, scope: Scope) -> Caller:
        scope["credentials"] = credentials = _credentials(scope)
        if credentials is None:
            return replace(self._local(scope), address=_address(scope), request_id=scope.get("request_id"))
        callers: Callers = scope["app"].state.parts.callers
        caller = await callers.find(credentials)
        return replace(caller, address=_address(scope), request_id=scope.get("request_id"))

    def _local(self, scope: Scope) -> Caller:
        reason = say("AUTH_REQUIRED is on") if self._auth_required else why_not_local(scope)
        if reason is not None:
            raise Unauthenticated(
                say(
                    "Send Authorization: Bearer with an access token (POST /v1/auth/token) or an API key: {reason}.",
                    reason=reason,
                )
            )
        return LOCAL

    async def _check_reach(self, scope: Scope, caller: Caller, name: str, path: Mapping[str, str]) -> None:
        """Raise NotFound where path or query name something that is not in the caller's reach, or spell no id."""
        if caller.own_work_only and not (OWNED & path.keys()) and name not in NARROWED:
            raise Forbidden(say("The role executor sees and moves its own tasks only."))
        ids = [(key, key, _read(key, text)) for key, text in path.items()]
        if scope["query_string"]:
            asked = QueryParams(scope["query_string"]).multi_items()  # read as the framework reads it
            ids += [(key, QUERY_IDS[key], _read(key, text)) for key, text in asked if key in QUERY_IDS]
        if caller.pool_ids is None and not caller.own_work_only:
            return
        for key, thing, number in ids:
            if thing == "pool_id" and key not in path:
                if not caller.sees(PoolId(number)):
                    raise no_pool(number)
            else:
                await self._must_reach(scope, caller, name, thing, number)

    async def _must_reach(self, scope: Scope, caller: Caller, name: str, key: str, number: int) -> None:
        thing = THINGS.get(key)
        if thing is None:
            raise Forbidden(
                say(
                    "Nobody decided whose thing '{key}' names: add its line to THINGS in app/api/edge/permissions.py.",
                    key=key,
                )
            )
        async with scope["app"].state.parts.database.hot.acquire() as connection:
            row = await connection.fetchrow(thing.whose, number)
        here = row is not None and caller.sees(row["pool_id"])
        home = row is not None and caller.sees(row.get("home_pool_id") or row["pool_id"])
        theirs = not caller.own_work_only or (row is not None and row["executor_id"] == caller.executor_id)
        if not ((here or home) and theirs):
            raise no_pool(number) if thing is POOL else _missing(thing, key, number)
        if not here and name in NOT_FROM_HOME:
            raise Forbidden(
                say("The {thing} went on to another pool: who has it is decided there.", thing=thing.word)
            )


def _missing(thing: Thing, key: str, number: int) -> NotFound:
    return NotFound(say("There is no {thing} {id}.", thing=thing.word, id=number), **{key: number})


def _address(scope: Scope) -> str | None:
    return scope["client"][0] if scope.get("client") else None


def _credentials(scope: Scope) -> str | None:
    """What stands in Authorization: Bearer, or X-API-Key; None where there is neither. Raises Unauthenticated."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, credentials = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not credentials.strip():
                raise Unauthenticated(say("Authorization: send Bearer and an access token or API key."))
            return str(credentials.strip())
        if name == b"x-api-key":
            return str(value.decode("latin-1").strip())
    return None


def _read(key: str, text: str) -> int:
    """The id that the route will receive, by the same reader. Raises NotFound: nothing has such an id."""
    number = read_id(text)
    if number is None:
        fault = FieldError(key, say("not an id"), say("send {id_form}", id_form=ID_FORM))
        raise NotFound(
            say("{key}: there is nothing of this id; send {id_form}.", key=key, id_form=ID_FORM),
            errors=[asdict(fault)],
        )
    return number


async def decided(request: Request) -> None:
    """Refuse a route that the guard did not decide on: the last line, for every router."""
    if request.scope["decided"] != request.scope["route"].name:
        raise Forbidden(say("Nobody decided who may use this."))


def routes_of(app: FastAPI, routers: Iterable[APIRouter]) -> list[Route]:
    """Every route there is, in the order in which the application matches."""
    found: list[Any] = [route for route in app.routes if isinstance(route, Route)]
    for router in routers:
        found += router.routes
    for route in found:
        if not isinstance(route, Route):
            raise TypeError(f"{route!r}: the guard decides on plain routes; include no router in a router")
    return found
