"""The audit log: every change with who, when, where, before and after; append-only, chained, provable, exportable."""

import asyncio
import itertools
import json
from typing import Any

import asyncpg
import pytest

from app.commands.doctor import newest_schema
from app.services.audit.audit_log import verify
from app.services.audit.doctor import State, examine
from tests.access.conftest import House
from tests.servers import owner_of


async def entries(house: House, entity: str) -> list[asyncpg.Record]:
    return await house.database.hot.fetch("SELECT * FROM audit_log WHERE entity = $1 ORDER BY id", entity)


async def test_a_change_is_noted_with_who_where_before_and_after(house: House) -> None:
    headers = await house.as_role("lead") | {"X-Request-ID": "trace-7"}
    pool_id = house.mine.pool_id
    changed = await house.client.patch(f"/v1/pools/{pool_id}", json={"theta": 0.5}, headers=headers)
    assert changed.status_code == 200
    last = (await entries(house, "pools"))[-1]
    assert (last["action"], last["entity_id"], last["pool_id"]) == ("changed", str(pool_id), pool_id)
    assert (last["before"], last["after"]) == ({"theta": 0.05}, {"theta": 0.5})
    assert last["actor"].startswith("lead ")
    assert (last["request_id"], last["address"]) == ("trace-7", "127.0.0.1")


async def test_what_changed_without_the_api_is_noted_too(house: House) -> None:
    await house.database.hot.execute("DELETE FROM parameters WHERE id = $1", house.mine.ids["parameter_id"])
    last = (await entries(house, "parameters"))[-1]
    assert (last["actor"], last["action"], last["after"]) == ("system", "deleted", None)
    assert last["before"]["label_ru"] == "of mine"


async def test_secrets_are_not_written_down(house: House) -> None:
    admin = await house.as_role("admin")
    user = {"username": "anna", "password": "correct horse battery"}
    made = (await house.client.post("/v1/users", json=user, headers=admin)).json()
    await house.client.patch(
        f"/v1/users/{made['user_id']}", json={"password": "another long sentence"}, headers=admin
    )
    key = await house.client.post("/v1/api-keys", json={"name": "k", "scopes": ["pools.read"]}, headers=admin)
    assert key.status_code == 201
    noted = [entry for entity in ("users", "api_keys") for entry in await entries(house, entity)]
    texts = [f"{entry['before']} {entry['after']}" for entry in noted]
    assert len(texts) >= 3
    assert not any("$argon2" in text or "\\x" in text for text in texts)
    changes = [entry["after"] for entry in noted if entry["action"] == "changed"]
    assert {"password_hash": "hidden"} in [
        {"password_hash": change.get("password_hash")} for change in changes
    ]


async def listed(house: House, headers: dict[str, str], **query: str) -> list[dict[str, Any]]:
    answer = await house.client.get("/v1/audit", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_an_entry_that_keeps_only_what_changed_names_its_thing(house: House) -> None:
    admin = await house.as_role("admin")
    ids = house.mine.ids
    for statement in (
        "UPDATE executors SET daily_limit = 9 WHERE id = $1",
        "UPDATE parameters SET position = 7 WHERE id = $1",
        "UPDATE rule_sets SET state = 'archived' WHERE id = $1",
        "UPDATE pools SET theta = 0.5 WHERE id = $1",
    ):
        table = statement.split()[1]
        entity_id = ids[f"{table[:-1]}_id"]
        await house.database.hot.execute(statement, entity_id)
        name = {"parameters": "k", "rule_sets": "of mine · 1", "executors": "of mine"}.get(table)
        name = name or await house.database.hot.fetchval("SELECT name FROM pools WHERE id = $1", entity_id)
        last = (await listed(house, admin, entity=table, entity_id=str(entity_id)))[0]
        assert (last["action"], last["name"]) == ("changed", name)
    await house.database.hot.execute("DELETE FROM parameters WHERE id = $1", ids["parameter_id"])
    named = await listed(house, admin, entity="parameters", entity_id=str(ids["parameter_id"]))
    assert {each["name"] for each in named} == {"k"}, "what is gone is called as it was"


async def test_an_absence_is_called_by_its_person(house: House) -> None:
    await house.database.hot.execute(
        "INSERT INTO executor_absences (executor_id, starts_at, ends_at) VALUES ($1, now(), now() + interval '1 day')",
        house.mine.ids["executor_id"],
    )
    [entry] = await listed(house, await house.as_role("admin"), entity="executor_absences")
    assert entry["name"] == "of mine"


async def test_what_was_rolled_back_is_not_noted(house: House) -> None:
    before = len(await entries(house, "pools"))
    async with house.database.hot.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE pools SET name = 'x'")
        await transaction.rollback()
    assert len(await entries(house, "pools")) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody else'",
        "UPDATE audit_log SET after = '{}'",
        "UPDATE audit_log SET before = NULL, after = NULL, salt = NULL, erased_at = now(), action = 'read'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE audit_log CASCADE",
    ],
)
async def test_nobody_changes_an_entry(house: House, statement: str) -> None:
    async with owner_of(house.settings) as connection:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute(statement)
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.InsufficientPrivilegeError)):
        await house.database.hot.execute(statement)


async def test_writers_at_once_make_one_chain(house: House) -> None:
    async def rename(number: int) -> None:
        await house.database.hot.execute(
            "UPDATE pools SET name = $1 WHERE id = $2",
            f"name {number}",
            (house.mine, house.other)[number % 2].pool_id,
        )

    before = (await verify(house.database.hot)).entries
    await asyncio.gather(*(rename(number) for number in range(40)))
    proof = await verify(house.database.hot)
    assert (proof.holds, proof.entries) == (True, before + 40)


TAMPER = {
    "changed": (
        "UPDATE audit_log SET actor = 'nobody' WHERE id = $1",
        "its actor, address or request was changed",
    ),
    "content": ("UPDATE audit_log SET after = '{\"a\": 1}' WHERE id = $1", "before or after"),
    "removed": ("DELETE FROM audit_log WHERE id = $1", "the entry before it"),
}


@pytest.mark.parametrize("kind", TAMPER)
async def test_whoever_forces_their_way_past_the_trigger_is_found_out(house: House, kind: str) -> None:
    statement, reason = TAMPER[kind]
    victim = await house.database.hot.fetchval("SELECT id FROM audit_log ORDER BY id OFFSET 2 LIMIT 1")
    async with owner_of(house.settings) as connection, connection.transaction():
        await connection.execute(
            "SET LOCAL session_replication_role = replica"
        )  # a superuser without triggers
        await connection.execute(statement, victim)
    proof = await verify(house.database.hot)
    assert not proof.holds
    symptoms = await examine(house.database.hot, None, schema=newest_schema(), repair=False)
    assert (symptoms[-1].name, symptoms[-1].state) == ("Audit log", State.BROKEN)
    assert reason in proof.reason
    assert proof.broken_at in {victim, victim + 1} or (proof.broken_at or 0) > victim


async def test_it_is_read_paged_narrowed_exported_and_proven_over_http(house: House) -> None:
    admin, lead = await house.as_role("admin"), await house.as_role("lead")
    page = (await house.client.get("/v1/audit", params={"limit": 2}, headers=admin)).json()
    assert len(page["items"]) == 2
    rest = await house.client.get("/v1/audit", params={"cursor": page["next_cursor"]}, headers=admin)
    assert max(item["id"] for item in rest.json()["items"]) < page["items"][-1]["id"]
    seen = (await house.client.get("/v1/audit", headers=lead)).json()["items"]
    assert {item["pool_id"] for item in seen} == {house.mine.pool_id}
    named = await house.client.get("/v1/audit", params={"pool_id": house.other.pool_id}, headers=lead)
    assert named.status_code == 404
    only = await house.client.get("/v1/audit", params={"entity": "users", "action": "created"}, headers=admin)
    assert {(item["entity"], item["action"]) for item in only.json()["items"]} == {("users", "created")}
    lines = (await house.client.get("/v1/audit/export", headers=admin)).text.strip().split("\n")
    rows = [json.loads(line) for line in lines]
    assert all(newer["previous_hash"] == older["hash"] for newer, older in itertools.pairwise(rows))
    proof = (await house.client.get("/v1/audit/proof", headers=admin)).json()
    assert (proof["holds"], proof["entries"], proof["head"]) == (True, len(rows), rows[0]["hash"])
