"""Teams so large that a class keeps who may take its tasks packed: SQL reads them as Python does."""

import json

import numpy as np
import pytest

from app.database import Database
from app.engine.placement.snapshot import list_or_pack, unpack
from app.services.audit.invariants import find_violations
from app.services.tasks.moves import MoveName
from app.services.waking.waking import wake_for
from tests.builders import add_executors
from tests.lifecycle.team import Team
from tests.schema.test_migration_rules import ROOT, module

MANY = 700


@pytest.fixture
async def team(database: Database) -> Team:
    team = await Team.make(database)
    people = {"skills": ["a"], "max_sum": 10, "licence": True}
    await add_executors(database, team.pool_id, MANY, max_open=1, parameters=people)
    return team


async def test_ids_packed_or_listed_are_the_same_to_sql_and_to_python(database: Database) -> None:
    for step, first, count in ((1, 1, 3), (1, 9, 500), (3, 10**12, 600), (7, 2, 513), (1, 1, 0)):
        ids = np.arange(first, first + step * count, step)
        kept = list_or_pack(ids)
        told = await database.hot.fetchval("SELECT array_agg(id) FROM ids_of($1) id", json.dumps(kept)) or []
        assert told == unpack(kept).tolist() == ids.tolist()
        asked = [first - 1, first, first + 1, *ids[-3:].tolist(), *(ids[-3:] + 1).tolist(), 10**18]
        have = [
            await database.hot.fetchval("SELECT ids_have($1, $2)", json.dumps(kept), each) for each in asked
        ]
        assert have == [each in told for each in asked]


async def test_few_and_many_of_many_wake_what_waits_and_whoever_should_have_is_found(team: Team) -> None:
    tasks = await team.tasks(MANY + 9)
    await team.work()
    hot = team.database.hot
    kinds = await hot.fetch(
        "SELECT DISTINCT jsonb_typeof(content -> 'eligible') AS kind FROM class_snapshots"
    )
    assert [row["kind"] for row in kinds] == ["string"]
    assert await team.touched(lambda: team.move(tasks[0], MoveName.COMPLETE)) == (1, 2)
    people = [row["id"] for row in await hot.fetch("SELECT id FROM executors ORDER BY id LIMIT 6")]
    await hot.execute("UPDATE executors SET max_open = 2 WHERE id = ANY($1::bigint[])", people)
    await hot.execute("UPDATE tasks SET updated_at = now() - interval '1 minute' WHERE status = 'pending'")
    team.picture.forget()  # which no event told of this
    async with hot.acquire() as connection:
        assert {each.check.name for each in await find_violations(connection)} == {"nobody_waits_in_vain"}
        for who, woken in (([people[0]], 1), (people, 5), (None, 0)):
            assert await wake_for(connection, pool_id=team.pool_id, executor_ids=who) == woken
            await team.work()


async def test_who_may_not_take_a_task_is_found_among_many(team: Team) -> None:
    await team.tasks(1)
    await team.work()
    outside = await team.person(["b"], 10)
    async with team.database.hot.acquire() as connection:
        await connection.execute("UPDATE assignments SET executor_id = $1", outside)
        assert "eligible" in {each.check.name for each in await find_violations(connection)}


async def test_a_downgrade_lists_again_what_was_packed(team: Team) -> None:
    hot = team.database.hot
    await hot.execute("UPDATE executors SET qualification = 2")
    await team.rules(2)
    await team.tasks(1)
    await team.work()
    packed = await hot.fetchval("SELECT content FROM class_snapshots")
    assert isinstance(packed["eligible"], str)
    assert isinstance(packed["preferences"][0][2], str)
    [file] = (ROOT / "alembic" / "versions").glob("0009_*.py")
    await hot.execute(module(file)._LISTED)
    listed = await hot.fetchval("SELECT content FROM class_snapshots")
    assert listed["eligible"] == listed["preferences"][0][2] == unpack(packed["eligible"]).tolist()
    assert listed["preferences"][0][:2] == packed["preferences"][0][:2] == [2.0, [["weights[0]", 2.0]]]
    assert {**listed, "eligible": 0, "preferences": 0} == {**packed, "eligible": 0, "preferences": 0}
