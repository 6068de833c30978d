"""The engine, sessions, and the pool of bare connections that the hot paths use.

Cold paths use the ORM through `Database.session`; intake and workers use `Database.hot`, an asyncpg pool, because
set-based statements with arrays are fastest there (docs/benchmarks.md). Services commit; nothing here does.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import ARRAY, ColumnElement, Connection, ExceptionContext, any_, event, literal, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from app.config import Settings
from app.integrations.postgresql import Servers, pooled_connection, read_address, servers_of
from app.telemetry.metrics import database_old_timeline_total
from app.utils import fast_json
from app.utils.trouble import says, trouble_of

log = structlog.get_logger()

HotConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
HotPool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def _close(session: AsyncSession) -> None:
    """Give its connection back, or throw away one that cannot be rolled back; the answer may have gone out before.

    Whatever a driver says while its server dies under it is caught: raised here, after the answer, it would end the
    client's connection, and the next request on it would get no answer.
    """
    try:
        await session.close()
    except Exception as error:
        known = trouble_of(error) is not None
        log.info("session.broken", error=says(error), exc_info=None if known else error)


APPLICATION_ROLE = "executor_balancer_app"
"""The role that processes take whose DATABASE_URL names a superuser (made by app/services/setup/database_role.sql)."""

# A login of its own has narrow rights already and sets nothing: a pooler that hands a session on after each transaction
# then has nothing of the session to keep.
_TAKE_ROLE = f"""
SELECT set_config('role', narrow.rolname, false) FROM pg_roles login, pg_roles narrow
WHERE login.rolname = session_user AND login.rolsuper AND narrow.rolname = '{APPLICATION_ROLE}'
  AND has_table_privilege(narrow.oid, to_regclass('audit_log'), 'INSERT')
"""  # noqa: S608 - a constant


async def take_role(connection: Any) -> None:
    """Give up a superuser's rights on this connection, where migrations made the narrow role."""
    await connection.execute(_TAKE_ROLE)


async def connect(dsn: str, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A bare connection to the server that takes writes, with the application's rights (see `Servers.connect`)."""
    connection = await servers_of(dsn).connect(options.pop("timeout", None), **options)
    try:
        await take_role(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def prepare_connection(connection: Any) -> None:
    """Take the narrow role, and let JSONB travel as text that Python has already encoded; decoded on the way back."""
    await take_role(connection)
    await connection.set_type_codec("jsonb", encoder=_encode, decoder=fast_json.decode, schema="pg_catalog")


def _take_role_at_first(connection: Any, _record: object) -> None:
    """SQLAlchemy's hook for a new connection: the adapter runs a coroutine on the driver's own."""
    connection.run_async(take_role)


def _replace_if_unsound(context: ExceptionContext) -> None:
    """SQLAlchemy's hook for errors: a connection is replaced that fails its check, or cannot end its transaction.

    One whose BEGIN was cancelled or refused lives on, but the driver takes its next transaction for a savepoint of
    the one that never began, and the server refuses that (25P01). One whose ROLLBACK failed would keep its place in
    the pool until it is collected as garbage.
    """
    if context.is_pre_ping or context.statement is None:  # COMMIT and ROLLBACK are no statements of ours
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # the others are sound


async def _nothing_to_reset(_connection: Any) -> None:
    """Hot connections keep no session state, so that the driver's statement at each release would reset nothing.

    A transaction left open is rolled back by the driver all the same.
    """


def _encode(value: object) -> str:
    return value if isinstance(value, str) else fast_json.encode_given(value)


_NAME_ACTOR = text(
    "SELECT set_config('app.actor', :actor, true), set_config('app.address', :address, true),"
    " set_config('app.request_id', :request_id, true)"
)


class ActingSession(Session):
    """A session that tells the audit log's triggers who acts, at the beginning of each transaction."""


@event.listens_for(ActingSession, "after_begin")
def _name_actor(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    if acting := session.info.get("acting"):
        connection.execute(_NAME_ACTOR, acting)


def acting(actor: str, address: str | None = None, request_id: str | None = None) -> dict[str, str]:
    """What a session is told of who acts."""
    return {"actor": actor, "address": address or "", "request_id": request_id or ""}


TROUBLE = (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a command is told by where the database is gone or restarting; what it means says `app.utils.trouble`."""
_NOT_YET = (OSError, asyncpg.CannotConnectNowError)
"""Raised while a server is starting; a timeout is an OSError."""
_PAUSE_SECONDS = 0.5
_IDLE_SECONDS = 5.0
"""A cold transaction idle this long is ended by the server: a process that hangs in one must not keep a pool's lock."""


def among(column: Any, values: Iterable[Any]) -> ColumnElement[bool]:
    """`column = ANY(array)`: one argument whatever their number, where `IN` has one each and ends at 32,767."""
    return cast("ColumnElement[bool]", column == any_(literal(list(values), ARRAY(column.type))))


_UNNAMED_STATEMENTS: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}
"""For SQLAlchemy behind a pooler: `str()` is the empty name, which no other transaction finds prepared."""
_WATCH_SECONDS = 2.0
"""How often the hosts are asked for their timelines: so long may an idle process trust a server that was replaced."""


async def _watch(servers: Servers) -> None:
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            await servers.look()
        except Exception:
            log.exception("database.watch_failed")


def _report_old_timeline(host: str, timeline: int, newest: int) -> None:
    database_old_timeline_total.inc()
    log.error("database.old_timeline", host=host, timeline=timeline, newest=newest)


@dataclass(frozen=True, slots=True)
class Database:
    """Everything a process needs to reach PostgreSQL; close it when the process ends."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    hot: HotPool
    servers: Servers
    watch: asyncio.Task[None] | None = None
    """Asks the hosts for their timelines, where there are several."""

    @classmethod
    async def open(cls, settings: Settings) -> "Database":
        """Connect lazily: succeeds while PostgreSQL is down, so that a process can start before its database."""
        servers = servers_of(settings.dsn)
        several = len(servers.address.hosts) > 1
        patience = settings.database_connect_seconds if several else settings.database_timeout
        servers.seconds = servers.address.connect_seconds or patience
        servers.refused = _report_old_timeline

        async def open_connection(*_address: object, **options: Any) -> Any:
            for name in ("host", "port", "user", "password", "database", "dsn"):
                options.pop(name, None)  # the address says it
            if pooled:
                settings_sent = dict(options["server_settings"])
                idle = settings_sent.pop("idle_in_transaction_session_timeout")  # no pooler passes it on
                options |= {"connection_class": pooled_connection(int(idle)), "statement_cache_size": 0}
                options["server_settings"] = settings_sent
            return await servers.connect(options.pop("timeout", None), **options)

        pooled = settings.database_pooler != "none"
        engine = create_async_engine(
            "postgresql+asyncpg://",
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_timeout,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text goes to logs; parameters are names, hashes and secrets
            connect_args={
                "async_creator_fn": open_connection,  # with all that follows; `async_creator` gets none of it
                **(_UNNAMED_STATEMENTS if pooled else {}),
                "timeout": settings.database_timeout,
                "command_timeout": settings.database_timeout,
                "server_settings": {
                    "application_name": "executor-balancer",
                    "timezone": "UTC",
                    "idle_in_transaction_session_timeout": str(int(_IDLE_SECONDS * 1000)),
                },
            },
        )
        event.listen(engine.sync_engine, "connect", _take_role_at_first)
        event.listen(engine.sync_engine, "handle_error", _replace_if_unsound)
        hot = await asyncpg.create_pool(
            connect=open_connection,
            min_size=0,
            max_size=settings.hot_pool_size,
            timeout=settings.database_timeout,
            command_timeout=settings.database_timeout,
            init=prepare_connection,
            reset=_nothing_to_reset,
            server_settings={
                "application_name": "executor-balancer hot",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": str(int(settings.worker_transaction_seconds * 1000)),
            },
        )
        sessions = async_sessionmaker(engine, sync_session_class=ActingSession, expire_on_commit=False)
        watch = asyncio.create_task(_watch(servers), name="database watch") if several else None
        return cls(engine, sessions, hot, servers, watch)

    @asynccontextmanager
    async def session(self, actor: dict[str, str] | None = None) -> AsyncIterator[AsyncSession]:
        """A session that rolls back what its service did not commit; the audit log names `actor` (see `acting`)."""
        session = self.sessions(info={"acting": actor})
        try:
            yield session
        finally:
            await asyncio.shield(asyncio.create_task(_close(session)))

    async def renew(self) -> None:
        """Let no connection that is open now be used again; those in use end when they are given back."""
        await self.hot.expire_connections()
        await self.engine.dispose()

    async def close(self) -> None:
        """Give all connections back."""
        if self.watch is not None:
            self.watch.cancel()
        await self.hot.close()
        await self.engine.dispose()


def where(settings: Settings, url: str | None = None) -> str:
    """Host, port and database of an address, by default of the application's, and what named it; no password."""
    return f"{read_address(url or settings.database_url)} ({settings.database_source})"


def trouble_in_words(error: BaseException, settings: Settings, url: str | None = None) -> str:
    """Say in one line which database failed, why, and what to do; without the password."""
    cause = getattr(error, "orig", None) or error
    cause = cause.__cause__ if isinstance(cause.__cause__, asyncpg.PostgresError | OSError) else cause
    reason = " ".join(str(cause).split()) or type(cause).__name__
    remedy = "Start PostgreSQL there or correct DATABASE_URL."
    if isinstance(cause, socket.gaierror):
        reason, remedy = "there is no such host", "Correct DATABASE_URL."
    elif isinstance(cause, ConnectionRefusedError) or "Connect call failed" in reason:
        reason = "nothing answers there"
    elif isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
        remedy = "Correct DATABASE_URL."
    return f"{where(settings, url)}: {reason}. {remedy}"


async def wait_for_server(settings: Settings, say: Callable[[str], None], url: str | None = None) -> None:
    """Return when PostgreSQL accepts a connection; wait DATABASE_WAIT_SECONDS for one that does not answer yet.

    `say` gets one line when the waiting begins. Raises what the last attempt raised; a wrong host, password or database
    name is raised at once.
    """
    servers = servers_of(url or settings.dsn)
    deadline, is_told = time.monotonic() + settings.database_wait_seconds, False
    while True:
        try:
            connection = await servers.connect(settings.database_timeout)
        except _NOT_YET as error:
            if isinstance(error, socket.gaierror) or time.monotonic() >= deadline:
                raise
        else:
            await connection.close()
            return
        if not is_told:
            say(
                f"Waiting up to {settings.database_wait_seconds:g} s for PostgreSQL at {where(settings, url)}."
            )
            is_told = True
        await asyncio.sleep(_PAUSE_SECONDS)
