"""`executor-balancer doctor`: finds what is wrong on a live database, repairs counters, and says the result."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.commands.doctor import newest_schema
from app.config import Settings
from app.database import Database
from app.services.audit.doctor import State, examine
from app.services.audit.invariants import CHECKS, find_violations
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.builders import add_executors, add_pool, add_tasks


def doctor(*options: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *options], env=environment)


async def a_day_of_work(database: Database) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 3, daily_limit=20, max_open=15)
    await add_tasks(database, pool_id, 50)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=100, deliver=True)


PLANTED: dict[str, str] = {
    "nothing_lost": "INSERT INTO idempotency_keys (pool_id, key, fingerprint, task_id) "
    "SELECT id, 'k', 'f', 999999 FROM pools",
    "one_current_assignment": "UPDATE tasks SET executor_id = (SELECT max(id) FROM executors) "
    "WHERE id = (SELECT min(task_id) FROM assignments WHERE executor_id = (SELECT min(id) FROM executors))",
    "no_strays": "UPDATE assignments SET task_id = 999999 WHERE id = (SELECT min(id) FROM assignments)",
    "home_kept": "UPDATE tasks SET home_pool_id = pool_id WHERE id = (SELECT min(id) FROM tasks)",
    "eligible": "UPDATE class_snapshots SET content = jsonb_set(content, '{eligible}', '[]')",
    "day_counters": "UPDATE executor_days SET assigned_count = assigned_count + 1",
    "received_by_one": "UPDATE assignments SET released_at = now(); "
    "UPDATE tasks SET status = 'cancelled', executor_id = NULL",
    "load_counters": "UPDATE executor_loads SET open_count = open_count + 1",
    "window_counters": "UPDATE executor_loads SET window_weight = window_weight + 1",
    "daily_limit": "UPDATE executors SET daily_limit = 1, updated_at = '2000-01-01'",
    "max_open": "UPDATE executors SET max_open = 1, updated_at = '2000-01-01'",
    "outbox_order": "INSERT INTO outbox (pool_id, task_id, sequence, event, delivered_at) "
    "SELECT pool_id, task_id, sequence + 1, 'moved', now() FROM outbox LIMIT 1",
    "nobody_waits_unseen": "UPDATE tasks SET wait_reason = NULL, updated_at = now() - interval '1 minute' "
    "WHERE status = 'pending'",
    "nobody_waits_in_vain": "UPDATE executors SET max_open = NULL, daily_limit = NULL; "
    "UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE status = 'pending'",
}


def test_every_invariant_has_a_planted_defect() -> None:
    assert PLANTED.keys() == {check.name for check in CHECKS}


@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_defect_is_found(database: Database, name: str) -> None:
    await a_day_of_work(database)
    before = await invariants_broken(database)
    async with database.hot.acquire() as connection:
        await connection.execute(PLANTED[name])
    assert before == set()
    assert name in await invariants_broken(database)


async def invariants_broken(database: Database) -> set[str]:
    async with database.hot.acquire() as connection:
        return {finding.check.name for finding in await find_violations(connection)}


async def test_counters_are_repaired_and_the_exit_code_says_the_result(
    settings: Settings, database: Database
) -> None:
    environment = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url or ""}
    run: Callable[..., Awaitable[Result]] = lambda *options: asyncio.to_thread(  # noqa: E731
        doctor, *options, **environment
    )
    await a_day_of_work(database)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE executor_loads SET open_count = 0, day_count = 99")
    found = await run()
    assert found.exit_code == 1 and "--repair" in found.output
    repaired = await run("--repair", "--json")
    states = {symptom["name"]: symptom for symptom in json.loads(repaired.output)}
    assert states["Invariants"]["found"] == "repaired: load_counters"
    assert await invariants_broken(database) == set()


def test_a_database_that_does_not_answer_is_told_with_a_remedy() -> None:
    result = doctor(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert result.exit_code == 1
    assert "does not answer" in result.output and "DATABASE_URL" in result.output


def test_where_nothing_runs_it_says_what_to_set(tmp_path: object) -> None:
    result = doctor("--data", str(tmp_path))
    assert result.exit_code == 2
    assert "DATABASE_URL" in result.output


STOPS = {
    "Stored values": (
        (
            "UPDATE executors SET working_hours = '{\"days\": 5}' WHERE id = (SELECT min(id) FROM executors);"
            'UPDATE executors SET parameters = \'{"address": {"city": 1}}\''
            " WHERE id = (SELECT max(id) FROM executors);"
            "INSERT INTO pools (code, name, timezone, settings) VALUES ('odd', 'odd', 'Europe', '{\"flow\": 5}');"
            "INSERT INTO webhooks (pool_id, url, secret, created_by)"
            " SELECT id, 'http://a..example/', 's', 'x' FROM pools WHERE code = 'odd'"
        ),
        ["working_hours", "parameters.address", "'Europe'", "flow", "looked up"],
    ),
    "Background": (
        (
            "INSERT INTO loop_reports (process, loop, part, failures, error)"
            " VALUES ('w', 'sweep', '7', 9, 'TypeError: x')"
        ),
        ["sweep (7) failed 9 times", "TypeError: x"],
    ),
    "Waiting": (
        "UPDATE tasks SET wait_reason = 'set_aside' WHERE id = (SELECT max(id) FROM tasks WHERE status = 'pending')",
        ["set_aside 1"],
    ),
    "Delivery": (
        (
            "UPDATE outbox SET dead_at = now() WHERE id = (SELECT min(id) FROM outbox);"
            "INSERT INTO delivery_breakers (destination, failed, open_until, last_error)"
            " VALUES ('ais', 9, now(), 'no answer in time'), ('webhook:99', 9, now(), 'deleted')"
        ),
        ["1 given up", "ais (no answer in time)"],
    ),
}
"""Each state that stays and that something stops at or waits for: how it is planted, and what doctor says of it."""


async def test_every_state_that_stays_is_named(database: Database) -> None:
    await a_day_of_work(database)
    before = {
        each.name: each for each in await examine(database.hot, None, schema=newest_schema(), repair=False)
    }
    assert {before[name].state for name in STOPS} == {State.WELL}
    async with database.hot.acquire() as connection:
        for planted, _ in STOPS.values():
            await connection.execute(planted)
    after = {
        each.name: each for each in await examine(database.hot, None, schema=newest_schema(), repair=False)
    }
    for name, (_, said) in STOPS.items():
        assert after[name].state is not State.WELL and after[name].remedy, name
        assert [each for each in said if each not in after[name].found] == [], (name, after[name].found)
    assert "webhook:99" not in after["Delivery"].found, "there is none any more"
