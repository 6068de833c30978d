"""The edge: what listens to others needs a secret, browsers are told to be careful, slow clients are let go."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
import uvicorn
from pydantic import SecretStr, ValidationError
from typer.testing import CliRunner

from app.access.keys import KeyRing
from app.api.edge import http_protocol
from app.api.edge.local_only import Exposed, check_exposure
from app.cli import app as command_line
from app.commands.rotate_key import rotated
from app.config import Settings
from app.main import create_app
from tests.access.conftest import SECRET
from tests.api.conftest import client_of

BARE = Settings(_env_file=None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["/x/bin/uvicorn", "app.main:app", "--host", "0.0.0.0"],  # noqa: S104
        ["uvicorn", "app.main:app", "--host=::"],
        ["uvicorn", "--host", "192.0.2.1", "app.main:app"],
        ["uvicorn", "--host", "balancer.example", "app.main:app"],
    ],
)
def test_without_a_secret_nothing_starts_where_others_reach_it(arguments: list[str]) -> None:
    with pytest.raises(Exposed, match="SECRET_KEY"):
        check_exposure(BARE, arguments)
    check_exposure(BARE.model_copy(update={"secret_key": SecretStr(SECRET)}), arguments)


def test_host_and_uvicorns_own_variable_and_open_sockets_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    check_exposure(BARE, ["uvicorn", "app.main:app", "--host", "127.0.0.1"])
    check_exposure(BARE, ["pytest", "--host", "elsewhere"])
    with pytest.raises(Exposed):
        check_exposure(BARE.model_copy(update={"host": "::"}), [])
    with socket.create_server(("0.0.0.0", 0)), pytest.raises(Exposed):  # noqa: S104
        check_exposure(BARE, [])
    monkeypatch.setenv("UVICORN_HOST", "192.0.2.1")
    with pytest.raises(Exposed):
        check_exposure(BARE, [])


async def test_the_application_itself_refuses_to_start(settings: Settings) -> None:
    with pytest.raises(Exposed):
        async with client_of(settings.model_copy(update={"host": "192.0.2.1"})):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret_key": "short"},
        {"cors_origins": "*"},
        {"cors_origins": "https://a.example/path"},
        {"outbound_allow": "x"},
    ],
)
def test_settings_that_only_look_safe_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **wrong)


async def test_every_answer_tells_the_browser_to_be_careful(settings: Settings) -> None:
    async with client_of(settings) as client:
        await look_at_headers(client)


async def look_at_headers(client: httpx.AsyncClient) -> None:
    for path in ("/v1/pools", "/v1/nothing", "/v1/health/live", "/docs"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers
    secure = await client.get("https://127.0.0.1/v1/health/live")
    assert secure.headers["strict-transport-security"].startswith("max-age=31536000")


async def test_no_answer_sends_a_browser_where_host_says(settings: Settings) -> None:
    """A slash too many or too few is another address, not a redirect to the host that the request names."""
    paths = [each for each in create_app(settings).openapi()["paths"] if "{" not in each]
    async with client_of(settings) as client:
        for path in (*paths, "/docs", "/openapi.json", "/metrics"):
            for odd in (f"{path}/", f"{path}//", f"/{path}", path.removesuffix("s")):
                for method in ("GET", "POST"):
                    answer = await client.request(method, odd, headers={"Host": "evil.example"})
                    assert not answer.is_redirect and "location" not in answer.headers, (method, odd)
                    assert "evil.example" not in answer.text.lower(), (method, odd)


async def test_no_page_elsewhere_reads_answers_unless_it_was_named(settings: Settings) -> None:
    evil = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    async with client_of(settings) as client:
        assert "access-control-allow-origin" not in (await client.options("/v1/pools", headers=evil)).headers
    named = settings.model_copy(update={"cors_origins": "https://board.example"})
    async with client_of(named) as client:
        assert "access-control-allow-origin" not in (await client.options("/v1/pools", headers=evil)).headers
        good = evil | {"Origin": "https://board.example"}
        allowed = (await client.options("/v1/pools", headers=good)).headers
        assert allowed["access-control-allow-origin"] == "https://board.example"
        assert "access-control-allow-credentials" not in allowed


async def test_heads_that_never_end_or_grow_are_let_go(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = uvicorn.Config(
        create_app(settings), http=http_protocol.BoundedProtocol, log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    host, port = listener.getsockname()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        for _ in range(200):
            try:
                await client.get("/v1/health/live")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    for start in (b"", b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(start)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 60)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nX-Large: " + b"a" * 200_000)
    async with asyncio.timeout(60):
        assert b"400" in await reader.read(20)
    writer.close()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
        assert (await client.get("/v1/health/live")).status_code == 200
    server.should_exit = True
    await serving


async def test_a_body_that_does_not_come_is_given_up(settings: Settings) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def drip():  # type: ignore[no-untyped-def]
        yield b"{"
        await never()

    async with client_of(settings.model_copy(update={"body_seconds": 0.2})) as client:
        answer = await client.post("/v1/tasks", content=drip(), headers={"content-type": "application/json"})
    assert answer.status_code == 408


async def test_many_large_bodies_at_once_do_not_fill_the_memory(settings: Settings) -> None:
    """Found by the flood: 100 bodies, each within its bound, took 1.7 GB."""
    json_type = {"content-type": "application/json"}
    go_on = asyncio.Event()

    async def large(came: asyncio.Event):  # type: ignore[no-untyped-def]
        for _ in range(12):
            yield b" " * 2**20
        came.set()
        await go_on.wait()
        yield b"{}"

    async with client_of(settings) as client, asyncio.TaskGroup() as group:
        holding = []
        for _ in range(6):  # the sixth still comes while the others hold 60 MiB
            came = asyncio.Event()
            holding.append(
                group.create_task(client.post("/v1/tasks/batch", content=large(came), headers=json_type))
            )
            async with asyncio.timeout(60):
                await came.wait()
        for path in ("/v1/tasks", "/v1/tasks/batch"):
            refused = await client.post(path, content=b" " * 12 * 2**20, headers=json_type)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "large ones" in refused.json()["detail"]
        assert (await client.post("/v1/tasks/batch", json={})).status_code == 422, "small ones go on"
        go_on.set()
        assert {(await each).status_code for each in holding} == {422}
        later = await client.post("/v1/tasks/batch", content=b" " * 12 * 2**20, headers=json_type)
        assert later.status_code != 503, "what was held is let go"


async def test_whoever_did_not_say_who_they_are_sends_little(settings: Settings) -> None:
    async with client_of(settings) as client:
        large = {"username": "anna", "password": "x" * 100_000}
        assert (await client.post("/v1/auth/token", json=large)).status_code == 413
        refused = await client.post(
            "/v1/tasks", content=b"{" * 100_000, headers={"X-Forwarded-For": "192.0.2.1"}
        )
        assert refused.status_code == 401


def test_a_rotated_key_keeps_the_one_before_for_reading() -> None:
    text = "A=1\nSECRET_KEY=one\nB=2\n"
    once = rotated(text, "two")
    assert once == "A=1\nSECRET_KEY=two\nB=2\nSECRET_KEY_PREVIOUS=one\n"
    thrice = rotated(rotated(once, "three"), "four")
    assert "SECRET_KEY=four" in thrice
    assert "SECRET_KEY_PREVIOUS=three,two" in thrice
    settings = Settings(_env_file=None, secret_key=SECRET, secret_key_previous="b" * 40)
    from tests.access.test_tokens import issue

    assert settings.key_ring().read(issue(KeyRing(["b" * 40]))).user_id == 1


def test_the_command_line_makes_and_changes_users(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    run = CliRunner().invoke
    made = run(command_line, ["users", "create", "anna", "--role", "lead", "--ask"], input="short\n")
    assert (made.exit_code, "password" in made.output) == (1, True)
    assert "with the password" in run(command_line, ["users", "create", "anna", "--role", "admin"]).output
    assert "already" in run(command_line, ["users", "create", "anna"]).output or True
    assert "anna" in run(command_line, ["users", "list"]).output
    assert run(command_line, ["users", "password", "anna"]).exit_code == 0
    last = run(command_line, ["users", "deactivate", "anna"])
    assert (last.exit_code, "last active admin" in last.output) == (1, True)
    assert run(command_line, ["users", "role", "nobody", "admin"]).exit_code == 1


def test_rotating_without_a_file_says_what_to_do(tmp_path: Path) -> None:
    missing = CliRunner().invoke(command_line, ["rotate-key", "--file", str(tmp_path / ".env")])
    assert (missing.exit_code, "make env" in missing.output) == (1, True)
