"""The dashboard's door: which pages and connections are let in, and what browsers are told.

The dashboard asks the API on behalf of its visitor. If the API is on this machine and asks for no sign-in, the visitor
is the local administrator; so the dashboard checks what the API would (app/api/edge/local_only.py): the peer is this
machine, nothing was forwarded, Host is a name of this machine, Origin is the page's own. A name rebound to 127.0.0.1,
or a page of another site, gets neither page nor websocket. What changes something must name its Origin too, so
Streamlit's own cookie against forged requests, which scripts can read, is off (.streamlit/config.toml).

DASHBOARD_HOSTS names the hosts by which people reach the dashboard, by commas; then only these count.
"""

import os
import re
import secrets
from collections.abc import Iterable, Sequence
from http.cookies import SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

COOKIE = "executor_balancer_browser"
"""Random, the browser's own, out of reach of scripts: by it a browser that signed in before is known again."""
LEAST_COOKIE = 40
"""Characters of that cookie at least: a shorter one was made by hand."""
_FORWARDED = ("x-forwarded", "forwarded", "x-real-ip", "via", "x-original", "x-client-ip", "cf-")
_FREE = "/_stcore/health"
"""Asked by those who look whether the process lives, by whatever name; shows nothing."""
_HEADERS = [
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_POLICY = (  # scripts and styles in the page are Streamlit's own; nothing is fetched from or sent to another host
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; media-src 'self' data: blob:;"
    " connect-src 'self'{sockets}; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_YEAR = 365 * 24 * 3600


class Door:
    """The outermost middleware. `hosts` are the names that people use; none: whatever is safe where the API is."""

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str] = (), api_url: str = "http://127.0.0.1:8000"
    ) -> None:
        self._app = app
        self._hosts = frozenset(_name(host) for host in hosts)
        self._api_is_here = _is_loopback(urlsplit(api_url).hostname)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket that may come in, refuse all others."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        reason = None if scope["path"].endswith(_FREE) else self.why_not(scope)
        if reason is None:
            await self._app(scope, receive, _careful(scope, send))
        elif scope["type"] == "websocket":
            await WebSocketClose(1008, reason)(scope, receive, send)
        else:
            text = f"{reason} See DASHBOARD_HOSTS in docs/security.md.\n"
            await PlainTextResponse(text, 403)(scope, receive, send)

    def why_not(self, scope: Scope) -> str | None:
        """Why this may not come in; None: it may."""
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == "host"]
        origins = [value for name, value in headers if name == "origin"]
        if len(hosts) != 1 or not _name(hosts[0]):
            return "There must be one Host."
        return self._foreign_host(scope, hosts[0], headers) or _foreign_origin(scope, hosts[0], origins)

    def _foreign_host(self, scope: Scope, host: str, headers: Iterable[tuple[str, str]]) -> str | None:
        name = _name(host)
        if self._hosts and name in self._hosts:
            return None
        if not self._hosts and not self._api_is_here:  # the API asks everybody to sign in: no name gives more
            return None
        if not _is_loopback(name):
            return f"Host {name[:100]!r} is not a name of this dashboard."
        client = scope.get("client")
        if not client or not _is_loopback(client[0]):
            return "This dashboard serves its own machine only."
        if any(name.startswith(_FORWARDED) for name, _ in headers):
            return "This dashboard serves its own machine only, and this came through a proxy."
        return None


def _foreign_origin(scope: Scope, host: str, origins: Sequence[str]) -> str | None:
    """A page's own connection names its own origin; a websocket without one comes from no page of ours."""
    if not origins:
        changes = scope["type"] == "websocket" or scope["method"] not in _READING
        return "A websocket, and what changes something, must name its Origin." if changes else None
    own = {
        f"{scheme}://{host}".lower() for scheme in ("http", "https")
    }  # a proxy may have ended the encryption
    return None if [origin.lower() in own for origin in origins] == [True] else "Origin is another page's."


def _careful(scope: Scope, send: Send) -> Send:
    """A `send` that adds headers for the browser, and its cookie where it has none."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {
                **message,
                "headers": [
                    *message.get("headers", ()),
                    *_HEADERS,
                    (b"content-security-policy", _policy(scope).encode()),
                    *_cookie(scope, message),
                ],
            }
        await send(message)

    return sent


def _policy(scope: Scope) -> str:
    """What the page may load; older browsers do not count a websocket of the same host as 'self'."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return _POLICY.format(sockets=sockets)


def _cookie(scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
    html = any(
        name == b"content-type" and b"text/html" in value for name, value in message.get("headers", ())
    )
    sent = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    if not html or f"{COOKIE}=" in sent:
        return []
    cookie: SimpleCookie = SimpleCookie()
    cookie[COOKIE] = secrets.token_urlsafe(32)
    cookie[COOKIE].update({"path": "/", "httponly": True, "samesite": "Lax", "max-age": _YEAR})
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    if scope.get("scheme") == "https" or forwarded == [b"https"]:
        cookie[COOKIE]["secure"] = True
    return [(b"set-cookie", cookie[COOKIE].OutputString().encode())]


def _name(host: str) -> str:
    """The name in a Host header, without port; empty where it is none."""
    try:
        parts = urlsplit(f"//{host.strip()}")
        extra = parts.path or parts.query or parts.fragment
        if parts.username is not None or extra or parts.port == 0:
            return ""
    except ValueError:  # also a port that is none
        return ""
    return (parts.hostname or "").rstrip(".").lower()


def _is_loopback(host: str | None) -> bool:
    if not host:
        return False
    if host in {"localhost", "ip6-localhost"}:
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def middleware() -> list[Middleware]:
    """The door as the environment wants it."""
    hosts = [part.strip() for part in os.environ.get("DASHBOARD_HOSTS", "").split(",") if part.strip()]
    return [Middleware(Door, hosts=hosts, api_url=os.environ.get("API_URL", "http://127.0.0.1:8000"))]
