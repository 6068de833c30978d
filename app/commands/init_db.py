"""Prepares the database: schema, default pool, first admin; with --sample also people, rules and tasks to look at.

Says what it did and nothing else; run again it changes nothing and says nothing. The database is the one that
`app.config.read_settings` finds. The first admin's password is kept in SECRETS_DIR, for its owner alone.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from app.config import ROOT, BadSettings, Settings, read_settings
from app.database import Database, trouble_in_words, wait_for_server
from app.services.setup.first_start import prepare
from app.services.setup.sample import add_sample


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prepare the database: schema, default pool, first admin.")
    parser.add_argument("--sample", action="store_true", help="add people, rules and tasks to look at")
    parser.add_argument(
        "--data", type=Path, help="data directory of the running `run` whose database is meant"
    )
    arguments = parser.parse_args()
    try:
        settings = read_settings(arguments.data)
    except BadSettings as error:
        return _fail(str(error))
    config = Config(ROOT / "alembic.ini")
    config.cmd_opts = argparse.Namespace(x=[f"data={arguments.data}"] if arguments.data else None)
    try:
        asyncio.run(wait_for_server(settings, _say, settings.owner_url))
        command.upgrade(config, "head")
        for line in asyncio.run(_fill(settings, arguments.sample)):
            print(line)
    except CommandError as error:
        return _fail(str(error))
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return _fail(trouble_in_words(error, settings))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


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


def _fail(reason: str) -> int:
    print(f"The database cannot be prepared: {reason}", file=sys.stderr)
    return 1
