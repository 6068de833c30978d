"""Hosts of the API whose clocks are an hour apart serve the same people: they go by the database's clock."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.access.keys import KeyRing
from app.services.common import database_clock
from tests.access.conftest import SECRET, House
from tests.access.test_signing_in import PASSWORD, add_user
from tests.api.conftest import client_of

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("apart", [timedelta(seconds=1), HOUR])
async def test_a_token_of_one_host_is_good_at_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch, apart: timedelta
) -> None:
    await add_user(house)
    async with AsyncExitStack() as running:
        clients: list[httpx.AsyncClient] = []
        for ahead in (apart, -apart, timedelta(0)):
            monkeypatch.setattr(database_clock, "host_time", lambda ahead=ahead: datetime.now(UTC) + ahead)
            clients.append(await running.enter_async_context(client_of(house.settings)))
        for issuer in clients:
            answer = await issuer.post("/v1/auth/token", json={"username": "anna", "password": PASSWORD})
            signed_in = answer.json()
            left = KeyRing([SECRET]).read(signed_in["access_token"]).expires_at - datetime.now(UTC)
            assert timedelta(minutes=10) < left <= timedelta(minutes=15, seconds=5), "by the database's clock"
            for other in clients:
                headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
                assert (await other.get("/v1/auth/me", headers=headers)).status_code == 200
            refreshed = await clients[0].post(
                "/v1/auth/refresh", json={"refresh_token": signed_in["refresh_token"]}
            )
            assert refreshed.status_code == 200


def test_before_the_database_has_answered_it_is_the_hosts_own_clock() -> None:
    assert abs(database_clock.DatabaseClock().now() - datetime.now(UTC)) < timedelta(minutes=1)
