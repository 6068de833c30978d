"""What happens to every request before a route sees it: a name for the logs, a bound on its body, no naked failure."""

import re
import time
import uuid
from collections.abc import Sequence

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.edge.access_log import AccessLog, described
from app.api.edge.body_limit import BodyLimit
from app.api.edge.client_address import ClientAddress
from app.api.edge.deadline import Deadline
from app.api.edge.guard import Guard
from app.api.edge.shortcut import Shortcut
from app.api.problems import domain_error_of, problem_response
from app.config import Settings
from app.errors import DomainError
from app.messages.message import say
from app.telemetry.logs import is_json
from app.telemetry.metrics import http_seconds
from app.telemetry.tracing import request_span

log = structlog.get_logger()

REQUEST_ID = "X-Request-ID"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")


def add_middleware(app: FastAPI, settings: Settings, routes: Sequence[Route]) -> None:
    """The outermost is added last."""
    app.add_middleware(Shortcut, routes=routes)
    app.add_middleware(BodyLimit, most=settings.max_body_bytes, seconds=settings.body_seconds)
    app.add_middleware(
        Guard, routes=routes, auth_required=settings.auth_required, has_secret=settings.secret_key is not None
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_list,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", REQUEST_ID],
            expose_headers=["ETag", "Location", "Retry-After", REQUEST_ID],
            allow_credentials=False,
        )
    app.add_middleware(Deadline, seconds=settings.request_seconds, wait_limit=settings.wait_limit)
    shown = settings.log_level in {"debug", "info"}
    app.add_middleware(RequestContext, access_log=AccessLog(in_json=is_json(settings)) if shown else None)
    app.add_middleware(ClientAddress, proxies=settings.proxies)


_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_DOCS_POLICY = (  # Swagger UI's own page, which FastAPI takes from there
    "default-src 'none'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; connect-src 'self';"
    " style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com;"
    " frame-ancestors 'none'"
)
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


def protect(headers: MutableHeaders, scope: Scope) -> None:
    """Headers that keep a browser from doing more with an answer than show it."""
    headers.raw.extend(_RAW_HEADERS)
    if "cache-control" not in headers:
        headers["Cache-Control"] = "no-store"
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if scope["path"].startswith("/docs"):
        headers["Content-Security-Policy"] = _DOCS_POLICY


class RequestContext:
    """Names each request, in the answer and in all that is logged meanwhile; a failure leaves as a problem too."""

    def __init__(self, app: ASGIApp, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        answered = False
        began = time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                protect(headers, scope)
                seconds = time.perf_counter() - began
                _measure(scope, message["status"], seconds)
                if self._access_log is not None:
                    self._access_log.note(scope, message["status"], seconds)
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            request_span(request_id, scope["method"]),
        ):
            try:
                await self._app(scope, receive, send_named)
            except Exception as error:
                if answered:
                    raise
                await problem_response(Request(scope), _known(error, scope))(scope, receive, send_named)


def _measure(scope: Scope, status: int, seconds: float) -> None:
    """By the route's template: a path, or a method nobody knows, would make a series of each request."""
    route = scope.get("route")
    method = scope["method"] if route else "other"
    path = route.path if route else "none"
    http_seconds.labels(method, path, status).observe(seconds)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _ACCEPTABLE.match(given) else uuid.uuid4().hex


def _known(error: Exception, scope: Scope) -> DomainError:
    """A failure of the database is told; a defect of ours is logged whole and not told at all."""
    known = domain_error_of(error)
    if known is not None:
        log.warning("request.failed", code=known.code, error=str(error), **described(scope))
        return known
    log.error("request.crashed", **described(scope), exc_info=error)
    return DomainError(say("Something is wrong on our side; the logs name it by the request id."))
