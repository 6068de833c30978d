"""Connections to PostgreSQL: `DATABASE_URL` is read once, hosts are tried in order, a replaced server is refused.

The address is libpq's (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS), several hosts
included. Hosts are tried in order, each for a bounded time, so that one that hangs costs seconds and not the timeout.

A promotion begins a new timeline. The highest timeline seen is remembered: a primary that comes back on an older one is
refused, and connections to it are ended (pg_walfile_name of the current position names the timeline at once;
pg_control_checkpoint() shows the old one until the first checkpoint after a promotion).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeAlias, cast, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode
from weakref import WeakKeyDictionary

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Wanted = Literal["any", "read-write", "primary"]

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
DEFAULT_PORT = 5432
CONNECT_SECONDS = 10.0
_DRIVER = frozenset(
    {
        "application_name", "krbsrvname", "gsslib", "options", "passfile", "sslcert", "sslcrl", "sslkey", "sslmode",
        "sslnegotiation", "sslpassword", "sslrootcert", "ssl_min_protocol_version", "ssl_max_protocol_version",
    }
)  # fmt: skip
"""Parameters that the driver reads as libpq does."""
_WITHOUT_EFFECT = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
}
"""Parameters of libpq that the driver lacks, with the values that ask nothing of it."""
_REMEDIES = {
    "pgbouncer": "set DATABASE_POOLER=transaction instead",
    "prepared_statement_cache_size": "set DATABASE_POOLER=transaction instead",
    "statement_cache_size": "set DATABASE_POOLER=transaction instead",
}
_STATE = """
SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only,
       CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline
"""


class BadAddress(ValueError):
    """The address of a database cannot be understood; the message says which part and what to write instead."""


class NoServer(ConnectionError):
    """None of several hosts takes writes; the message gives the reason of each."""


class Unfit(ConnectionError):
    """A server answers and must not be written to: read-only, a standby, or on an older timeline."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database's address, read.

    `hosts` are (name or directory of a socket, port), in the order in which they are tried; `dsn` is the rest in the
    driver's spelling; `wanted` says which servers will do; `connect_seconds` is None unless the address says it.
    `str` of it is for messages and logs: it has no secret.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str = field(repr=False)
    database: str
    dsn: str = field(repr=False)
    wanted: Wanted
    connect_seconds: float | None = None
    system_certificates: bool = False

    def __str__(self) -> str:
        return f"{','.join(f'{host}:{port}' for host, port in self.hosts)}/{self.database}"


def read_address(url: str) -> Address:
    """Read `postgresql://user:password@host1:port1,host2:port2/database?parameters`. Raises BadAddress."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise BadAddress("write it as postgresql://user:password@host:5432/database")
    place, _, query = rest.partition("?")
    where, _, database = place.partition("/")
    login, _, hosts = where.rpartition("@")
    parameters = _parameters(query)
    database = parameters.pop("dbname", parameters.pop("database", unquote(database)))
    read_hosts = _hosts(hosts, parameters)
    wanted = _wanted(parameters.pop("target_session_attrs", None), several=len(read_hosts) > 1)
    seconds = _seconds(parameters.pop("connect_timeout", None))
    user, _, password = login.partition(":")
    user, password = parameters.pop("user", unquote(user)), parameters.pop("password", unquote(password))
    if "ssl" in parameters:  # how SQLAlchemy spells it
        parameters["sslmode"] = parameters.pop("ssl")
    system = parameters.get("sslrootcert") == "system"
    if system:
        del parameters["sslrootcert"]
        if parameters.pop("sslmode", "verify-full") != "verify-full":
            raise BadAddress("sslrootcert=system goes with sslmode=verify-full only")
    _check(parameters)
    secret = f":{quote(password, safe='')}" if password else ""
    login = f"{quote(user, safe='')}{secret}@" if user else ""
    dsn = f"postgresql://{login}/{quote(database, safe='')}"
    if parameters:
        dsn += f"?{urlencode(parameters, quote_via=quote)}"
    return Address(read_hosts, user, password, database, dsn, wanted, seconds, system)


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise BadAddress("after the ? stand parameters as name=value, joined by &") from None
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise BadAddress(f"the parameter {name!r} is given twice; leave one")
    return dict(pairs)


def _hosts(text: str, parameters: dict[str, str]) -> tuple[tuple[str, int], ...]:
    """Hosts from before the database's name and from `host=` and `port=`, whose lists go together as in libpq."""
    found = [_host(part) for part in text.split(",")] if text else []
    if "host" in parameters:
        found = [(name, None) for name in parameters.pop("host").split(",")]
    ports = [_port(port) for port in parameters.pop("port", "").split(",") if port]
    if not found:
        found = [("localhost", None)]
    if len(ports) not in {0, 1, len(found)}:
        raise BadAddress(f"{len(ports)} ports for {len(found)} hosts; give one port, or one for each host")
    if len(ports) == 1:
        ports *= len(found)
    return tuple(
        (host or "localhost", ports[number] if ports else port or DEFAULT_PORT)
        for number, (host, port) in enumerate(found)
    )


def _host(part: str) -> tuple[str, int | None]:
    if part.startswith("["):
        host, bracket, port = part[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise BadAddress(f"{part!r} is no host; an IPv6 address is written as [::1]:5432")
        return host, _port(port[1:]) if port[1:] else None
    host, _, port = part.partition(":")
    if ":" in port:
        raise BadAddress(f"{part!r} is no host; an IPv6 address is written as [::1]:5432")
    return unquote(host), _port(port) if port else None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16):
        raise BadAddress(f"{text!r} is no port; write a number from 1 to 65535")
    return int(text)


def _wanted(text: str | None, several: bool) -> Wanted:
    """Which servers will do; of several, one that can be written to, unless the address says otherwise."""
    if text is None:
        return "read-write" if several else "any"
    if text not in get_args(Wanted):
        raise BadAddress(
            f"target_session_attrs={text} will not do, this system writes; write read-write or leave it out"
        )
    return cast("Wanted", text)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise BadAddress(f"connect_timeout={text} is no number of seconds; write a whole number from 1 on")
    return float(text)


def _check(parameters: Mapping[str, str]) -> None:
    for name, values in _WITHOUT_EFFECT.items():
        if parameters.get(name, values[0]) not in values:
            raise BadAddress(
                f"{name}={parameters[name]} is more than the driver can do; leave it out, or use sslmode=verify-full"
            )
    for name in parameters:
        if name not in _DRIVER and name not in _WITHOUT_EFFECT:
            known = ", ".join(sorted(_DRIVER | {"connect_timeout", "target_session_attrs"}))
            raise BadAddress(
                f"the parameter {name!r} is not known; {_REMEDIES.get(name, f'known are {known}')}"
            )


class _InTransactions:
    """Runs every statement that has arguments in a transaction; mixed into the driver's connection.

    A pooler in transaction mode lends a server for one transaction. The driver parses and executes in two messages,
    which would reach two servers otherwise. Settings of the session travel with each transaction (SET LOCAL).
    """

    idle_milliseconds = 5000
    """For how long a transaction may be idle before the server ends it."""

    async def _whole(self: Any, method: str, query: str, *args: Any, **options: Any) -> Any:
        run = getattr(super(), method)
        if self.is_in_transaction():
            return await run(query, *args, **options)
        async with self.transaction():
            return await run(query, *args, **options)

    async def execute(self: Any, query: str, *args: Any, **options: Any) -> Any:
        """Execute a statement; one without arguments is a single message and needs no transaction."""
        if query.startswith("BEGIN"):
            query = f"{query} SET LOCAL idle_in_transaction_session_timeout = {self.idle_milliseconds}"
        if not args:
            return await getattr(super(), "execute")(query, **options)  # noqa: B009 - of the class mixed with
        return await self._whole("execute", query, *args, **options)

    async def executemany(self, query: str, *args: Any, **options: Any) -> Any:
        """Execute a statement once for each tuple of arguments."""
        return await self._whole("executemany", query, *args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """Return all rows."""
        return await self._whole("fetch", query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Return the first row, or None."""
        return await self._whole("fetchrow", query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Return one value of the first row, or None."""
        return await self._whole("fetchval", query, *args, **options)


def pooled_connection(idle_milliseconds: int) -> Any:
    """Return a class of the driver's connections for use behind a pooler (see `_InTransactions`)."""
    own = {"__slots__": (), "idle_milliseconds": idle_milliseconds}
    return type("PooledConnection", (_InTransactions, asyncpg.Connection), own)


class Servers:
    """The servers of one address: connects to the one that takes writes, and remembers the newest timeline."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.seconds = address.connect_seconds or CONNECT_SECONDS
        """Seconds that connecting to one host may take."""
        self.timeline = 0
        self.refused: Callable[[str, int, int], None] = _nothing
        """Called for a server on an older timeline: with its host, its timeline, and the newest."""
        self._preferred = 0
        self._asked = len(address.hosts) == 1
        self._open: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()

    async def connect(self, seconds: float | None = None, **options: Any) -> Connection:
        """Connect to the first host that will do; `options` are those of `asyncpg.connect`.

        `seconds` bounds the whole. Raises what the driver raises where there is one host (Unfit where it
        must not be written to), NoServer where there are several, and TimeoutError.
        """
        async with asyncio.timeout(seconds):
            if not self._asked:
                await self.look()
            hosts = range(len(self.address.hosts))
            reasons: list[str] = []
            for number in sorted(hosts, key=lambda number: number != self._preferred):
                try:
                    connection = await self._connect(number, **options)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    if len(hosts) == 1:
                        raise
                    host, port = self.address.hosts[number]
                    reasons.append(f"{host}:{port}: {str(error) or type(error).__name__}")
                else:
                    self._preferred = number
                    return connection
            raise NoServer(f"no server of the database takes writes ({'; '.join(reasons)})")

    async def look(self) -> None:
        """Ask every host for its timeline, all at once, and end connections to an older one than the newest."""
        await asyncio.gather(*(self._ask(number) for number in range(len(self.address.hosts))))
        self._asked = True

    async def _ask(self, number: int) -> None:
        try:
            connection = await self._connect(number)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return
        await asyncio.wait([asyncio.ensure_future(connection.close(timeout=self.seconds))])

    async def _connect(self, number: int, **options: Any) -> Connection:
        host, port = self.address.hosts[number]
        if self.address.system_certificates:
            options["ssl"] = ssl.create_default_context()
        async with asyncio.timeout(self.seconds):
            connection: Connection = await asyncpg.connect(
                self.address.dsn, host=host, port=port, timeout=self.seconds, **options
            )
            try:
                await self._admit(connection, f"{host}:{port}")
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def _admit(self, connection: Connection, name: str) -> None:
        """Let a connection be used, or raise Unfit."""
        [state] = await connection.fetch(_STATE)
        if self.address.wanted != "any" and state["standby"]:
            raise Unfit(f"{name} is a standby")
        if self.address.wanted == "read-write" and state["read_only"]:
            raise Unfit(f"{name} is read-only")
        if state["timeline"] is None:
            return
        timeline = int(state["timeline"], 16)
        if timeline < self.timeline:
            self.refused(name, timeline, self.timeline)
            raise Unfit(
                f"{name} is on timeline {timeline}, which a server on timeline {self.timeline} has replaced"
            )
        self._open[connection] = timeline
        if timeline > self.timeline:
            self.timeline = timeline
            for other, theirs in list(self._open.items()):
                if theirs < timeline:
                    other.terminate()


def _nothing(_host: str, _timeline: int, _newest: int) -> None:
    pass


@cache
def servers_of(url: str) -> Servers:
    """The servers of an address; one object for a process, which so remembers one timeline. Raises BadAddress."""
    return Servers(read_address(url))
