"""Archiving and restoring: what goes is in files, what stays still adds up, and a dump brings everything back."""

import asyncio
import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.local.embedded.postgresql import _installed
from app.models import Base
from app.services.audit.archive import _ASIDE, _PARTS, KEPT, Files, archive_ended
from app.services.audit.invariants import find_violations
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.builders import add_executors, add_pool
from tests.servers import RunServers

LONG_AGO = timedelta(days=100)


@pytest.fixture
async def worked(database: Database) -> PoolId:
    """A pool with a day of work 100 days ago, half of it ended, and work of today."""
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 3)
    await _work(database, pool_id, 40)
    async with database.hot.acquire() as connection:
        await connection.execute(
            "UPDATE tasks SET status = 'completed' WHERE id IN (SELECT id FROM tasks ORDER BY id LIMIT 20)"
        )
        await connection.execute(
            "UPDATE assignments SET released_at = now() FROM tasks WHERE tasks.id = task_id AND status = 'completed'"
        )
        await connection.execute(
            "UPDATE executor_loads load SET (open_count, open_weight) = "
            "(SELECT count(*), coalesce(sum(weight), 0) FROM assignments WHERE released_at IS NULL "
            " AND executor_id = load.executor_id)"
        )
        await connection.execute("UPDATE outbox SET delivered_at = now()")
        await connection.execute(
            "UPDATE tasks SET created_at = created_at - $1::interval, updated_at = updated_at - $1::interval",
            LONG_AGO,
        )
        await connection.execute(
            "UPDATE assignments SET decided_at = decided_at - $1::interval, business_day = business_day - 100",
            LONG_AGO,
        )
        await connection.execute("UPDATE executor_days SET business_day = business_day - 100")
        await connection.execute(
            "UPDATE executor_loads SET business_day = business_day - 100, window_start = window_start - 100"
        )
        await connection.execute("UPDATE pool_states SET config_epoch = epoch + 1, epoch = epoch + 1")
    await _work(database, pool_id, 10)
    assert await violations(database) == []
    return pool_id


async def _work(database: Database, pool_id: PoolId, count: int, picture: PoolSnapshot | None = None) -> None:
    tasks = [
        NewTask(pool_id, external_id=f"{datetime.now(UTC)}-{n}", idempotency_key=f"{datetime.now(UTC)}-{n}")
        for n in range(count)
    ]
    await write_tasks(database.hot, tasks)
    picture = picture or PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=100, deliver=True)).found is Found.WORK:
        pass


async def violations(database: Database) -> list[object]:
    async with database.hot.acquire() as connection:
        return list(await find_violations(connection))


async def counts(database: Database) -> dict[str, int]:
    tables = ("tasks", "assignments", "outbox", "idempotency_keys", "executor_days")
    async with database.hot.acquire() as connection:
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))


async def test_ended_tasks_go_to_files_and_everything_still_adds_up(
    database: Database, worked: PoolId, tmp_path: Path
):
    files = Files(tmp_path / "archive")
    before = datetime.now(UTC) - timedelta(days=50)
    portions = [count async for count in archive_ended(database.hot, files, before=before, portion=8)]
    rows = files.finish(before)
    assert portions == [8, 8, 4] and rows["tasks"] == rows["assignments"] == rows["outbox"] == 20
    assert await counts(database) == {
        "tasks": 30,
        "assignments": 30,
        "outbox": 30,
        "idempotency_keys": 30,
        "executor_days": 6,
    }
    assert await violations(database) == []
    manifest = json.loads((tmp_path / "archive" / "manifest.json").read_text())
    for name, told in manifest["files"].items():
        path = tmp_path / "archive" / name
        assert len(rows_of(path)) == told["rows"]
        assert sha256(path.read_bytes()).hexdigest() == told["sha256"]
    again = [count async for count in archive_ended(database.hot, Files(tmp_path / "again"), before=before)]
    assert again == []


async def test_what_is_still_needed_stays(database: Database, worked: PoolId, tmp_path: Path):
    async with database.hot.acquire() as connection:
        first, second = [
            row["id"] for row in await connection.fetch("SELECT id FROM tasks ORDER BY id LIMIT 2")
        ]
        await connection.execute("UPDATE outbox SET delivered_at = NULL WHERE task_id = $1", first)
        await connection.execute(
            "UPDATE tasks SET parent_id = $1 WHERE id = (SELECT max(id) FROM tasks)", second
        )
    before = datetime.now(UTC) - timedelta(days=50)
    done = [count async for count in archive_ended(database.hot, Files(tmp_path / "a"), before=before)]
    assert sum(done) == 18
    async with database.hot.acquire() as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM tasks WHERE id = ANY($1)", [first, second]) == 2
        )


HOURS = """
INSERT INTO fairness_hours (pool_id, hour, mae) SELECT $1, now() - make_interval(days => days), 0
FROM unnest(ARRAY[100, 99, 55, 1]) days
"""


async def test_what_belongs_to_no_task_goes_when_it_is_old(
    database: Database, worked: PoolId, tmp_path: Path
):
    async with database.hot.acquire() as connection:
        await connection.execute(HOURS, worked)
        for days in (100, 1):
            ago = datetime.now(UTC) - timedelta(days=days)
            await connection.execute(
                "INSERT INTO replays (pool_id, state, request, finished_at) VALUES ($1, 'done', '{}', $2)",
                worked,
                ago,
            )
            await connection.execute(
                "INSERT INTO fairness_alerts (pool_id, kind, value, bound, raised_at, cleared_at) "
                "VALUES ($1, 'gap', 1, 1, $2, $2)",
                worked,
                ago,
            )
        await connection.execute(
            "INSERT INTO replays (pool_id, state, request) VALUES ($1, 'running', '{}')", worked
        )
    files, before = Files(tmp_path / "archive"), datetime.now(UTC) - timedelta(days=50)
    assert sum([count async for count in archive_ended(database.hot, files, before=before)]) == 20
    rows = files.finish(before)
    assert (rows["fairness_hours"], rows["replays"], rows["fairness_alerts"]) == (2, 1, 1)
    async with database.hot.acquire() as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM fairness_hours") == 2
        )  # 55 days: still looked at
        assert (
            await connection.fetchval("SELECT count(*) FROM replays") == 2
        )  # yesterday's, and the running one
        assert await connection.fetchval("SELECT count(*) FROM fairness_alerts") == 1


async def test_classes_that_nothing_refers_to_any_more_go_to_files(
    database: Database, worked: PoolId, tmp_path: Path
):
    """A class for each task leaves no more behind than 100 days of class hours and what is not archived."""
    add = """
    INSERT INTO class_snapshots (pool_id, digest, content, created_at, current_id)
    VALUES ($1, $2, '{"eligible": []}', now() - make_interval(days => 200), $3) RETURNING id
    """
    hour = """
    INSERT INTO class_hours (class_id, roster_id, hour, pool_id)
    SELECT $1, min(id), now() - make_interval(days => $2), $3 FROM rosters
    """
    async with database.hot.acquire() as connection:
        used = await connection.fetchval("SELECT max(class_id) FROM assignments")
        alone, old, young, leading = [await connection.fetchval(add, worked, name, None) for name in "aoyl"]
        led = await connection.fetchval(add, worked, "led", leading)
        waiting = await connection.fetchval(add, worked, "waiting", None)
        await connection.execute(hour, old, 150, worked)
        await connection.execute(hour, young, 90, worked)
        await connection.execute(
            "INSERT INTO kpi_days (pool_id, business_day) VALUES ($1, current_date - 1)", worked
        )
        await connection.execute(
            "INSERT INTO tasks (pool_id, wait_reason, wait_class_id) VALUES ($1, 'all_busy', $2)",
            worked,
            waiting,
        )
    before = datetime.now(UTC) - timedelta(days=50)
    picture = PoolSnapshot(worked)
    await _work(database, worked, 1, picture)
    files = Files(tmp_path / "archive")
    assert [count async for count in archive_ended(database.hot, files, before=before)] == [20]
    files.finish(before)
    kept = {row["id"] for row in await database.hot.fetch("SELECT id FROM class_snapshots")}
    assert {alone, old, led} & kept == set()
    assert {used, young, leading, waiting} <= kept, "what is referred to stays"
    gone = {int(row["id"]) for row in rows_of(tmp_path / "archive" / "class_snapshots.csv.gz")}
    assert gone == {alone, old, led}
    await _work(database, worked, 3, picture)
    assert await violations(database) == []


def test_of_every_table_it_is_said_whether_it_goes_or_stays():
    """A new table that grows is archived (app/services/audit/archive.py) or named in KEPT with the reason."""
    small = {"pools", "pool_states", "pool_attempts", "parameters", "users", "api_keys", "webhooks"}
    small |= {"delivery_breakers"}
    people = {"executors", "executor_loads", "executor_absences"}  # as many as there are people
    goes = (
        {table for table, _ in _PARTS} | {"trail_frames", "refresh_tokens", "class_snapshots"} | _ASIDE.keys()
    )
    assert Base.metadata.tables.keys() == goes | KEPT.keys() | small | people


def test_the_command_counts_refuses_and_archives(
    settings: Settings, worked: PoolId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    runner = CliRunner()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    long_ago = (datetime.now(UTC) - timedelta(days=60)).date().isoformat()
    assert (
        "20 tasks would go" in runner.invoke(cli.app, ["archive", "--before", long_ago, "--dry-run"]).output
    )
    too_late = runner.invoke(cli.app, ["archive", "--before", yesterday, "--dry-run"])
    assert too_late.exit_code == 2
    target = str(tmp_path / "archive")
    done = runner.invoke(cli.app, ["archive", "--before", long_ago, "--to", target])
    assert done.exit_code == 0 and "20 tasks" in done.output, done.output
    assert (tmp_path / "archive" / "manifest.json").exists()
    assert runner.invoke(cli.app, ["archive", "--before", long_ago, "--to", target]).exit_code == 2


def postgresql_program(name: str) -> str | None:
    """One of PostgreSQL's programs: that of the embedded server, or the machine's."""
    newest = max(_installed(), default=None)
    return str(newest[1] / name) if newest and (newest[1] / name).exists() else shutil.which(name)


async def test_a_dump_under_work_restores_to_a_system_that_is_well(
    servers: RunServers, settings: Settings, database: Database, worked: PoolId, tmp_path: Path
):
    dump, restore = postgresql_program("pg_dump"), postgresql_program("pg_restore")
    if dump is None or restore is None:
        pytest.skip("no pg_dump and pg_restore on this machine")
    before = await counts(database)
    file = str(tmp_path / "balancer.dump")
    run(dump, "--format=custom", "--no-owner", f"--file={file}", settings.dsn)
    await _work(database, worked, 5)  # what came after the dump is not in it
    with servers.new_database(migrated=False) as url:
        run(
            restore,
            "--no-owner",
            "--exit-on-error",
            "--jobs=2",
            f"--dbname={url.replace('+asyncpg', '')}",
            file,
        )
        restored = await Database.open(Settings(database_url=url))
        try:
            assert await counts(restored) == before
            assert await violations(restored) == []
            await _work(restored, worked, 5)  # ids go on, rules and counters are usable
            assert await violations(restored) == []
        finally:
            await restored.close()
        doctor = (sys.executable, "-m", "app.cli", "doctor", "--json")
        told = json.loads(await asyncio.to_thread(run, *doctor, codes=(0, 1), DATABASE_URL=url))
        broken = {symptom["name"] for symptom in told if symptom["state"] == "broken"}
        assert broken <= {"Durability"}  # servers of tests do not wait for the disk


def run(*command: str, codes: tuple[int, ...] = (0,), **environment: str) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


async def test_one_open_task_of_long_ago_keeps_its_own_frames_and_no_others(
    database: Database, tmp_path: Path
) -> None:
    pool_id = await add_pool(database)
    await write_tasks(database.hot, [NewTask(pool_id)])
    async with database.hot.acquire() as connection:
        await connection.execute(
            "INSERT INTO trail_frames (pool_id, number, start, content) "
            "SELECT $1, n, (n - 1) / 10 * 10 + 1, '{}' FROM generate_series(1, 100) n",
            pool_id,
        )
        await connection.execute(
            "UPDATE tasks SET wait_reason = 'all_busy', wait_explanation = '{\"frame\": 25}'"
        )
        async for _ in archive_ended(database.hot, Files(tmp_path / "archive"), before=datetime.now(UTC)):
            pass
        left = [row["number"] for row in await connection.fetch("SELECT number FROM trail_frames ORDER BY 1")]
    assert left == [*range(21, 26), *range(91, 101)]
