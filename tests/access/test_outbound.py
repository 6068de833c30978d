"""Webhooks reach the internet and nothing inside, however the inside is spelled."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from app.config import Settings
from app.errors import Invalid
from app.integrations.public_addresses import check_url, outbound_client, parse_networks, resolve_safely
from tests.api.conftest import serving

INSIDE = (
    "127.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]", "[::]",  # noqa: S104
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]",
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]",
    "[fec0::1]", "[2001:db8::1]", "[64:ff9b:1::1]",
)  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
async def test_nothing_inside_is_reached(host: str) -> None:
    async with outbound_client() as client:
        with pytest.raises((Invalid, httpx.ConnectError, httpx.InvalidURL)):
            await client.get(f"http://{host}:9/")
    try:
        await resolve_safely(host.strip("[]"), 9)
    except (Invalid, OSError):
        return
    pytest.fail(f"{host} was taken for public")


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "93.184.216.34"])
async def test_the_internet_is(host: str) -> None:
    check_url(f"https://{host}/hook")
    assert await resolve_safely(host.strip("[]"), 443)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://8.8.8.8/", "ftp://8.8.8.8/", "//8.8.8.8/", "http://", "https://user:pw@8.8.8.8/",
        "http://8.8.8.8:99999/", "http://8.8.8.8/ x", "http://8.8.8.8/\r\nHost: x", "http://[::1", "javascript:1", "",
        "http://8.8.8.8/" + "a" * 3000, "http://localhost/", "http://a.localhost/", "http://LOCALHOST./",
    ],
)  # fmt: skip
def test_what_could_never_be_right_is_refused_when_it_is_written_down(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url)


async def test_a_name_that_also_means_the_inside_is_refused_and_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [["93.184.216.34", "127.0.0.1"]]

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in answers[0]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with outbound_client() as client:
        with pytest.raises(Invalid, match="inside"):
            await client.get("http://rebound.example/")


async def test_a_name_is_looked_up_once_and_a_redirect_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second look-up would lead to 127.0.0.2, which is not allowed; so would the redirect."""
    answers, real = ["127.0.0.1", "127.0.0.2", "127.0.0.2"], socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> list[Any]:
        return real(answers.pop(0) if host == "rebound.example" else host, port, *args, **more)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("sockname")
        writer.write(
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{port}/\r\nX-Reached: {host}\r\n\r\n".encode()
        )
        writer.close()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with (
        await asyncio.start_server(answer, "0.0.0.0", 0) as server,  # noqa: S104
        outbound_client(parse_networks("127.0.0.1")) as client,
    ):
        reached = await client.get(f"http://rebound.example:{server.sockets[0].getsockname()[1]}/")
        assert (reached.status_code, reached.headers["x-reached"]) == (302, "127.0.0.1")
        assert len(answers) == 2, "looked up once"
        with pytest.raises(Invalid, match="inside"):
            await client.get("http://rebound.example/")


async def test_an_address_that_was_allowed_is_reached(settings: Settings) -> None:
    with serving(settings) as address:
        async with outbound_client(parse_networks("127.0.0.0/8")) as client:
            answer = await client.get(f"{address}/v1/health/live")
            assert answer.json() == {"status": "ok"}


def test_networks_are_read_or_refused() -> None:
    assert [str(each) for each in parse_networks("10.0.0.0/8, 192.0.2.1")] == ["10.0.0.0/8", "192.0.2.1/32"]
    with pytest.raises(ValueError, match="appear"):
        parse_networks("inside")
