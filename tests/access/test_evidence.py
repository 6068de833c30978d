"""Evidence that a database's administrator cannot make anew unseen: anchors of the audit log, histories of tasks."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner, Result

from app.access.keys import KeyRing
from app.cli import app
from app.commands.doctor import newest_schema
from app.services.audit.audit_anchors import Anchors, open_anchors
from app.services.audit.audit_log import verify
from app.services.audit.audit_watch import AuditWatch, acknowledge_loss
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
        entry.identity_hash = sha256(
            entry.identity_salt || audit_identity(entry.actor, entry.address, entry.request_id)
        );
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
    assert "lost its beginning" in (await verify(house.database.hot)).reason
    assert (await doctor(house, anchors)).state is State.BROKEN


async def test_an_anchor_that_was_forged_or_damaged_is_no_anchor(house: House, tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    await anchored(house, path, "a secret of somebody else, long enough")
    ours = Anchors(path, KeyRing([SECRET]))
    assert "not sealed" in (await doctor(house, ours)).found
    path = tmp_path / "ours"
    ours = Anchors(path, KeyRing([SECRET]))
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


LOSSES = {
    "emptied whole": "DELETE FROM audit_log",
    "a cut tail": "DELETE FROM audit_log WHERE id > (SELECT min(id) + 2 FROM audit_log)",
    "a cut beginning": "DELETE FROM audit_log WHERE id < (SELECT max(id) FROM audit_log)",
    "a changed entry": "UPDATE audit_log SET entity_id = '0' WHERE id = (SELECT min(id) FROM audit_log)",
    "a changed actor": "UPDATE audit_log SET actor = 'another' WHERE id = (SELECT min(id) FROM audit_log)",
    "an actor and its salt": "UPDATE audit_log SET actor = 'another', identity_salt = NULL WHERE actor = 'system'",
    "a missing file": "SELECT",
}


def shown(kind: str) -> float:
    value = REGISTRY.get_sample_value("audit_log_fault", {"kind": kind})
    assert value is not None
    return value


@pytest.mark.parametrize("loss", LOSSES)
async def test_doctor_and_a_metric_see_each_loss(house: House, tmp_path: Path, loss: str) -> None:
    path = tmp_path / "anchors"
    anchors = await anchored(house, path)
    assert await AuditWatch(house.database.hot, anchors).look() == {}
    assert (shown("chain"), shown("anchors")) == (0, 0)
    await rewrite(house, f"SET LOCAL session_replication_role = replica; {LOSSES[loss]}")
    if loss == "a missing file":
        path.unlink()
    assert (await doctor(house, anchors)).state is State.BROKEN
    watch = AuditWatch(house.database.hot, Anchors(path, KeyRing([SECRET])))
    found = (
        await watch.look() | await watch.look()
    )  # a round over the chain ends in its second look at the latest
    assert found, loss
    assert max(shown("chain"), shown("anchors")) == 1
    assert path.exists() == (loss != "a missing file")  # and no worker begins another file


async def test_a_log_emptied_whole_is_found_without_anchors_also_when_it_grew_again(house: House) -> None:
    await rewrite(house, "SET LOCAL session_replication_role = replica; DELETE FROM audit_log")
    assert "no entry tells of the creation of pool" in (await doctor(house, None)).found
    await house.user("viewer", pools=None)
    assert (await doctor(house, None)).state is State.BROKEN


@pytest.mark.parametrize("loss", ["emptied whole", "a cut tail", "a missing file", "damaged"])
async def test_a_loss_is_acknowledged_once_with_its_reason_and_later_losses_are_found(
    house: House, tmp_path: Path, loss: str
) -> None:
    path, hot = tmp_path / "anchors", house.database.hot
    anchors = await anchored(house, path)
    assert await acknowledge_loss(hot, anchors, actor="anna", reason="none") == ""
    await rewrite(house, f"SET LOCAL session_replication_role = replica; {LOSSES.get(loss, 'SELECT')}")
    if loss == "a missing file":
        path.unlink()
    if loss == "damaged":
        path.write_text("{")
    assert await acknowledge_loss(hot, anchors, actor="anna", reason="failover of 2026-11-30") != ""
    entry = await hot.fetchrow("SELECT actor, after FROM audit_log WHERE action = 'acknowledged'")
    assert (entry["actor"], entry["after"]["reason"]) == ("anna", "failover of 2026-11-30")
    assert (await doctor(house, anchors)).state is State.WELL
    await house.user("viewer", pools=None)
    again = Anchors(path, KeyRing([SECRET]))
    assert await AuditWatch(hot, again).look() == {}
    assert (await doctor(house, again)).state is State.WELL
    await rewrite(
        house,
        "SET LOCAL session_replication_role = replica;"
        "DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)",
    )
    assert (await doctor(house, again)).state is State.BROKEN


async def test_an_entry_changed_inside_the_chain_cannot_be_acknowledged(house: House, tmp_path: Path) -> None:
    anchors = await anchored(house, tmp_path / "anchors")
    await rewrite(house, f"SET LOCAL session_replication_role = replica; {LOSSES['a changed entry']}")
    with pytest.raises(ValueError, match="does not fit"):
        await acknowledge_loss(house.database.hot, anchors, actor="anna", reason="none")


async def test_the_command_acknowledges_and_says_what(house: House, tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    await anchored(house, path)
    path.unlink()
    given = {"DATABASE_URL": house.settings.dsn, "AUDIT_ANCHORS": str(path), "SECRET_KEY": SECRET}

    def command(*words: str) -> Result:
        return CliRunner().invoke(app, ["audit", "acknowledge", *words], env=given)

    assert (await asyncio.to_thread(command, "--reason", " ")).exit_code == 2
    first = await asyncio.to_thread(command, "--reason", "the disk was replaced")
    assert (first.exit_code, "missing" in first.output) == (0, True), first.output
    assert "Nothing to accept" in (await asyncio.to_thread(command, "--reason", "again")).output
    entry = await house.database.hot.fetchrow("SELECT * FROM audit_log WHERE action = 'acknowledged'")
    assert entry["actor"].startswith("command line: ")


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
    async with owner_of(house.settings) as connection, connection.transaction():
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
