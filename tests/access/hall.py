"""An API that people reach by an OpenID provider, and providers in processes of their own."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from pydantic import SecretStr

from app.access.oidc import challenge_of
from app.config import Settings
from app.database import Database
from tests.access.conftest import SECRET
from tests.access.provider import CLIENT, CLIENT_SECRET, PAGE

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@contextmanager
def running(*command: str, address: str) -> Iterator[str]:
    """A provider in a process of its own."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < deadline, "the provider did not start"
                time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait(PATIENCE)


class Hall:
    """An API with this provider, and a browser's page in front of both."""

    def __init__(self, issuer: str, client: httpx.AsyncClient, database: Database) -> None:
        self.issuer = issuer
        self.client = client
        self.database = database
        self.verifier = secrets.token_urlsafe(32)

    async def told(self, **plan: Any) -> None:
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.issuer}/told", json=plan)).raise_for_status()

    async def begin(self, **body: Any) -> httpx.Response:
        asked = {"challenge": challenge_of(self.verifier)} | body
        return await self.client.post("/v1/auth/provider/begin", json=asked)

    async def go(self) -> dict[str, str]:
        """Begin, let the provider sign in, and give what the browser comes back with."""
        url = (await self.begin()).json()["url"]
        async with httpx.AsyncClient() as browser:
            back = await browser.get(url)
        assert back.status_code == 302, back.text
        assert back.headers["location"].startswith(f"{PAGE}?")
        return dict(parse_qsl(urlsplit(back.headers["location"]).query))

    async def finish(self, answer: dict[str, str], **changes: Any) -> httpx.Response:
        body = {**answer, "verifier": self.verifier, **changes}
        return await self.client.post("/v1/auth/provider/finish", json=body)

    async def sign_in(self) -> httpx.Response:
        return await self.finish(await self.go())

    async def me(self, tokens: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        answer = await self.client.get("/v1/auth/me", headers=headers)
        return answer.json() if answer.is_success else {}

    async def add_user(self, name: str = "anna", role: str = "viewer", subject: str | None = "1") -> int:
        return await self.database.hot.fetchval(
            "INSERT INTO users (username, password_hash, role, oidc_issuer, oidc_subject)"
            " VALUES ($1, 'x', $2, $3, $4) RETURNING id",
            name,
            role,
            self.issuer if subject else None,
            subject,
        )


def with_provider(settings: Settings, issuer: str, **more: Any) -> Settings:
    return Settings(
        **settings.model_dump(include={"database_url", "redis_url"}),
        auth_required=True,
        secret_key=SecretStr(SECRET),
        oidc_issuer=issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret=SecretStr(CLIENT_SECRET),
        oidc_pages=f"{PAGE}, https://another.example/page",
        oidc_name="the house",
        **{"sign_in_failures": 1000, **more},
    )
