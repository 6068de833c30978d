"""Brings a database to a revision: `alembic upgrade head`, on the database that `read_settings` finds.

Where DATABASE_OWNER_URL is set, its user migrates. `alembic -x data=DIRECTORY upgrade head` means the embedded system
that runs on that directory. After an upgrade or a downgrade the application's role gets its rights on the tables that
there are.

Several processes that start at once migrate once: a second connection holds an advisory lock for the whole run, which
outlasts the transactions that indexes built concurrently end. While a migration waits for a table, all that comes after
it waits too: it waits shortly, lets them pass, and begins again. Each revision is a transaction of its own, and one
that changes several tables commits after each: a transaction that held one table and waited for another would meet
requests that hold the other and wait for the first, and the database would end one of them.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.config import BadSettings, Settings, read_settings
from app.database import trouble_in_words, wait_for_server
from app.integrations.postgresql import servers_of
from app.models import Base
from app.services.setup.database_role import GRANTS, grant_application_role

LOCK = 7_276_391_405_114_201
"""Any number that no other advisory lock of this database has."""
LOCK_TIMEOUT = 2
"""Seconds for which a statement of a migration may wait for a table that somebody holds."""
PATIENCE = 300
"""How often it begins again."""
PAUSE = 1.0
_AGAIN = {"55P03", "40P01"}
"""A lock that was not had in time, or a deadlock."""
_OUT_OF_REACH = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresConnectionError,
)


def migrate(connection: Connection, settings: Settings) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        if "destination_rev" in context.get_context().opts:  # an upgrade or a downgrade; others only look
            grant_application_role(connection, settings)


def write_sql() -> None:
    """`alembic upgrade head --sql`: for whoever applies the statements by hand."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
        context.execute(GRANTS)


def migrate_online() -> None:
    """Migrate the database that is meant; what keeps it from being reached is told in one line."""
    data = context.get_x_argument(as_dictionary=True).get("data")
    try:
        settings = read_settings(Path(str(data)) if data else None)
    except BadSettings as error:
        raise CommandError(str(error)) from None
    try:
        asyncio.run(connect_and_migrate(settings))
    except _OUT_OF_REACH as error:
        raise CommandError(trouble_in_words(error, settings, settings.owner_url)) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - a command line


async def take_turn(connection: AsyncConnection) -> None:
    """Take the lock for as long as this connection lives.

    It is asked for again and again instead of waited for: a waiting statement holds a snapshot, and an index that is
    built concurrently waits for every older one.
    """
    await connection.execution_options(isolation_level="AUTOCOMMIT")
    while True:
        if await connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")):
            return
        await asyncio.sleep(PAUSE / 10)


async def connect_and_migrate(settings: Settings) -> None:
    await wait_for_server(settings, _say, settings.owner_url)
    servers = servers_of(settings.owner_url)

    async def open_connection(**_address: object) -> object:
        return await servers.connect(
            settings.database_timeout, server_settings={"lock_timeout": f"{LOCK_TIMEOUT}s"}
        )

    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, hide_parameters=True, async_creator=open_connection
    )
    try:
        async with engine.connect() as turn:
            await take_turn(turn)
            await migrate_patiently(engine, settings)
    finally:
        await engine.dispose()


async def migrate_patiently(engine: AsyncEngine, settings: Settings) -> None:
    """Migrate; begin again where a table did not come free in time."""
    for attempt in range(PATIENCE):
        try:
            async with engine.connect() as connection:
                await connection.run_sync(migrate, settings)
                await connection.commit()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in _AGAIN or attempt == PATIENCE - 1:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


if context.is_offline_mode():
    write_sql()
else:
    migrate_online()
