"""Migrations lead to exactly what the models say, and back to nothing."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from app.models import Base

ROOT = Path(__file__).resolve().parents[2]

# Every table, column, constraint and index, each as PostgreSQL itself would write it. NOT NULL is in the columns,
# triggers are the audit log's (tests/access/test_audit_log.py).
SCHEMA = """
SELECT 'column' AS kind, class.relname || '.' || attname AS name,
       format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || attidentity::text || ' '
       || coalesce(pg_get_expr(adbin, adrelid), '') AS definition
FROM pg_attribute
JOIN pg_class class ON class.oid = attrelid AND class.relkind = 'r'
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE class.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('n', 't')
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'options', relname, array_to_string(reloptions, ',')
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
UNION ALL
SELECT 'sequence', sequencename, increment_by || ' ' || cache_size FROM pg_sequences WHERE schemaname = 'public'
"""


def alembic(database_url: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def schema_of(database_url: str) -> dict[tuple[str, str], str]:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(SCHEMA)
    finally:
        await connection.close()
    return {
        (row["kind"], row["name"]): row["definition"]
        for row in rows
        if not row["name"].startswith("alembic_version")
    }


async def create_all(database_url: str) -> None:
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


async def test_migrated_schema_is_the_models_to_the_last_check(
    database_url: str, empty_database_url: str
) -> None:
    await create_all(empty_database_url)
    migrated, modelled = await schema_of(database_url), await schema_of(empty_database_url)
    assert {key: text for key, text in migrated.items() if modelled.get(key) != text} == {}
    assert modelled.keys() - migrated.keys() == set()


def test_autogenerate_finds_nothing_to_do(database_url: str) -> None:
    assert "No new upgrade operations detected" in alembic(database_url, "check")


async def test_down_to_base_leaves_nothing_and_up_again_works(database_url: str) -> None:
    before = await schema_of(database_url)
    alembic(database_url, "downgrade", "base")
    assert await schema_of(database_url) == {}
    alembic(database_url, "upgrade", "head")
    assert await schema_of(database_url) == before


def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: alembic(empty_database_url, "upgrade", "head"), range(2)))


def test_statements_can_be_written_for_whoever_applies_them_by_hand(database_url: str) -> None:
    written = alembic(database_url, "upgrade", "head", "--sql")
    assert "CREATE UNIQUE INDEX uq_assignments_current" in written
