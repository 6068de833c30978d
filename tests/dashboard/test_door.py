"""Who gets a page or a websocket of a real dashboard, and with it the local administrator's session."""

import re
import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import HTMLResponse, PlainTextResponse

from streamlit_app.door import COOKIE, Door
from tests.dashboard.browser import dashboard

pytestmark = pytest.mark.slow
NO_API = "http://127.0.0.1:9"
INNER = PlainTextResponse("let in")
ELSEWHERE = "http://api.example:8000"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a dashboard for an API on this machine, where nobody signs in."""
    with dashboard(NO_API) as address:
        yield int(address.rpartition(":")[2])


def ask(
    port: int, path: str, *headers: str, host: str | None = "127.0.0.1:{port}", method: str = "GET"
) -> tuple[int, str]:
    """Status and head of the answer to a request as it stands."""
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).format(port=port).encode())
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
            head += more
    text = head.decode("latin-1")
    return int(text.split()[1]), text


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
OWN = "Origin: http://127.0.0.1:{port}"
FOREIGN_ORIGINS = (
    (),
    ("Origin: http://evil.example",),
    ("Origin: null",),
    ("Origin: http://127.0.0.1:1",),
    ("Origin: http://localhost:{port}",),
    ("Origin: http://127.0.0.1:{port}.evil.example",),
    ("Origin: http://evil.example@127.0.0.1:{port}",),
    (OWN, "Origin: http://evil.example"),
    (OWN, OWN),
    ("Origin: ",),
)
FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example",
    "localhost.evil.example:{port}",
    "evil.example@127.0.0.1",
    "127.0.0.1@evil.example",
    "0.0.0.0:{port}",
    "192.0.2.1",
    "[::2]:{port}",
    "127.0.0.1/evil.example",
    "2130706433",
    "",
)
FORWARDED = (
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=127.0.0.1",
    "X-Real-IP: 127.0.0.1",
    "Via: 1.1 proxy",
)


def test_its_own_pages_connect(port: int) -> None:
    assert ask(port, "/_stcore/stream", *UPGRADE, OWN)[0] == 101
    assert (
        ask(port, "/_stcore/stream", *UPGRADE, "Origin: http://localhost:{port}", host="localhost:{port}")[0]
        == 101
    )
    assert ask(port, "/", OWN)[0] == ask(port, "/")[0] == 200


def test_no_other_page_gets_the_handshake(port: int) -> None:
    for origins in FOREIGN_ORIGINS:
        assert ask(port, "/_stcore/stream", *UPGRADE, *origins)[0] in {400, 403}, origins


def test_no_rebound_name_gets_handshake_or_page(port: int) -> None:
    for host in FOREIGN_HOSTS:
        origin = f"Origin: http://{host}"
        assert ask(port, "/_stcore/stream", *UPGRADE, origin, host=host)[0] in {400, 403}, host
        for path in ("/", "/tasks", "/_stcore/host-config", "/_stcore/upload_file/x/y", "/media/x"):
            assert ask(port, path, host=host)[0] in {400, 403}, (path, host)
    assert ask(port, "/", host=None)[0] in {400, 403}
    assert ask(port, "/", "Host: evil.example")[0] in {400, 403}, "two of them"


def test_nothing_forwarded_is_this_machines(port: int) -> None:
    for header in FORWARDED:
        assert ask(port, "/_stcore/stream", *UPGRADE, OWN, header)[0] == 403, header
        assert ask(port, "/", header)[0] == 403, header


def test_whether_it_lives_is_told_by_any_name(port: int) -> None:
    assert ask(port, "/_stcore/health", host="10.1.2.3:8501")[0] == 200


def test_what_changes_something_comes_from_its_own_page(port: int) -> None:
    """An upload is refused at the door without Origin or with a foreign one; with its own it meets Streamlit."""
    path = "/_stcore/upload_file/none/none"
    for method in ("PUT", "DELETE", "POST", "PATCH"):
        for origins in FOREIGN_ORIGINS:
            assert ask(port, path, "Content-Length: 0", *origins, method=method)[0] in {400, 403}, origins
    status, head = ask(port, path, "Content-Length: 0", OWN, method="PUT")
    assert status == 400 and "x-frame-options: DENY" in head, "let in, and no such session"


def test_nothing_redirects_to_what_host_says() -> None:
    with dashboard("http://api.example:8000") as address:
        at = int(address.rpartition(":")[2])
        for path in (
            "/tasks/",
            "//evil.example/",
            "/tasks//",
            "/_stcore/health/",
            "/static/",
            "/./tasks",
            "/x/../",
        ):
            _, head = ask(at, path, host="evil.example")
            assert "evil.example" not in head.replace("ws://evil.example", "").replace(
                "wss://evil.example", ""
            ), path


def test_browsers_are_told_not_to_frame_it_and_keep_its_cookie_from_scripts(port: int) -> None:
    _, head = ask(port, "/")
    policy = re.findall(r"content-security-policy: ([^\r]+)", head)
    assert len(policy) == 1 and {"frame-ancestors 'none'", "object-src 'none'"} <= {*policy[0].split("; ")}
    assert not re.search(r"https?:|\*|unsafe-eval", policy[0]), "other hosts and eval are out"
    assert f"connect-src 'self' ws://127.0.0.1:{port} wss://127.0.0.1:{port};" in policy[0]
    assert len(re.findall("set-cookie:", head)) == 1, "the door's own, which scripts cannot read"
    assert "x-frame-options: DENY" in head and "x-content-type-options: nosniff" in head
    [cookie] = re.findall(rf"set-cookie: {COOKIE}=([^\r]+)", head)
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and len(cookie.split(";")[0]) >= 40
    assert "Secure" not in cookie
    assert COOKIE not in ask(port, "/", f"Cookie: {COOKIE}=known")[1]


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [("https", {}), ("http", {"X-Forwarded-Proto": "https"})],
    ids=["here", "at the proxy"],
)
async def test_under_tls_the_cookie_is_secure(scheme: str, headers: dict[str, str]) -> None:
    door = httpx.ASGITransport(Door(HTMLResponse("let in"), api_url=ELSEWHERE))
    async with httpx.AsyncClient(transport=door, base_url=f"{scheme}://board.example") as client:
        page = await client.get("/", headers=headers)
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(page.headers["set-cookie"].split("; "))


def scope(kind: str, peer: str, **headers: str) -> dict[str, object]:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "method": "GET", "path": "/", "headers": raw, "client": (peer, 1), "scheme": "http"}


def test_names_of_the_settings_count_and_no_others() -> None:
    door = Door(INNER, hosts=["Balancer.Example"], api_url=ELSEWHERE)
    page = {
        "host": "balancer.example",
        "origin": "https://balancer.example",
        "x_forwarded_for": "198.51.100.1",
    }
    assert door.why_not(scope("websocket", "10.0.0.1", **page)) is None
    assert door.why_not(scope("http", "10.0.0.1", host="balancer.example")) is None
    assert door.why_not(scope("http", "10.0.0.1", host="other.example")) is not None
    assert door.why_not(scope("http", "10.0.0.1", host="127.0.0.1")) is not None
    assert door.why_not(scope("http", "127.0.0.1", host="localhost:8501")) is None


def test_where_people_sign_in_any_name_may_be_used_but_no_other_pages_origin() -> None:
    door = Door(INNER, api_url=ELSEWHERE)
    assert door.why_not(scope("http", "10.0.0.1", host="board.example")) is None
    assert (
        door.why_not(scope("websocket", "10.0.0.1", host="board.example", origin="https://board.example"))
        is None
    )
    assert door.why_not(scope("websocket", "10.0.0.1", host="board.example", origin="https://evil.example"))
    assert door.why_not(scope("websocket", "10.0.0.1", host="board.example"))


def test_another_machine_gets_no_local_session() -> None:
    door = Door(INNER)
    for host in ("192.0.2.7:8501", "127.0.0.1:8501", "localhost"):
        assert door.why_not(scope("http", "192.0.2.1", host=host)), host
