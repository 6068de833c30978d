"""Signing in: once with a password, then by a chain of refresh tokens; failures tell nothing and are few."""

import asyncio
from typing import Any

import httpx
import pytest

from app.access.keys import hash_password
from app.errors import Overloaded
from app.services.accounts.passwords import Passwords
from app.services.accounts.throttle import Throttle
from tests.access.conftest import House
from tests.access.test_tokens import becomes

PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD)


async def add_user(house: House, name: str = "anna", role: str = "lead") -> int:
    return await house.database.hot.fetchval(
        "INSERT INTO users (username, password_hash, role, pool_ids) VALUES ($1, $2, $3, $4) RETURNING id",
        name,
        HASH,
        role,
        None if role == "admin" else [house.mine.pool_id],
    )


async def sign_in(house: House, name: str = "anna", password: str = PASSWORD) -> httpx.Response:
    return await house.client.post("/v1/auth/token", json={"username": name, "password": password})


async def refresh(house: House, token: str) -> httpx.Response:
    return await house.client.post("/v1/auth/refresh", json={"refresh_token": token})


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_a_password_opens_the_door_and_me_says_who_came_in(house: House) -> None:
    await add_user(house)
    tokens = (await sign_in(house)).json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    me = (await house.client.get("/v1/auth/me", headers=bearer(tokens))).json()
    assert (me["name"], me["role"], me["pool_ids"], me["local"]) == (
        "anna",
        "lead",
        [house.mine.pool_id],
        False,
    )
    assert "rules.manage" in me["actions"]
    assert "users.manage" not in me["actions"]


async def test_every_failure_is_answered_alike(house: House) -> None:
    await add_user(house)
    await add_user(house, "gone")
    await house.database.hot.execute("UPDATE users SET active = false WHERE username = 'gone'")
    answers = [
        await sign_in(house, "anna", "wrong password"),
        await sign_in(house, "nobody", PASSWORD),
        await sign_in(house, "gone", PASSWORD),
    ]
    await house.database.hot.execute("UPDATE users SET locked_until = now() + interval '1 hour'")
    answers.append(await sign_in(house))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_a_name_is_locked_after_some_failures_and_opens_again(house: House) -> None:
    await add_user(house)
    for _ in range(5):
        assert (await sign_in(house, password="wrong password")).status_code == 401
    assert (await sign_in(house)).status_code == 401
    await house.database.hot.execute("UPDATE users SET locked_until = now() - interval '1 second'")
    assert (await sign_in(house)).status_code == 200
    assert await house.database.hot.fetchval("SELECT failed_logins FROM users WHERE username = 'anna'") == 0


async def test_a_refresh_token_works_once_and_its_second_use_ends_the_family(house: House) -> None:
    await add_user(house)
    first = (await sign_in(house)).json()
    second = (await refresh(house, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    third = (await refresh(house, second["refresh_token"])).json()
    assert (await house.client.get("/v1/pools", headers=bearer(third))).status_code == 200
    assert (await refresh(house, first["refresh_token"])).status_code == 401  # stolen: comes again
    assert (await refresh(house, third["refresh_token"])).status_code == 401
    assert await becomes(house, bearer(third), 401)
    noted = await house.database.hot.fetch("SELECT action FROM audit_log WHERE entity = 'users'")
    assert "token_reused" in {row["action"] for row in noted}


async def test_one_refresh_token_used_twice_at_once_gives_one_chain_at_most(house: House) -> None:
    await add_user(house)
    first = (await sign_in(house)).json()
    answers = await asyncio.gather(*(refresh(house, first["refresh_token"]) for _ in range(8)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) <= 1
    for tokens in good:
        assert (await refresh(house, tokens["refresh_token"])).status_code == 401


async def test_signing_out_ends_access_at_once_and_twice_is_no_error(house: House) -> None:
    await add_user(house)
    tokens = (await sign_in(house)).json()
    for _ in range(2):
        gone = await house.client.post("/v1/auth/logout", json={"refresh_token": tokens["refresh_token"]})
        assert gone.status_code == 204
    assert (await house.client.get("/v1/pools", headers=bearer(tokens))).status_code == 401
    assert (await refresh(house, tokens["refresh_token"])).status_code == 401


async def test_a_changed_role_counts_with_the_next_request(house: House) -> None:
    user_id = await add_user(house)
    tokens = (await sign_in(house)).json()
    admin = await house.as_role("admin")
    changed = await house.client.patch(f"/v1/users/{user_id}", json={"role": "viewer"}, headers=admin)
    assert changed.json()["role"] == "viewer"
    assert (await house.client.get("/v1/pools", headers=bearer(tokens))).status_code == 401
    again = bearer((await sign_in(house)).json())
    refused = await house.client.post("/v1/rules/validate", json={"rules": {}}, headers=again)
    assert refused.status_code == 200
    refused = await house.client.post("/v1/rules", json={"name": "r", "rules": {}}, headers=again)
    assert refused.status_code == 403


async def test_ones_own_password_changes_only_with_the_old_one(house: House) -> None:
    await add_user(house)
    tokens = (await sign_in(house)).json()
    ask = {"old_password": "wrong", "new_password": "another long sentence"}
    assert (await house.client.post("/v1/auth/password", json=ask, headers=bearer(tokens))).status_code == 422
    ask["old_password"] = PASSWORD
    assert (await house.client.post("/v1/auth/password", json=ask, headers=bearer(tokens))).status_code == 204
    assert (await house.client.get("/v1/pools", headers=bearer(tokens))).status_code == 401
    assert (await sign_in(house)).status_code == 401
    assert (await sign_in(house, password="another long sentence")).status_code == 200


@pytest.mark.parametrize(
    "weak", ["tiny word", "password12345!!", "anna anna anna", "aaaaaaaaaaaaaaaa", "a" * 201]
)
async def test_a_weak_password_is_refused_with_the_reason(house: House, weak: str) -> None:
    admin = await house.as_role("admin")
    body = {"username": "anna", "password": weak, "role": "viewer"}
    refused = await house.client.post("/v1/users", json=body, headers=admin)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "password"
    assert weak not in refused.text


async def test_admins_who_demote_each_other_at_once_leave_one(house: House) -> None:
    ids = [await add_user(house, name, "admin") for name in ("one", "two")]
    admin = house.token(ids[0])
    answers = await asyncio.gather(
        *(house.client.patch(f"/v1/users/{each}", json={"active": False}, headers=admin) for each in ids)
    )
    assert min(answer.status_code for answer in answers) == 200
    assert (
        await house.database.hot.fetchval("SELECT count(*) FROM users WHERE role = 'admin' AND active") >= 1
    )


async def test_an_executor_is_somebody_and_sees_their_pool(house: House) -> None:
    admin = await house.as_role("admin")
    body = {"username": "boris", "password": PASSWORD, "role": "executor"}
    assert (await house.client.post("/v1/users", json=body, headers=admin)).status_code == 422
    body["executor_id"] = house.mine.ids["executor_id"]
    made = await house.client.post("/v1/users", json=body, headers=admin)
    assert made.json()["pool_ids"] == [house.mine.pool_id]
    assert (await house.client.post("/v1/users", json=body, headers=admin)).status_code == 409
    assert (
        await house.client.patch(
            f"/v1/users/{made.json()['user_id']}", json={"pool_ids": [999]}, headers=admin
        )
    ).json()["pool_ids"] == [house.mine.pool_id]


async def test_an_executor_who_was_removed_opens_nothing_with_their_account(house: House) -> None:
    admin, executor_id = await house.as_role("admin"), house.mine.ids["executor_id"]
    body = {"username": "boris", "password": PASSWORD, "role": "executor", "executor_id": executor_id}
    assert (await house.client.post("/v1/users", json=body, headers=admin)).status_code == 201
    tokens = (await sign_in(house, "boris")).json()
    place = f"/v1/executors/{executor_id}"
    assert (await house.client.delete(place, headers=admin)).status_code == 204
    assert await becomes(house, bearer(tokens), 401)
    task = house.mine.ids["task_id"]
    completed = await house.client.post(f"/v1/tasks/{task}/complete", json={}, headers=bearer(tokens))
    assert completed.status_code == 401
    assert (await refresh(house, tokens["refresh_token"])).status_code == 401
    assert (await sign_in(house, "boris")).status_code == 401
    assert (await house.client.patch(place, json={"active": True}, headers=admin)).status_code == 200
    assert (await sign_in(house, "boris")).status_code == 200


async def test_an_api_key_is_shown_once_and_ends_when_told(house: House) -> None:
    admin = await house.as_role("admin")
    body = {"name": "CRM", "scopes": ["pools.read"], "pool_ids": [house.mine.pool_id]}
    made = (await house.client.post("/v1/api-keys", json=body, headers=admin)).json()
    key = {"X-API-Key": made["key"]}
    assert [
        pool["pool_id"] for pool in (await house.client.get("/v1/pools", headers=key)).json()["items"]
    ] == [house.mine.pool_id]
    listed = await house.client.get("/v1/api-keys", headers=admin)
    assert made["key"] not in listed.text
    assert made["prefix"] in listed.text
    ended = await house.client.delete(f"/v1/api-keys/{made['api_key_id']}", headers=admin)
    assert ended.status_code == 204
    assert (await house.client.get("/v1/pools", headers=key)).status_code == 401
    for wrong in ({"scopes": ["users.manage"]}, {"scopes": []}, {"role": "admin"}, {"pool_ids": [999_999]}):
        assert (await house.client.post("/v1/api-keys", json=body | wrong, headers=admin)).status_code == 422


async def test_an_address_that_fails_too_often_is_told_to_come_back(house: House) -> None:
    for number in range(3000):  # tries come back with time: slow ones meet the limit later
        answer = await house.client.post("/v1/auth/refresh", json={"refresh_token": f"guess{number}"})
        if answer.status_code != 401:
            break
    assert number >= house.settings.sign_in_failures
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_tries_come_back_with_time_and_the_memory_is_bounded() -> None:
    throttle = Throttle(burst=2, per_minute=60, most=100)
    throttle.take("a", 0)
    throttle.take("a", 0)
    with pytest.raises(Overloaded):
        throttle.take("a", 0.5)
    throttle.take("a", 2.0)
    for number in range(1000):
        throttle.take(str(number), 3.0)
    assert len(throttle) == 100


async def test_a_flood_of_checks_waits_in_a_bounded_queue() -> None:
    passwords = Passwords()
    outcomes = await asyncio.gather(
        *(passwords.check("wrong", None) for _ in range(60)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    assert len(refused) == 10
    assert all(outcome is False or isinstance(outcome, Overloaded) for outcome in outcomes)


@pytest.mark.parametrize("role", ["viewer", "lead", "admin", "executor"])
async def test_a_user_of_any_role_is_nobody_who_does_not_exist(house: House, role: str) -> None:
    admin = await house.as_role("admin")
    body = {"username": f"a {role}", "password": PASSWORD, "role": role, "executor_id": 999_999}
    made = await house.client.post("/v1/users", json=body, headers=admin)
    changed = await house.client.patch(
        f"/v1/users/{await add_user(house)}", json={"role": role, "executor_id": 999_999}, headers=admin
    )
    for refused in (made, changed):
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "executor_id"


DEVICE, STRANGERS = "the-browser-that-anna-has-used", "a-browser-nobody-ever-used-here"


async def sign_in_from(house: House, device: str, password: str = PASSWORD) -> int:
    body = {"username": "anna", "password": password, "device": device}
    return (await house.client.post("/v1/auth/token", json=body)).status_code


async def test_wrong_tries_of_strangers_lock_out_no_device_that_signed_in_before(house: House) -> None:
    await add_user(house)
    assert await sign_in_from(house, DEVICE) == 200
    for _ in range(8):
        assert await sign_in_from(house, STRANGERS, "wrong password") == 401
    assert (await sign_in(house)).status_code == 401, "the name is locked"
    assert await sign_in_from(house, STRANGERS) == 401
    assert await sign_in_from(house, DEVICE) == 200
    assert (await sign_in(house)).status_code == 401, "and stays so for others"
    assert await house.database.hot.fetchval("SELECT locked_until > now() FROM users WHERE username = 'anna'")


async def test_a_known_device_is_known_for_its_own_user_and_has_few_tries(house: House) -> None:
    await add_user(house)
    await add_user(house, "boris")
    assert await sign_in_from(house, DEVICE) == 200
    for _ in range(6):
        body = {"username": "boris", "password": "wrong password", "device": DEVICE}
        assert (await house.client.post("/v1/auth/token", json=body)).status_code == 401
    assert (await sign_in(house, "boris")).status_code == 401, "locked: it never was a device of this name"
    statuses = [await sign_in_from(house, DEVICE, "wrong password") for _ in range(12)]
    assert statuses.count(429) >= 1 and set(statuses) == {401, 429}
    failed = await house.database.hot.fetchval("SELECT failed_logins FROM users WHERE username = 'anna'")
    assert failed == 0, "its wrong tries lock nobody"


async def test_a_device_stays_known_along_the_chain_and_after_signing_out(house: House) -> None:
    await add_user(house)
    body = {"username": "anna", "password": PASSWORD, "device": DEVICE}
    first = (await house.client.post("/v1/auth/token", json=body)).json()
    second = (await refresh(house, first["refresh_token"])).json()
    await house.client.post("/v1/auth/logout", json={"refresh_token": second["refresh_token"]})
    await house.database.hot.execute("UPDATE users SET locked_until = now() + interval '1 hour'")
    assert (await sign_in(house)).status_code == 401
    assert await sign_in_from(house, DEVICE) == 200
    kept = await house.database.hot.fetch("SELECT device_hash FROM refresh_tokens")
    assert all(DEVICE.encode() not in row["device_hash"] for row in kept)
