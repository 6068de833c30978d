"""The engine, sessions, and the pool of bare connections that the hot paths use.

Cold paths use the ORM through `Database.session`; intake and workers use `Database.hot`, an asyncpg pool, because
set-based statements with arrays are fastest there (docs/benchmarks.md). Services commit; nothing here does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

from app.config import Settings
from app.utils import fast_json

log = structlog.get_logger()

HotConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
HotPool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def _close(session: AsyncSession) -> None:
    """Give its connection back; one that broke is thrown away by its pool, and the answer may have gone out before.

    Whatever a driver says while its server dies under it is caught: raised here, after the answer, it would end the
    client's connection, and the next request on it would get no answer.
    """
    try:
        await session.close()
    except (SQLAlchemyError, OSError) as error:
        log.info("session.broken", error=str(error) or type(error).__name__)
    except Exception:
        log.exception("session.broken")


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
    """A bare connection of the driver with the application's rights; `options` are those of `asyncpg.connect`."""
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn, **options)
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
"""What a database raises that is gone, restarting or too slow (a timeout is an OSError): try again later."""
_IDLE_SECONDS = 5.0
"""A cold transaction idle this long is ended by the server: a process that hangs in one must not keep a pool's lock."""


@dataclass(frozen=True, slots=True)
class Database:
    """Everything a process needs to reach PostgreSQL; close it when the process ends."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    hot: HotPool

    @classmethod
    async def open(cls, settings: Settings) -> "Database":
        """Connect lazily: succeeds while PostgreSQL is down, so that a process can start before its database."""
        engine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_timeout,
            pool_pre_ping=True,
            connect_args={
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
        hot = await asyncpg.create_pool(
            settings.dsn,
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
        return cls(
            engine, async_sessionmaker(engine, sync_session_class=ActingSession, expire_on_commit=False), hot
        )

    @asynccontextmanager
    async def session(self, actor: dict[str, str] | None = None) -> AsyncIterator[AsyncSession]:
        """A session that rolls back what its service did not commit; the audit log names `actor` (see `acting`)."""
        session = self.sessions(info={"acting": actor})
        try:
            yield session
        finally:
            await asyncio.shield(asyncio.create_task(_close(session)))

    async def close(self) -> None:
        """Give all connections back."""
        await self.hot.close()
        await self.engine.dispose()
