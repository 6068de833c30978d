"""Whether a request without credentials is the local administrator's: only from here, to here, directly.

The peer's address alone proves little: a proxy on this host speaks from loopback too, a name may be rebound to
127.0.0.1, and a page open in the user's browser may send requests. So all of this must hold: AUTH_REQUIRED is off, the
peer is loopback, the server listens on loopback only, nothing was forwarded, Host is a loopback name, and no Origin but
the API's own.
"""

import os
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import Scope

from app.config import Settings
from app.messages.message import Message, say

_FORWARDED = (b"x-forwarded", b"forwarded", b"x-real-ip", b"via", b"x-original", b"x-client-ip", b"cf-")
_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


_REMEMBERED = 64
"""Names whose reading is kept: every request asks for the same three."""


@lru_cache(_REMEMBERED)
def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine alone."""
    if not host:
        return False
    name = host.strip("[]").rstrip(".").lower()
    if name in _LOCAL_NAMES:
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def why_not_local(scope: Scope) -> Message | None:
    """Why a request without credentials is not the local administrator's; None: it is."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not is_loopback(client[0]):
        return say("it does not come from this machine")
    if not server or not is_loopback(server[0]) or _listens_to_others(server[1]):
        return say("the service listens to other machines too")
    return _foreign_header(scope)


def reached_by_others(scope: Scope) -> bool:
    """Whether other machines reach this server, as far as its sockets and this request's address tell."""
    server = scope.get("server")
    if not server or server[1] is None:  # a socket in the file system
        return False
    return not is_loopback(server[0]) or _listens_to_others(server[1])


def check_exposure(settings: Settings, arguments: Sequence[str]) -> None:
    """Refuse to start where other machines would reach a service that has no SECRET_KEY. Raises Exposed.

    Known so early: HOST, what uvicorn was told (`--host`, UVICORN_HOST), and sockets that were opened before. What is
    opened later is found out at the first request, which the guard then refuses.
    """
    if settings.secret_key is None and (host := open_host(settings, arguments)) is not None:
        raise Exposed(
            f"{host} is reached by other machines: set SECRET_KEY first (`make env` writes one into .env);"
            " or listen on 127.0.0.1."
        )


def open_host(settings: Settings, arguments: Sequence[str]) -> str | None:
    """The first address, of those known before serving, on which other machines reach this service; None: no one."""
    known = (settings.host, *_told(arguments), *(host for host, _ in listening_addresses()))
    return next((host for host in known if not is_loopback(host)), None)


class Exposed(RuntimeError):
    """Other machines would reach what is not protected."""


def _told(arguments: Sequence[str]) -> list[str]:
    """The hosts that a command line of uvicorn, or its environment, names."""
    found = [os.environ["UVICORN_HOST"]] if os.environ.get("UVICORN_HOST") else []
    if not any("uvicorn" in argument for argument in arguments[:1]):
        return found
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == "--host" and following:
            found.append(following)
        elif argument.startswith("--host="):
            found.append(argument.removeprefix("--host="))
    return found


def _foreign_header(scope: Scope) -> Message | None:
    host = origin = None
    for name, value in scope["headers"]:
        if name.startswith(_FORWARDED):
            return say("it came through a proxy ({header})", header=name.decode("latin-1"))
        if name == b"host":
            if host is not None:
                return say("it has several Host headers")
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"sec-fetch-site" and value not in {b"same-origin", b"none"}:
            return say("a page of another site sent it (Sec-Fetch-Site)")
    if host is None or not is_loopback(_host_name(host)):
        return say("Host is not a name of this machine")
    if origin is not None and origin != f"{scope['scheme']}://{host}":
        return say("a page of another site sent it (Origin)")
    return None


@lru_cache(_REMEMBERED)
def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


_heard: dict[int | None, bool] = {}


def _listens_to_others(port: int | None) -> bool:
    """Whether this process listens on this port at an address that other machines reach; found out once."""
    if port not in _heard:
        _heard[port] = any(not is_loopback(host) for host, number in listening_addresses() if number == port)
    return _heard[port]


def listening_addresses() -> list[tuple[str, int]]:
    """Where this process listens, whoever opened the sockets: asked of the descriptors themselves."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    if not folder.exists():  # Windows: the address of each request is all that is known
        return []
    found = []
    for number in [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]:
        try:
            # On the descriptor itself, not a copy: of a file that is no socket a copy would stay open for good.
            probe = socket.socket(fileno=number)
        except OSError:  # no socket, or closed meanwhile
            continue
        try:
            if _listens(probe):
                found.append(probe.getsockname()[:2])
        except OSError:
            continue
        finally:
            probe.detach()
    return found


def _listens(probe: socket.socket) -> bool:
    internet = probe.family in {socket.AF_INET, socket.AF_INET6}
    return internet and bool(probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
