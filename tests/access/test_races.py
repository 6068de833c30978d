"""Races on limits and roles: many at once gain nothing, and rights that were taken are gone, at once or in a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Self

import httpx
import pytest

from app.services.accounts.callers import Callers
from app.services.accounts.password_sign_in import FREE_FAILURES
from tests.access.conftest import House
from tests.access.test_signing_in import add_user, bearer, refresh, sign_in
from tests.api.conftest import client_of
from tests.conftest import Figure

pytestmark = pytest.mark.slow
PATIENCE = 60.0
AT_ONCE = 8
Ask = Callable[[], Coroutine[Any, Any, httpx.Response]]


@pytest.fixture
async def elsewhere(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Another process's API on the same database: it hears of changes only by looking."""
    async with client_of(house.settings) as client:
        yield client


async def test_wrong_passwords_at_once_are_all_counted_and_lock_the_name(
    house: House, figure: Figure
) -> None:
    rounds = 1
    for number in range(rounds):
        name = f"anna {number}"
        await add_user(house, name)
        answers = await asyncio.gather(*(sign_in(house, name, "wrong password") for _ in range(AT_ONCE)))
        assert {answer.status_code for answer in answers} == {401}
        row = await house.database.hot.fetchrow(
            "SELECT failed_logins, locked_until > now() AS locked FROM users WHERE username = $1", name
        )
        assert (row["failed_logins"], row["locked"]) == (AT_ONCE, True)
        assert AT_ONCE > FREE_FAILURES
        assert (await sign_in(house, name)).status_code == 401
    figure("wrong passwords at once, none uncounted", rounds * AT_ONCE)


async def test_no_more_tries_pass_at_once_than_one_after_the_other(house: House, figure: Figure) -> None:
    limited = house.settings.model_copy(update={"sign_in_failures": 5})
    async with client_of(limited) as client:
        body = {"refresh_token": "x" * 43}
        answers = await asyncio.gather(*(client.post("/v1/auth/refresh", json=body) for _ in range(40)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert 5 <= statuses.count(401) <= 10  # the bucket fills again while a slow machine works
    figure("tries at once against a limit of 5 a minute", len(statuses))


async def test_of_many_uses_of_a_refresh_token_one_wins_and_then_the_family_ends(
    house: House, elsewhere: httpx.AsyncClient, figure: Figure
) -> None:
    rounds = 3  # 30 failures a minute are taken from an address
    for number in range(rounds):
        await add_user(house, f"anna {number}")
        first = (await sign_in(house, f"anna {number}")).json()
        body = {"refresh_token": first["refresh_token"]}
        answers = await asyncio.gather(
            *(
                client.post("/v1/auth/refresh", json=body)
                for client in (house.client, elsewhere)
                for _ in range(AT_ONCE // 2)
            )
        )
        won = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(won) == 1
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * (AT_ONCE - 1)
        assert (
            await refresh(house, won[0]["refresh_token"])
        ).status_code == 401  # the thief's or ours: it ended
        alive = await house.database.hot.fetchval(
            "SELECT count(*) FROM refresh_tokens JOIN users ON users.id = user_id"
            " WHERE username = $1 AND revoked_at IS NULL",
            f"anna {number}",
        )
        assert alive == 0
    figure("uses of refresh tokens at once, one winner each", rounds * AT_ONCE)


async def test_two_admins_who_demote_each_other_leave_one(
    house: House, elsewhere: httpx.AsyncClient, figure: Figure
) -> None:
    rounds = 10
    fetch = house.database.hot.fetchval
    for number in range(rounds):
        await house.database.hot.execute("UPDATE users SET active = false")
        ids = [await add_user(house, f"{name} {number}", "admin") for name in ("one", "two")]
        one, two = (house.token(user_id) for user_id in ids)
        answers = await asyncio.gather(
            house.client.patch(f"/v1/users/{ids[1]}", json={"role": "viewer"}, headers=one),
            elsewhere.patch(f"/v1/users/{ids[0]}", json={"active": False}, headers=two),
        )
        assert await fetch("SELECT count(*) FROM users WHERE role = 'admin' AND active") == 1
        assert min(answer.status_code for answer in answers) == 200
        assert all(answer.status_code < 500 for answer in answers)
    figure("pairs of admins who demoted each other at once", rounds)


async def test_of_edits_of_the_same_version_at_once_one_wins(
    house: House, elsewhere: httpx.AsyncClient, figure: Figure
) -> None:
    lead = await house.as_role("lead")
    path, rounds = f"/v1/executors/{house.mine.ids['executor_id']}", 10
    for number in range(rounds):
        tag = (await house.client.get(path, headers=lead)).headers["etag"]
        answers = await asyncio.gather(
            *(
                client.patch(path, json={"name": f"{number} {index}"}, headers=lead | {"If-Match": tag})
                for index in range(AT_ONCE // 2)
                for client in (house.client, elsewhere)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (AT_ONCE - 1)
        [won] = [answer.json()["name"] for answer in answers if answer.status_code == 200]
        assert (await house.client.get(path, headers=lead)).json()["name"] == won
    figure("edits of one version at once, one winner each", rounds * AT_ONCE)


async def whoever(house: House, kind: str) -> tuple[dict[str, str], str]:
    """Somebody's headers, and the statement-free path by which an admin takes their right."""
    if kind == "key":
        key = {"name": "k", "scopes": ["pools.read"], "role": "integration"}
        made = await house.client.post("/v1/api-keys", json=key, headers=await house.as_role("admin"))
        return {"X-API-Key": made.json()["key"]}, f"/v1/api-keys/{made.json()['api_key_id']}"
    user_id = await add_user(house)
    return bearer((await sign_in(house)).json()), f"/v1/users/{user_id}"


@pytest.mark.parametrize(
    ("kind", "change"),
    [("role", {"role": "viewer"}), ("pools", {"pool_ids": []}), ("user", {"active": False}), ("key", None)],
)
async def test_a_right_that_was_taken_is_gone_here_at_once_and_elsewhere_in_a_second(
    house: House, elsewhere: httpx.AsyncClient, figure: Figure, kind: str, change: dict[str, Any] | None
) -> None:
    admin = await house.as_role("admin")
    headers, path = await whoever(house, kind)
    asked: list[tuple[httpx.AsyncClient, float, int]] = []
    over = asyncio.Event()

    async def keep_asking(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            began = time.monotonic()
            answer = await client.get("/v1/pools", headers=headers)
            asked.append((client, began, answer.status_code))

    async def both_refuse(after: float) -> bool:
        return all(
            any(each is client and began > after and status == 401 for each, began, status in asked)
            for client in (house.client, elsewhere)
        )

    async with asyncio.TaskGroup() as group:
        for client in (house.client, elsewhere):
            for _ in range(3):
                group.create_task(keep_asking(client))
        while not {house.client, elsewhere} <= {  # noqa: ASYNC110
            client for client, _, status in asked if status == 200
        }:
            await asyncio.sleep(0.01)
        taken = await (
            house.client.delete(path, headers=admin)
            if change is None
            else house.client.patch(path, json=change, headers=admin)
        )
        answered = time.monotonic()
        assert taken.is_success, taken.text
        deadline = answered + PATIENCE
        while not await both_refuse(answered) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        over.set()
    here = [status for client, began, status in asked if client is house.client and began > answered]
    there = [(began, status) for client, began, status in asked if client is elsewhere and began > answered]
    assert here and set(here) == {401}  # in the process that did it no later request passes
    late = [began - answered for began, status in there if status == 200]
    refused_since = min(began for began, status in there if status == 401)
    assert all(began < refused_since or status == 401 for began, status in there)  # and it does not come back
    figure("requests while a right was taken", len(asked))
    figure("seconds for which another process still let somebody in", max(late, default=0.0))


async def test_what_is_being_looked_up_while_a_right_is_taken_is_not_remembered(house: House) -> None:
    """A look that began before the change and ends after it must not bring the old right back for a second."""
    user_id = await add_user(house)
    credentials = bearer((await sign_in(house)).json())["Authorization"].removeprefix("Bearer ")
    reached, go_on = asyncio.Event(), asyncio.Event()

    class SlowPool:
        """The pool, whose answers are held back on the way."""

        def acquire(self) -> Any:
            return _Held(house, reached, go_on)

    callers = Callers(SlowPool(), house.settings.key_ring())
    looking = asyncio.create_task(callers.find(credentials))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    await house.database.hot.execute("UPDATE users SET active = false WHERE id = $1", user_id)
    callers.forget()
    go_on.set()
    assert (await looking).name == "anna"  # it was right when it was asked
    go_on.clear()
    reached.clear()
    again = asyncio.create_task(callers.find(credentials))
    asked_anew = asyncio.create_task(reached.wait())
    await asyncio.wait({again, asked_anew}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    assert reached.is_set(), "the old answer was remembered"
    go_on.set()
    with pytest.raises(Exception, match="revoked"):
        await again


class _Held:
    def __init__(self, house: House, reached: asyncio.Event, go_on: asyncio.Event) -> None:
        self._house, self._reached, self._go_on = house, reached, go_on

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def fetchrow(self, statement: str, *values: object) -> Any:
        row = await self._house.database.hot.fetchrow(statement, *values)
        self._reached.set()
        await self._go_on.wait()
        return row
