"""Prepares the database: schema, default pool, first admin; with --sample also people, rules and tasks to look at.

Says what it did and nothing else; run again it changes nothing and says nothing. The schema is made by
DATABASE_OWNER_URL where it is set, else by DATABASE_URL.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.database import Database
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prepare the database: schema, default pool, first admin.")
    parser.add_argument("--sample", action="store_true", help="add people, rules and tasks to look at")
    arguments = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        return _fail("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()))
    try:
        command.upgrade(Config(ROOT / "alembic.ini"), "head")
        for line in asyncio.run(_fill(settings, arguments.sample)):
            print(line)
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, CommandError) as error:
        return _fail(_explained(error, settings))
    return 0


async def _fill(settings: Settings, sample: bool) -> list[str]:
    database = await Database.open(settings)
    try:
        async with database.session() as session:
            done = await prepare(session, settings=settings)
        if sample:
            async with database.session() as session:
                done += await add_sample(session, pool_code=settings.default_pool)
        return done
    finally:
        await database.close()


def _explained(error: Exception, settings: Settings) -> str:
    """One line: where, what, and what to do; never the password."""
    where = make_url(settings.database_url)
    reason = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
    place = f"{where.host}:{where.port or 5432}/{where.database}"
    return f"{place}: {reason}. Start PostgreSQL there or correct DATABASE_URL."


def _fail(reason: str) -> int:
    print(f"The database cannot be prepared: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
