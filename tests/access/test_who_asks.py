"""Whose request it is: the address is the socket's or a configured proxy's word, and tries are counted by it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from app.api.edge import http_protocol
from app.api.edge.client_address import parse_address
from app.config import Settings
from app.errors import Overloaded, Unauthenticated
from app.main import create_app
from app.services.accounts.throttle import Throttle
from tests.access.conftest import House
from tests.access.test_signing_in import PASSWORD, add_user
from tests.lifecycle.conftest import until

LIMIT = 5


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """A real server as `uvicorn app.main:app` is by default: it believes forwarded headers of this machine."""
    config = uvicorn.Config(
        create_app(settings),
        http=http_protocol.BoundedProtocol,
        log_config=None,
        ws="none",
        proxy_headers=True,
        forwarded_allow_ips="*",
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    task = asyncio.create_task(server.serve([listener]))
    host, port = listener.getsockname()
    try:

        async def answers() -> bool:
            async with httpx.AsyncClient() as client:
                try:
                    return (await client.get(f"http://{host}:{port}/v1/health/live")).is_success
                except httpx.TransportError:
                    return False

        await until(answers)
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


async def wrong(client: httpx.AsyncClient, number: int, **headers: str) -> int:
    body = {"username": f"nobody {number}", "password": "wrong password"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await client.post("/v1/auth/token", json=body, headers=named)).status_code


FORGED = ("X_Forwarded_For", "Forwarded", "X_Real_IP", "X_Client_IP", "CF_Connecting_IP", "True_Client_IP")


@pytest.mark.slow
async def test_changing_a_forwarded_header_begins_no_new_limit(house: House) -> None:
    """Before, 60 of 60 wrong passwords passed a limit of 30: the server believed this machine's X-Forwarded-For."""
    settings = house.settings.model_copy(update={"sign_in_failures": LIMIT})
    async with served(settings) as address, httpx.AsyncClient(base_url=address, timeout=60) as client:
        statuses = []
        for number in range(4 * LIMIT):
            name = FORGED[number % len(FORGED)]
            value = f"for=192.0.2.{number}" if name == "Forwarded" else f"192.0.2.{number}"
            statuses.append(await wrong(client, number, **{name: value}))
        assert statuses.count(401) <= LIMIT + 2, statuses  # the bucket fills again while a slow machine works
        assert statuses[:LIMIT] == [401] * LIMIT


async def test_a_configured_proxy_says_whose_request_it_is(house: House) -> None:
    settings = house.settings.model_copy(
        update={"sign_in_failures": LIMIT, "trusted_proxies": "127.0.0.1, 10.0.0.0/8"}
    )
    await add_user(house)
    async with served(settings) as address, httpx.AsyncClient(base_url=address, timeout=60) as client:
        first = [await wrong(client, n, X_Forwarded_For="198.51.100.1") for n in range(LIMIT + 3)]
        assert first.count(429) >= 1
        assert await wrong(client, 50, X_Forwarded_For="198.51.100.2") == 401, "another client"
        hidden = [
            await wrong(client, n, X_Forwarded_For=f"203.0.113.{n}, 198.51.100.1, 10.1.1.1") for n in range(8)
        ]
        assert 429 in hidden, "what the client itself wrote into the header does not count"
        body = {"username": "anna", "password": PASSWORD}
        odd = "203.0.113.9, '; DROP TABLE users\t<script>" + "x" * 3000
        for header in ("198.51.100.77", odd):
            answer = await client.post("/v1/auth/token", json=body, headers={"X-Forwarded-For": header})
            assert answer.status_code == 200, answer.text
        secure = {"X-Forwarded-For": "198.51.100.77", "X-Forwarded-Proto": "https"}
        assert "strict-transport-security" in (await client.get("/v1/health/live", headers=secure)).headers
    noted = await house.database.hot.fetch(
        "SELECT address FROM audit_log WHERE action = 'signed_in' ORDER BY id"
    )
    assert [row["address"] for row in noted] == ["198.51.100.77", "127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", None),
        ("", None),
        ("_hidden", None),
        ("192.0.2.1\n198.51.100.1", None),
        ("0300.0250.1.1", None),
        ("1" * 5000, None),
    ],
)
def test_an_address_is_an_address_or_none(text: str, address: str | None) -> None:
    found = parse_address(text)
    assert (None if found is None else str(found)) == address


async def test_right_sign_ins_at_once_are_no_failed_tries(house: House) -> None:
    await add_user(house)
    settings = house.settings.model_copy(update={"sign_in_failures": 10})
    body = {"username": "anna", "password": PASSWORD}
    async with served(settings) as address, httpx.AsyncClient(base_url=address, timeout=120) as client:
        answers = await asyncio.gather(*(client.post("/v1/auth/token", json=body) for _ in range(20)))
        assert [answer.status_code for answer in answers] == [200] * 20


async def test_sixty_right_tries_at_once_pass_and_of_sixty_wrong_ones_the_limit() -> None:
    throttle = Throttle(burst=30, per_minute=0.001)
    most = under_way = 0

    async def attempt(*, right: bool) -> bool | None:
        nonlocal most, under_way
        try:
            async with throttle.attempt("192.0.2.1"):
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1
                if not right:
                    raise Unauthenticated("wrong")
        except Overloaded:
            return None
        except Unauthenticated:
            return False
        return True

    assert await asyncio.gather(*(attempt(right=True) for _ in range(60))) == [True] * 60
    assert most <= 30
    wrong_ones = await asyncio.gather(*(attempt(right=False) for _ in range(60)))
    assert (wrong_ones.count(False), wrong_ones.count(None)) == (30, 30)


@pytest.mark.slow
async def test_silent_connections_are_few_for_an_address(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,050 silent ones once starved everybody for 14 s: beyond the bound they are let go after a second."""
    monkeypatch.setattr(http_protocol, "MOST_SILENT", 5)
    monkeypatch.setattr(http_protocol, "SILENT_SECONDS", 0.2)
    async with served(house.settings) as address:
        host, port = address.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in silent]

        async def let_go() -> bool:
            return sum(task.done() for task in ended) >= 35

        await until(let_go)
        assert sum(http_protocol.BoundedProtocol._silent.values()) <= 5
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            assert (await client.get("/v1/health/live")).status_code == 200
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        for _, writer in silent:
            writer.close()


async def test_most_connections_hold_however_the_server_is_started(settings: Settings) -> None:
    config = uvicorn.Config(create_app(settings), log_config=None)
    bound = http_protocol.BoundedProtocol(config, uvicorn.Server(config).server_state, {})
    assert bound.limit_concurrency == Settings(_env_file=None).max_connections
