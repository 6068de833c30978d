"""Without credentials: the local administrator from this machine, to this machine, directly; nobody otherwise."""

import os
import select
import socket

import httpx
import pytest
from asgi_lifespan import LifespanManager
from pydantic import SecretStr

from app.api.edge import local_only
from app.config import Settings
from app.database import Database
from app.main import create_app
from tests.access.conftest import SECRET
from tests.builders import add_pool

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested


async def answer(
    settings: Settings,
    *,
    headers: dict[str, str] | None = None,
    peer: str = "127.0.0.1",
    base: str = "http://127.0.0.1:8000",
) -> httpx.Response:
    async with LifespanManager(create_app(settings)) as manager:
        transport = httpx.ASGITransport(manager.app, client=(peer, 40000))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.get("/v1/pools", headers=headers)


@pytest.fixture
async def local(settings: Settings, database: Database) -> Settings:
    await add_pool(database)
    return settings


def secret(settings: Settings) -> Settings:
    return settings.model_copy(update={"secret_key": SecretStr(SECRET)})


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.1.2.3"])
async def test_a_direct_request_from_here_is_the_local_admins(local: Settings, host: str) -> None:
    assert (await answer(local, headers={"Host": host})).status_code == 200


async def test_a_page_of_the_api_itself_is_direct(local: Settings) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert (await answer(local, headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-Forwarded-For": "127.0.0.1"}, "proxy"),
        ({"X-Forwarded-Proto": "https"}, "proxy"),
        ({"Forwarded": "for=127.0.0.1"}, "proxy"),
        ({"X-Real-IP": "127.0.0.1"}, "proxy"),
        ({"Via": "1.1 nginx"}, "proxy"),
        ({"Host": "rebound.example"}, "Host"),
        ({"Host": "127.0.0.1.evil.example"}, "Host"),
        ({"Host": "localhost@evil.example"}, "Host"),
        ({"Host": "["}, "Host"),
        ({"Host": ""}, "Host"),
        ({"Origin": "https://evil.example"}, "Origin"),
        ({"Origin": "http://127.0.0.1:9999"}, "Origin"),
        ({"Origin": "null"}, "Origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
    ],
)
async def test_a_proxy_a_rebound_name_or_a_foreign_page_ends_it(
    local: Settings, headers: dict[str, str], reason: str
) -> None:
    refused = await answer(local, headers=headers)
    assert refused.status_code == 401
    assert reason in refused.json()["detail"]


async def test_another_machine_is_nobody(local: Settings) -> None:
    for peer in ("192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "fe80::1%eth0"):
        assert (await answer(local, peer=peer)).status_code == 401
    mapped = await answer(local, peer="::ffff:127.0.0.1")
    assert mapped.status_code == 200


async def test_a_server_address_that_others_reach_ends_it(local: Settings) -> None:
    reached = {"base": "http://192.0.2.1:8000", "headers": {"Host": "localhost"}}
    assert (await answer(secret(local), **reached)).status_code == 401
    unsafe = await answer(local, **reached)
    assert (unsafe.status_code, "SECRET_KEY" in unsafe.json()["detail"]) == (503, True)


async def test_a_socket_open_to_others_ends_it_even_when_reached_from_here(local: Settings) -> None:
    with socket.create_server((EVERYWHERE, 0)) as listener:
        port = listener.getsockname()[1]
        assert (EVERYWHERE, port) in local_only.listening_addresses()
        refused = await answer(secret(local), base=f"http://127.0.0.1:{port}")
    assert refused.status_code == 401
    assert "other machines" in refused.json()["detail"]


def test_looking_for_sockets_leaves_no_descriptor_open() -> None:
    # A copy of the pipe by which a server is told to stop once kept it running for good.
    reader, writer = os.pipe()
    local_only.listening_addresses()
    os.close(writer)
    assert select.select([reader], [], [], 10)[0]
    os.close(reader)


async def test_auth_required_ends_it(local: Settings) -> None:
    refused = await answer(local.model_copy(update={"auth_required": True}))
    assert refused.status_code == 401
    assert "AUTH_REQUIRED" in refused.json()["detail"]


async def test_wrong_credentials_are_refused_where_none_would_do(local: Settings) -> None:
    for wrong in ("Bearer nonsense", "Basic YWRtaW46YWRtaW4=", "Bearer", "bearer  "):
        assert (await answer(local, headers={"Authorization": wrong})).status_code == 401
    assert (await answer(local, headers={"X-API-Key": "ebk_0_0"})).status_code == 401
