"""A person's data are handed out whole and erased without a trace, while everything still adds up."""

from app.services.audit.audit_log import verify
from tests.access.conftest import House

NAME = "Аделаида Вермишелева"
USERNAME = "adelaida.vermisheleva"


async def everything(house: House) -> str:
    """All that the database holds, as text."""
    tables = await house.database.hot.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    parts = [
        await house.database.hot.fetchval(
            f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {row['relname']} t"
        )
        for row in tables
    ]
    return " ".join(parts)


async def a_known_person(house: House, headers: dict[str, str]) -> int:
    executor_id = house.mine.ids["executor_id"]
    person = {"name": NAME, "external_id": f"x {NAME}", "parameters": {"phone": NAME}}
    assert (await house.client.patch(f"/v1/executors/{executor_id}", json=person, headers=headers)).is_success
    await house.database.hot.execute(
        "INSERT INTO executor_absences (executor_id, starts_at, ends_at, reason)"
        " VALUES ($1, now(), now() + interval '1 day', $2)",
        executor_id,
        f"{NAME} is ill",
    )
    user = {
        "username": USERNAME,
        "password": "a password nobody has",
        "role": "executor",
        "executor_id": executor_id,
    }
    assert (await house.client.post("/v1/users", json=user, headers=headers)).status_code == 201
    return executor_id


async def test_a_person_is_handed_out_whole_and_erased_without_a_trace(house: House) -> None:
    admin = await house.as_role("admin")
    executor_id = await a_known_person(house, admin)
    whole = (await house.client.get(f"/v1/privacy/executors/{executor_id}", headers=admin)).json()
    assert whole["executor"][0]["name"] == NAME
    assert whole["accounts"][0]["username"] == USERNAME
    assert whole["absences"][0]["reason"] == f"{NAME} is ill"
    assert any(entry["after"] and entry["after"].get("name") == NAME for entry in whole["audit"])
    assert "argon2" not in str(whole)
    before = (await verify(house.database.hot)).entries
    for _ in range(2):
        erased = await house.client.post(f"/v1/privacy/executors/{executor_id}/erase", headers=admin)
        assert erased.status_code == 204
    left = await everything(house)
    assert NAME not in left
    assert USERNAME not in left
    log = (await house.client.get("/v1/audit", params={"limit": 1000}, headers=admin)).json()["items"]
    assert NAME not in str(log)
    assert USERNAME not in str(log)
    of_person = [
        each for each in log if (each["entity"], each["entity_id"]) == ("executors", str(executor_id))
    ]
    assert {each["name"] for each in of_person} == {f"erased {executor_id}"}
    proof = await verify(house.database.hot)
    assert (proof.holds, proof.erased > 0, proof.entries > before) == (True, True, True)
    task = await house.client.get(f"/v1/tasks/{house.mine.ids['task_id']}", headers=admin)
    assert task.json()["executor_id"] == executor_id


async def test_whoever_has_open_work_is_not_erased(house: House) -> None:
    admin = await house.as_role("admin")
    executor_id = house.mine.ids["executor_id"]
    await house.database.hot.execute(
        "UPDATE executor_loads SET open_count = 1 WHERE executor_id = $1", executor_id
    )
    refused = await house.client.post(f"/v1/privacy/executors/{executor_id}/erase", headers=admin)
    assert (refused.status_code, refused.json()["open_count"]) == (409, 1)
    assert (await house.client.post("/v1/privacy/executors/999999/erase", headers=admin)).status_code == 404
