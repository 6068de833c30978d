"""Signing in, where the API asks for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from app.config import Settings
from app.database import Database
from app.services.setup.first_start import prepare
from streamlit_app.parts import live
from tests.api.conftest import serving
from tests.dashboard.conftest import working
from tests.servers import RunServers, in_own_loop

PASSWORD = "a long enough password of the first admin"
NEXT = "another long sentence"
SCRIPT = str(Path(__file__).parents[2] / "streamlit_app" / "dashboard.py")


@pytest.fixture
def guarded_api(servers: RunServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with servers.new_database() as url:
        settings = Settings(
            database_url=url,
            redis_url=None,
            worker_sweep_seconds_no_redis=0.05,
            auth_required=True,
            secret_key=SecretStr("k" * 64),
            admin_password=SecretStr(PASSWORD),
        )
        in_own_loop(_fill(settings))
        with working(settings), serving(settings) as address:
            monkeypatch.setitem(os.environ, "API_URL", address)
            monkeypatch.setattr(live, "revision", lambda _pool_id: (0, 0, True))
            yield address


async def _fill(settings: Settings) -> None:
    database = await Database.open(settings)
    async with database.session() as session:
        await prepare(session, settings=settings)
    await database.close()


def sign_in(page: AppTest, password: str, name: str = "admin") -> AppTest:
    page.text_input[0].input(name)
    page.text_input[1].input(password)
    return page.button[0].click().run()


def test_nothing_is_shown_before_signing_in_and_everything_after(guarded_api: str) -> None:
    page = AppTest.from_file(SCRIPT, default_timeout=60).run()
    assert [title.value for title in page.title] == ["Вход"]
    sign_in(page, "wrong")
    assert "не подходят" in page.error[0].value
    assert [title.value for title in page.title] == ["Вход"]
    sign_in(page, PASSWORD)
    assert not page.exception
    assert [title.value for title in page.title] == ["Обзор"]
    assert any("admin" in caption.value for caption in page.sidebar.caption)
    [leave] = [button for button in page.sidebar.button if button.label == "Выйти"]
    leave.click().run()
    assert [title.value for title in page.title] == ["Вход"]


@contextmanager
def as_admin(api: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api, timeout=60) as client:
        known = {"username": "admin", "password": PASSWORD}
        token = client.post("/v1/auth/token", json=known).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def end_every_sign_in(api: str) -> None:
    """As when an administrator sets a new password: no token of before is good any more."""
    with as_admin(api) as client:
        [admin] = client.get("/v1/users").json()["items"]
        client.patch(f"/v1/users/{admin['user_id']}", json={"password": NEXT}).raise_for_status()


def test_a_sign_in_that_ends_amid_work_is_told_and_the_work_goes_on(guarded_api: str) -> None:
    page = sign_in(AppTest.from_file(SCRIPT, default_timeout=60).run(), PASSWORD)
    [period] = [each for each in page.get("button_group") if each.key == "overview_period"]
    period.set_value(1440).run()
    end_every_sign_in(guarded_api)
    page.run()
    assert [title.value for title in page.title] == ["Вход"]
    assert any("Сеанс закончился" in each.value for each in page.info)
    sign_in(page, NEXT)
    assert not page.exception
    assert [title.value for title in page.title] == ["Обзор"]
    assert page.session_state["overview_period"] == 1440
    [leave] = [button for button in page.sidebar.button if button.label == "Выйти"]
    leave.click().run()
    assert "overview_period" not in page.session_state, "nothing stays for whoever comes next"
    assert not any("Сеанс закончился" in each.value for each in page.info)


def test_an_executor_sees_their_own_tasks_and_a_way_out(guarded_api: str) -> None:
    with as_admin(guarded_api) as client:
        pool_id = client.get("/v1/pools").json()["items"][0]["pool_id"]
        person = client.post("/v1/executors", json={"pool_id": pool_id, "name": "Anna"}).json()["executor_id"]
        user = {
            "username": "anna",
            "password": NEXT,
            "role": "executor",
            "executor_id": person,
            "pool_ids": [pool_id],
        }
        assert client.post("/v1/users", json=user).status_code == 201
        page = sign_in(AppTest.from_file(SCRIPT, default_timeout=60).run(), NEXT, "anna")
        assert [title.value for title in page.title] == ["Мои заявки"]
        assert not page.error
        assert any("Открытых заявок нет" in each.value for each in page.markdown)
        sent = client.post("/v1/tasks", params={"wait": 30}, json={"pool_id": pool_id, "external_id": "hers"})
        assert sent.status_code == 201, sent.text
        task = sent.json()["task_id"]
        page.run()
        assert any("hers" in each.value for each in page.markdown)
        labels = [button.label for button in page.main.button]
        assert ("Начать" in labels, "Отменить" in labels, "Переназначить" in labels) == (True, False, False)
        page.button(key=f"complete_{task}").click().run()
        assert not page.error
        assert client.get(f"/v1/tasks/{task}").json()["status"] == "completed"
    [leave] = [button for button in page.sidebar.button if button.label == "Выйти"]
    leave.click().run()
    assert [title.value for title in page.title] == ["Вход"]
