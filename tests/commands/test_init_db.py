"""init_db.py, run as a user runs it."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from pwdlib import PasswordHash

from app.access.keys import make_api_key
from app.config import Settings
from app.database import Database
from app.services.audit.invariants import find_violations
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.servers import with_database

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

COUNTS = """
SELECT (SELECT count(*) FROM pools), (SELECT count(*) FROM pool_states), (SELECT count(*) FROM users),
       (SELECT count(*) FROM executors), (SELECT count(*) FROM executor_loads), (SELECT count(*) FROM tasks),
       (SELECT count(*) FROM parameters), (SELECT count(*) FROM rule_sets), (SELECT sum(epoch) FROM pool_states),
       (SELECT string_agg(password_hash, '') FROM users)
"""


def init_db(database_url: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "init_db.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "DATABASE_WAIT_SECONDS": "0"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


async def fetchrow(database_url: str, query: str) -> asyncpg.Record:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        return await connection.fetchrow(query)
    finally:
        await connection.close()


async def test_running_twice_changes_nothing_and_says_nothing(empty_database_url: str) -> None:
    first = init_db(empty_database_url)
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.splitlines()) == 2
    before = await fetchrow(empty_database_url, COUNTS)
    second = init_db(empty_database_url)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert await fetchrow(empty_database_url, COUNTS) == before


async def test_made_up_password_is_the_admins(empty_database_url: str) -> None:
    said = init_db(empty_database_url).stdout
    password = said.split("the password ")[1].split()[0]
    row = await fetchrow(empty_database_url, "SELECT username, role, password_hash FROM users")
    assert (row["username"], row["role"]) == ("admin", "admin")
    assert PasswordHash.recommended().verify(password, row["password_hash"])


async def test_chosen_password_is_not_shown(empty_database_url: str) -> None:
    done = init_db(empty_database_url, ADMIN_USERNAME="chief", ADMIN_PASSWORD="a chosen one")
    assert "a chosen one" not in done.stdout + done.stderr
    row = await fetchrow(empty_database_url, "SELECT username, password_hash FROM users")
    assert row["username"] == "chief"
    assert PasswordHash.recommended().verify("a chosen one", row["password_hash"])


async def test_the_key_of_local_programs_is_registered_once_and_stays_revoked(
    empty_database_url: str,
) -> None:
    key = make_api_key()
    assert "API_KEY" in init_db(empty_database_url, API_KEY=key.whole).stdout
    assert init_db(empty_database_url, API_KEY=key.whole).stdout == ""
    query = "SELECT count(*), bool_and(key_hash = $1), bool_or('users.manage' = ANY(scopes)) FROM api_keys"
    connection = await asyncpg.connect(empty_database_url.replace("+asyncpg", ""))
    try:
        assert tuple(await connection.fetchrow(query, key.hash)) == (1, True, False)
        await connection.execute("UPDATE api_keys SET revoked_at = now()")
        assert init_db(empty_database_url, API_KEY=key.whole).stdout == ""
        assert await connection.fetchval("SELECT revoked_at FROM api_keys") is not None
    finally:
        await connection.close()


async def test_a_key_of_another_form_is_refused_by_name(empty_database_url: str) -> None:
    refused = init_db(empty_database_url, API_KEY="secret")
    assert (refused.returncode, "API_KEY: " in refused.stderr) == (1, True)
    assert len(refused.stderr.splitlines()) == 1


async def test_sample_is_added_once_and_can_be_distributed(empty_database_url: str) -> None:
    assert "sample data" in init_db(empty_database_url, "--sample").stdout
    before = await fetchrow(empty_database_url, COUNTS)
    assert before["count"] == 1
    again = init_db(empty_database_url, "--sample")
    assert again.stdout == "No sample data added: the pool 'default' is in use.\n"
    assert await fetchrow(empty_database_url, COUNTS) == before
    await every_sample_task_finds_somebody(empty_database_url)


async def every_sample_task_finds_somebody(database_url: str) -> None:
    database = await Database.open(Settings(database_url=database_url))
    try:
        async with database.hot.acquire() as connection:
            pool_id = await connection.fetchval("SELECT id FROM pools")
        batch = await place_batch(database.hot, PoolSnapshot(pool_id), limit=1000, deliver=False)
        assert (batch.found, len(batch.decisions), len(batch.waiting)) == (Found.WORK, 60, 0)
        async with database.hot.acquire() as connection:
            assert await find_violations(connection) == []
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://user:hidden@127.0.0.1:9/nowhere", "127.0.0.1:9/nowhere"),
        ("mysql://user:hidden@localhost/x", "DATABASE_URL"),
    ],
)
def test_database_out_of_reach_is_one_line_and_a_failure(url: str, named: str) -> None:
    done = init_db(url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert "hidden" not in done.stderr


def test_missing_database_is_one_line_and_a_failure(empty_database_url: str) -> None:
    done = init_db(with_database(empty_database_url, "not_there"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert '"not_there" does not exist' in done.stderr


async def test_starting_at_once_prepares_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor() as threads:
        both = list(threads.map(lambda _: init_db(empty_database_url, "--sample"), range(2)))
    assert [done.returncode for done in both] == [0, 0], [done.stderr for done in both]
    counts = await fetchrow(empty_database_url, COUNTS)
    assert tuple(counts)[:8] == (1, 1, 1, 12, 12, 60, 7, 1)
