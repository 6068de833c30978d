"""Brings a database to a revision: `alembic upgrade head`, with the address from DATABASE_URL.

A migration is one transaction under an advisory lock, so that several processes that start at once migrate once.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.config import Settings
from app.models import Base

LOCK = 7_276_391_405_114_201
"""Any number that no other advisory lock of this database has."""


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        context.run_migrations()


def write_sql() -> None:
    """`alembic upgrade head --sql`: for whoever applies the statements by hand."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_migrate() -> None:
    settings = Settings()
    engine = create_async_engine(
        settings.database_url, poolclass=NullPool, connect_args={"timeout": settings.database_timeout}
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
    finally:
        await engine.dispose()


if context.is_offline_mode():
    write_sql()
else:
    asyncio.run(connect_and_migrate())
