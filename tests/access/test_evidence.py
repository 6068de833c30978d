"""Evidence that a database's administrator cannot make anew unseen: anchors of the audit log, histories of tasks."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from app.access.keys import KeyRing
from app.commands.doctor import newest_schema
from app.services.audit.audit_anchors import Anchors, open_anchors
from app.services.audit.audit_log import verify
from app.services.audit.doctor import State, Symptom, examine
from tests.access.conftest import SECRET, House
from tests.conftest import Figure
from tests.servers import owner_of

# What a superuser does who knows the code: all entries are chained anew, one of them changed.
REWRITE = """
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM audit_log ORDER BY id;
DELETE FROM audit_log;
DO $$
DECLARE entry audit_log; last bytea = decode(repeat('00', 32), 'hex');
BEGIN
    FOR entry IN SELECT * FROM kept ORDER BY id LOOP
        IF entry.entity = 'users' THEN entry.actor = 'somebody else'; END IF;
        entry.previous_hash = last;
        entry.hash = sha256(last || convert_to(audit_text(entry), 'UTF8'));
        last = entry.hash;
        INSERT INTO audit_log OVERRIDING SYSTEM VALUE SELECT entry.*;
    END LOOP;
END $$
"""


async def rewrite(house: House, statements: str = REWRITE) -> None:
    async with owner_of(house.settings) as connection, connection.transaction():
        await connection.execute(statements)


async def doctor(house: House, anchors: Anchors | None) -> Symptom:
    symptoms = await examine(house.database.hot, None, schema=newest_schema(), repair=False, anchors=anchors)
    return next(symptom for symptom in symptoms if symptom.name == "Audit log")


async def anchored(house: House, path: Path, secret: str = SECRET) -> Anchors:
    anchors = Anchors(path, KeyRing([secret]))
    await house.user("viewer", pools=None)
    await anchors.look(house.database.hot)
    return anchors


async def test_a_log_that_was_made_anew_holds_as_a_chain_and_is_found_out_by_its_anchor(
    house: House, tmp_path: Path
) -> None:
    anchors = await anchored(house, tmp_path / "anchors")
    assert (await doctor(house, anchors)).state is State.WELL
    await rewrite(house)
    assert (await verify(house.database.hot)).holds  # the chain alone tells nothing
    assert (await doctor(house, None)).state is State.WELL
    found = await doctor(house, anchors)
    assert found.state is State.BROKEN
    assert "made anew" in found.found
    await house.user("viewer", pools=None)
    await Anchors(tmp_path / "anchors", KeyRing([SECRET])).look(house.database.hot)
    assert len(anchors.read()) == 1  # and no worker seals what was rewritten


@pytest.mark.parametrize("cut", ["DELETE FROM audit_log", "DELETE FROM audit_log WHERE id > 2"])
async def test_a_log_cut_short_is_found_out(house: House, tmp_path: Path, cut: str) -> None:
    anchors = await anchored(house, tmp_path / "anchors")
    await rewrite(house, f"SET LOCAL session_replication_role = replica; {cut}")
    assert (await verify(house.database.hot)).holds
    assert (await doctor(house, anchors)).state is State.BROKEN


async def test_an_anchor_that_was_forged_or_damaged_is_no_anchor(house: House, tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    await anchored(house, path, "a secret of somebody else, long enough")
    ours = Anchors(path, KeyRing([SECRET]))
    assert "not sealed" in (await doctor(house, ours)).found
    path.unlink()
    await anchored(house, path)
    line = json.loads(path.read_text())
    for changed in ({"entry": 1}, {"hash": "0" * 64}, {"at": "2020-01-01T00:00:00+00:00"}, {"seal": "é"}):
        path.write_text(json.dumps(line | changed) + "\n")
        assert (await doctor(house, ours)).state is State.BROKEN, changed
    for damaged in ('{"entry": 1', "[]", '{"entry": 1, "more": 2}'):
        path.write_text(damaged)
        assert "damaged" in (await doctor(house, ours)).found
        with pytest.raises(OSError, match="damaged"):
            await Anchors(path, KeyRing([SECRET])).look(house.database.hot)


async def test_anchors_outlive_a_change_of_the_secret_and_are_only_added_to(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "anchors"
    before = await anchored(house, path)
    await before.look(house.database.hot)
    assert len(before.read()) == 1  # nothing new: nothing written
    after = Anchors(path, KeyRing(["another secret, as long as it must be", SECRET]))
    await house.user("viewer", pools=None)
    await asyncio.gather(after.look(house.database.hot), before.look(house.database.hot))
    assert len(after.read()) == 3
    assert (await doctor(house, after)).state is State.WELL


async def test_without_a_file_or_a_key_that_stays_nothing_is_anchored(house: House, tmp_path: Path) -> None:
    named = house.settings.model_copy(update={"audit_anchors": tmp_path / "anchors"})
    assert open_anchors(named) is not None
    assert open_anchors(house.settings) is None
    assert open_anchors(named.model_copy(update={"secret_key": None})) is None


ADD_EVENT = (
    "INSERT INTO task_events (task_id, pool_id, event, from_status, to_status, actor)"
    " VALUES ($1, $2, 'start', 'assigned', 'in_progress', 'anna')"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE task_events SET actor = 'somebody else'",
        "UPDATE task_events SET at = now()",
        "DELETE FROM task_events",
        "TRUNCATE task_events",
        "DELETE FROM task_events WHERE id > 0",
        "SET LOCAL app.erasing = 'on'; UPDATE task_events SET reason = 'another'",
        "SET LOCAL app.erasing = 'on'; DELETE FROM task_events",
    ],
)
async def test_nobody_changes_or_removes_a_step_of_a_task_that_lives(house: House, statement: str) -> None:
    await house.database.hot.execute(ADD_EVENT, house.mine.ids["task_id"], house.mine.pool_id)
    async with owner_of(house.settings) as connection:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            async with connection.transaction():
                await connection.execute(statement)
    async with house.database.hot.acquire() as connection:
        with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
            async with connection.transaction():
                await connection.execute(statement)


async def test_what_ended_may_go_and_a_persons_name_may_be_erased(house: House, figure: Figure) -> None:
    task_id = house.mine.ids["task_id"]
    await house.database.hot.execute(ADD_EVENT, task_id, house.mine.pool_id)
    async with house.database.hot.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL app.erasing = 'on'")
        await connection.execute("UPDATE task_events SET actor = 'erased user'")
    await house.database.hot.execute("UPDATE tasks SET status = 'completed' WHERE id = $1", task_id)
    await house.database.hot.execute("DELETE FROM task_events WHERE task_id = $1", task_id)
    figure("ways to change a task's history, all refused", 7)


async def test_webhooks_are_audited_without_their_secret(house: House) -> None:
    lead = await house.as_role("lead")
    body = {"pool_id": house.mine.pool_id, "url": "https://1.1.1.1/hook"}
    made = await house.client.post("/v1/webhooks", json=body, headers=lead)
    assert made.status_code == 201, made.text
    gone = await house.client.delete(f"/v1/webhooks/{made.json()['webhook_id']}", headers=lead)
    assert gone.status_code == 204
    noted = await house.database.hot.fetch("SELECT * FROM audit_log WHERE entity = 'webhooks' ORDER BY id")
    assert [entry["action"] for entry in noted] == ["created", "changed"]
    assert (noted[0]["after"]["url"], noted[0]["after"]["secret"]) == ("https://1.1.1.1/hook", "hidden")
    assert noted[0]["pool_id"] == house.mine.pool_id
    assert made.json()["secret"] not in str([dict(entry) for entry in noted])
