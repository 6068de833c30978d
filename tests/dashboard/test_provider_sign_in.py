"""Signing in by a provider, in a real browser: out, back, in; the address keeps nothing, and a link signs in nobody."""

import re
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr

from app.config import Settings
from app.database import Database
from app.local.embedded.data import free_port
from app.services.setup.first_start import prepare
from streamlit_app.parts import provider as part
from tests.access.hall import running
from tests.access.provider import CLIENT, CLIENT_SECRET
from tests.api.conftest import serving
from tests.dashboard.browser import (
    PATIENCE,
    browser as opened_browser,
    dashboard as running_dashboard,
    find_browser,
)
from tests.servers import RunServers, in_own_loop

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def dashboard(servers: RunServers) -> Iterator[str]:
    """A dashboard that people reach by a provider, who knows `anna`, whom an admin made."""
    ports = free_port(), free_port()
    issuer, page = (f"http://127.0.0.1:{port}" for port in ports)
    command = (sys.executable, "-m", "tests.access.provider", str(ports[0]), f"{page}/")
    with servers.new_database() as url, running(*command, address=issuer):
        settings = Settings(
            database_url=url,
            redis_url=None,
            auth_required=True,
            secret_key=SecretStr("k" * 64),
            oidc_issuer=issuer,
            oidc_client_id=CLIENT,
            oidc_client_secret=SecretStr(CLIENT_SECRET),
            oidc_pages=f"{page}/",
            oidc_name="House & Co",
        )
        in_own_loop(_fill(settings, issuer))
        with serving(settings) as api, running_dashboard(api, port=ports[1]) as address:
            yield address


async def _fill(settings: Settings, issuer: str) -> None:
    database = await Database.open(settings)
    async with database.session() as session:
        await prepare(session, settings=settings)
    await database.hot.execute(
        "INSERT INTO users (username, password_hash, role, oidc_issuer, oidc_subject)"
        " VALUES ('anna of here', 'x', 'viewer', $1, '1')",
        issuer,
    )
    await database.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    assert executable
    with opened_browser(executable) as browser:
        yield browser


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.xdist_group("browser")
def test_a_click_goes_out_to_the_provider_and_back_in(dashboard: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    tab = context.new_page()
    answers: list[str] = []
    tab.on("request", lambda request: answers.append(request.url) if "code=" in request.url else None)
    tab.goto(f"{dashboard}/?lang=en")
    tab.get_by_role("link", name="Sign in with House & Co").click()
    expect(tab.get_by_text("anna of here")).to_be_visible()
    assert answers
    expect(tab).not_to_have_url(re.compile("(code|state)="))  # gone from the address
    assert "access_token" not in " ".join(answers)
    assert [each["name"] for each in context.cookies(dashboard) if not each["httpOnly"]] == []
    tab.get_by_role("button", name="Выйти").click()
    leave = tab.get_by_role("link", name="Выйти и из House & Co")
    expect(leave).to_be_visible()
    assert "/leave?" in (leave.get_attribute("href") or "")
    context.close()


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.xdist_group("browser")
def test_a_link_made_in_another_browser_signs_in_nobody(dashboard: str, browser: Browser) -> None:
    attacker, victim = browser.new_context(), browser.new_context()
    for context in (attacker, victim):
        context.set_default_timeout(PATIENCE * 1000)
    page = attacker.new_page()
    page.goto(f"{dashboard}/?lang=en")
    link = page.get_by_role("link", name="Sign in with House & Co")
    expect(link).to_be_visible()
    answer = attacker.request.get(link.get_attribute("href") or "", max_redirects=0)
    target = victim.new_page()
    target.goto(answer.headers["location"])
    expect(target.get_by_text("Через House & Co войти не получилось")).to_be_visible()
    expect(target.get_by_text("anna of here")).to_have_count(0)
    attacker.close()
    victim.close()


@pytest.mark.parametrize("cookie", ["", "2|", "x" * 39])
def test_a_cookie_that_is_none_of_the_doors_offers_nothing(cookie: str) -> None:
    assert part._secret_of(cookie) is None


def test_each_browser_has_a_secret_of_its_own_that_is_not_its_cookie() -> None:
    cookies = ["x" * 43, "y" * 43]
    first, second = map(part._secret_of, cookies)
    assert first and second and first != second and not {first, second} & {*cookies}
