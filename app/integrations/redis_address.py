"""Addresses of Redis: `REDIS_URL` is read once, whichever kind of Redis it names, and clients of it are opened here.

A server, a Unix socket, a master that sentinels name, or the node of a cluster that has the doorbell's key: after a
failover a connection asks anew. The doorbell has one key, so that one node of a cluster is all it needs; PUBLISH counts
hearers of its own node only, which is another reason for all processes to talk to the same one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as NoConnection, MovedError, ReadOnlyError, RedisError

Place: TypeAlias = tuple[str, int]
Kind = Literal["server", "socket", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("socket", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS = {"sentinel": 26379}
_TEXTS = ("username", "password", "client_name")
_TLS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_OF_SENTINELS = ("sentinel_username", "sentinel_password")
_REQUIREMENTS = ("none", "optional", "required")


class BadRedis(ValueError):
    """The address of Redis cannot be understood; the message says which part and what to write instead."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address of Redis, read. `places` are hosts and ports in the order in which they are tried."""

    kind: Kind
    places: tuple[Place, ...]
    options: dict[str, Any]
    sentinel_options: dict[str, Any]
    tls: bool = False
    path: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.path or ",".join(f"{host}:{port}" for host, port in self.places)


def read_redis(url: str) -> RedisAddress:
    """Read `redis://user:password@host:port/database?parameters` and its kin. Raises BadRedis."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise BadRedis(
            "write it as redis://host:6379/0, rediss://, unix:///path, redis+sentinel://h1,h2/name or redis+cluster://h1,h2"
        )
    kind, tls = _SCHEMES[scheme]
    address, _, query = rest.partition("?")
    where, _, path = address.partition("/")
    login, _, hosts = where.rpartition("@")
    options, sentinel_options = _parameters(query, kind, tls)
    user, _, password = login.partition(":")
    options |= {name: unquote(value) for name, value in (("username", user), ("password", password)) if value}
    if kind == "socket":
        if hosts or not path:
            raise BadRedis("a socket is written as unix:///directory/redis.sock")
        return RedisAddress(kind, (), options, {}, path=f"/{unquote(path)}")
    name = ""
    if kind == "sentinel":
        name, _, path = path.partition("/")
        if not name:
            raise BadRedis("after the sentinels stands the master's name: redis+sentinel://h1,h2/mymaster")
    if path:
        if "db" in options:
            raise BadRedis("the database is given twice, after the hosts and as db=; leave one")
        options["db"] = _number(path, "the database")
    if kind == "cluster" and options.get("db"):
        raise BadRedis("a cluster has database 0 only; leave the number out")
    places = tuple(_place(part, _PORTS.get(kind, 6379)) for part in hosts.split(","))
    if kind == "server" and len(places) > 1:
        raise BadRedis("several hosts go with redis+sentinel:// or redis+cluster://")
    return RedisAddress(kind, places, options, sentinel_options, tls, name=unquote(name))


def _parameters(query: str, kind: Kind, tls: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    known = ("db", *_TEXTS, *(_TLS if tls else ()), *(_OF_SENTINELS if kind == "sentinel" else ()))
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise BadRedis("after the ? stand parameters as name=value, joined by &") from None
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name in options:
            raise BadRedis(f"the parameter {name!r} is given twice; leave one")
        if name not in known:
            hint = "; it goes with rediss://" if name in _TLS else ""
            raise BadRedis(f"the parameter {name!r} is not known{hint}; known are {', '.join(known)}")
        options[name] = _value(name, value)
    if options.get("ssl_cert_reqs") == "none":
        options.setdefault("ssl_check_hostname", False)
    return (
        {name: value for name, value in options.items() if name not in _OF_SENTINELS},
        {name.removeprefix("sentinel_"): value for name, value in options.items() if name in _OF_SENTINELS},
    )


def _value(name: str, value: str) -> object:
    if name == "db":
        return _number(value, "db")
    if name == "ssl_check_hostname":
        if value not in {"true", "false"}:
            raise BadRedis(f"{name}={value} is neither true nor false")
        return value == "true"
    if name == "ssl_cert_reqs" and value not in _REQUIREMENTS:
        raise BadRedis(f"{name}={value} is none of {', '.join(_REQUIREMENTS)}")
    return value


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise BadRedis(f"{what} is a number, and not {text!r}")
    return int(text)


def _place(part: str, default_port: int) -> Place:
    host, _, port = part.rpartition(":") if part.count(":") == 1 or "]:" in part else (part, "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise BadRedis(f"{part!r} names no host; write host:port")
    number = _number(port, "the port") if port else default_port
    if not 0 < number < 1 << 16:
        raise BadRedis(f"{port!r} is no port; write a number from 1 to 65535")
    return unquote(host), number


def open_redis(url: str, *, key: str, **options: Any) -> Redis:
    """Return a client for the Redis of this address; connects when it is used.

    `key` is the one key that is used, by which a cluster's node is found; `options` are those of a connection.
    Raises BadRedis.
    """
    address = read_redis(url)
    options = {**address.options, **options}
    if address.kind == "socket":
        pool = ConnectionPool(UnixDomainSocketConnection, path=address.path, **options)
    elif address.kind == "server":
        [(host, port)] = address.places
        pool = ConnectionPool(SSLConnection if address.tls else Connection, host=host, port=port, **options)
    else:
        finder = _Finder(address, key, options)
        find = finder.master if address.kind == "sentinel" else finder.owner
        pool = ConnectionPool(_FoundByTls if address.tls else _Found, find=find, **options)
    return Redis.from_pool(pool)


class _Finder:
    """Asks the hosts of an address, one after another, which server is the one to talk to."""

    def __init__(self, address: RedisAddress, key: str, options: dict[str, Any]) -> None:
        self._address, self._key, self._options = address, key, options

    async def master(self) -> Place:
        """Return the master that a sentinel names. Raises NoConnection."""
        of_redis = {"db", *_TEXTS}
        options = {name: value for name, value in self._options.items() if name not in of_redis}

        async def ask(sentinel: Redis, _place: Place) -> Place | None:
            found: Any = await sentinel.sentinel_get_master_addr_by_name(self._address.name)
            if found is None:
                return None
            host, port = found
            return host.decode() if isinstance(host, bytes) else str(host), int(port)

        return await self._first(ask, options | self._address.sentinel_options, "knows the master")

    async def owner(self) -> Place:
        """Return the node of the cluster that has the key. Raises NoConnection."""

        async def ask(node: Redis, place: Place) -> Place | None:
            try:
                await node.xlen(self._key)
            except MovedError as moved:
                return str(moved.host) or place[0], int(moved.port)
            return place

        return await self._first(ask, self._options, "knows the node of the doorbell's key")

    async def _first(
        self, ask: Callable[[Redis, Place], Awaitable[Place | None]], options: dict[str, Any], what: str
    ) -> Place:
        reasons = []
        for host, port in self._address.places:
            client = Redis(host=host, port=port, ssl=self._address.tls, **options)
            try:
                found = await ask(client, (host, port))
            except (RedisError, OSError) as error:
                reasons.append(f"{host}:{port}: {str(error) or type(error).__name__}")
            else:
                if found is not None:
                    return found
                reasons.append(f"{host}:{port}: not known there")
            finally:
                await client.aclose()
        raise NoConnection(f"none of {self._address} {what} ({'; '.join(reasons)})")


class _Find:
    """Mixed into a connection: asks where to connect to, and gives up a server that is no longer the one."""

    def __init__(self, *, find: Callable[[], Awaitable[Place]], **options: Any) -> None:
        self._find = find
        super().__init__(**options)

    async def connect(self: Any) -> None:
        """Connect to the server found."""
        if not self.is_connected:
            self.host, self.port = await self._find()
        await getattr(super(), "connect")()  # noqa: B009 - of the class mixed with

    async def read_response(self: Any, *args: Any, **options: Any) -> Any:
        """Read a response; where it says that another server is the one, the next use finds that."""
        try:
            return await getattr(super(), "read_response")(*args, **options)  # noqa: B009 - as above
        except (MovedError, ReadOnlyError) as error:
            await self.disconnect()
            raise NoConnection(
                f"{self.host}:{self.port} is no longer the server to talk to: {error}"
            ) from error


class _Found(_Find, Connection):
    """A connection to a server that is found first."""


class _FoundByTls(_Find, SSLConnection):
    """The same, by TLS."""
