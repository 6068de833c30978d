"""Requests to addresses that users chose (webhooks): never into this machine's or this network's inside (SSRF).

The name is resolved once, every address it has must be public (or expressly allowed), and the connection goes to the
address that was checked, so that a name cannot mean another machine a moment later. TLS still verifies the name. No
redirects are followed, no proxies of the environment used, no connection kept (a kept one could serve another name).
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from app.errors import Invalid
from app.messages.message import Message, say

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
_LONGEST_URL = 2000
_LONGEST_HOST = 253
MOST_ANSWER_BYTES = 64 * 1024
"""More of an answer is not read: what a webhook says back is a status and perhaps a word."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks or addresses, by commas. Raises ValueError."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet, and none that it carries inside (IPv4 in IPv6) to anything else."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if isinstance(address, IPv4Address):
        return True
    if address in _LOCAL_NAT64 or address.is_site_local:
        return False
    return all(is_public(inner) for inner in _inside(address))


def _inside(address: IPv6Address) -> list[IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in found if inner is not None]


def check_url(url: str, allowed: Sequence[Network] = (), *, field: str = "url") -> None:
    """Refuse at once what could never be reached: form, scheme, credentials, an address inside. Raises Invalid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        httpx.URL(url)  # what the client could not send to is refused now
    except (ValueError, httpx.InvalidURL):
        raise _refused(field, say("it is no URL"), say("send https://host/path")) from None
    if len(url) > _LONGEST_URL or any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise _refused(field, say("it is too long or holds spaces"), say("send https://host/path"))
    if parts.scheme not in {"http", "https"} or not host:
        raise _refused(field, say("neither http:// nor https://"), say("send https://host/path"))
    if not _is_resolvable(host):
        raise _refused(field, say("its host is no name that can be looked up"), say("correct the host"))
    if parts.username is not None or parts.password is not None:
        raise _refused(field, say("it holds credentials"), say("send a URL without them"))
    try:
        literal = ip_address(host.partition("%")[0])
    except ValueError:
        if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
            _check([ip_address("127.0.0.1")], allowed, field)
        return
    _check([literal], allowed, field)


def _is_resolvable(host: str) -> bool:
    """Whether the resolver takes this name at all: no empty label and none of more than 63 characters."""
    try:
        host.rstrip(".").encode("idna")
    except UnicodeError:
        return False
    return len(host) <= _LONGEST_HOST


def _refused(field: str, reason: Message, remedy: Message) -> Invalid:
    return Invalid.at(field, reason, remedy)


def _check(addresses: Sequence[Address], allowed: Sequence[Network], field: str) -> None:
    for address in addresses:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if not is_public(address) and not any((mapped or address) in network for network in allowed):
            raise _refused(
                field,
                say("it leads inside this network"),
                say("use a public address, or have OUTBOUND_ALLOW name it"),
            )


async def resolve_safely(
    host: str, port: int, allowed: Sequence[Network] = (), *, field: str = "url"
) -> list[Address]:
    """The addresses of a host, all of them checked. Raises Invalid, and OSError where there are none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    _check(addresses, allowed, field)
    return addresses


class PinnedTransport(httpx.AsyncBaseTransport):
    """Connects to the address that was checked, whatever the name means by then."""

    def __init__(self, allowed: Sequence[Network] = (), verify: bool = True) -> None:
        self._allowed = allowed
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises Invalid where it leads inside, httpx.ConnectError where nobody is."""
        check_url(str(request.url), self._allowed)
        host = request.url.host
        port = request.url.port or {"http": 80, "https": 443}[request.url.scheme]
        try:
            addresses = await resolve_safely(host, port, self._allowed)
        except UnicodeError as error:
            raise _refused(
                "url", say("its host is no name that can be looked up"), say("correct the host")
            ) from error
        except OSError as error:
            raise httpx.ConnectError(f"{host}: {error}", request=request) from error
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=str(addresses[0])),
            headers=request.headers,  # Host among them, as the name it was
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        """Give everything back."""
        await self._inner.aclose()


def outbound_client(allowed: Sequence[Network] = (), *, timeout: float = 10.0) -> httpx.AsyncClient:
    """The client for every address that a user chose; close it when done."""
    return httpx.AsyncClient(
        transport=PinnedTransport(allowed), timeout=timeout, follow_redirects=False, trust_env=False
    )


async def read_bounded(response: httpx.Response, most: int = MOST_ANSWER_BYTES) -> bytes:
    """The beginning of a streamed answer; the rest is not waited for."""
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= most:
            break
    return body[:most]
