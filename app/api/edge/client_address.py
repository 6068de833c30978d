"""Whose address a request has: the socket's, or what a configured proxy says of it.

The server's own belief in forwarded headers is undone here: uvicorn trusts each program on this machine to name any
address, and so to begin a limit of tries anew with each request. TRUSTED_PROXIES alone says whose word counts.
"""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.integrations.public_addresses import Address, Network

_FORWARDED_FOR, _FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
_MOST_HOPS = 20


class ClientAddress:
    """The outermost middleware. `proxies` are the networks whose X-Forwarded-For and -Proto are believed."""

    def __init__(self, app: ASGIApp, proxies: tuple[Network, ...]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with the client's address and scheme in its scope; both are what they say, or absent."""
        if scope["type"] == "http":
            self._settle(scope, receive)
        await self._app(scope, receive, send)

    def _settle(self, scope: Scope, receive: Receive) -> None:
        peer, port, secure = _peer(scope, receive)
        if secure is not None:
            scope["scheme"] = "https" if secure else "http"
        if peer is not None and self._trusted(peer):
            hops, schemes = _forwarded(scope, _FORWARDED_FOR), _forwarded(scope, _FORWARDED_PROTO)
            peer, port = self._client(peer, hops), 0
            if schemes and schemes[-1].lower() in {"http", "https"}:
                scope["scheme"] = schemes[-1].lower()
        scope["client"] = None if peer is None else (str(peer), port)

    def _client(self, peer: Address, hops: list[str]) -> Address:
        """The last address that is no proxy of ours, read from the right: what stands before it is hearsay."""
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = parse_address(hop)
            if address is None:  # a proxy of ours says no such thing; what it heard does not count
                return peer
            peer = address
            if not self._trusted(address):
                return address
        return peer

    def _trusted(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


@lru_cache(1024)
def parse_address(text: str) -> Address | None:
    """The address that a text is, without zone or port; None for anything else. IPv4 in IPv6 is IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _peer(scope: Scope, receive: Receive) -> tuple[Address | None, int, bool | None]:
    """Address, port and encryption of the connection itself, whatever the server made of headers.

    uvicorn's own objects know the transport. Where another server calls, its scope is all there is (encryption: None).
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        client = scope.get("client")
        return (parse_address(client[0]), client[1], None) if client else (None, 0, None)
    name = transport.get_extra_info("peername")
    secure = transport.get_extra_info("sslcontext") is not None
    if not isinstance(name, tuple):  # a socket in the file system
        return None, 0, secure
    return parse_address(name[0]), name[1], secure


def _forwarded(scope: Scope, wanted: bytes) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
    return [part for value in values for part in value.split(",")]
