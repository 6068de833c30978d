"""The key of local programs is offered to a browser of this machine, and to no other."""

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_app.parts import this_machine
from streamlit_app.parts.this_machine import is_here
from tests.dashboard.test_sign_in import SCRIPT, guarded_api

__all__ = ["guarded_api"]  # the fixture


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501"])
def test_a_browser_here_is_known(host: str):
    assert is_here("127.0.0.1", {"Host": host})
    assert is_here("localhost", {"host": host, "Origin": f"http://{host}"})


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (None, {"Host": "localhost:8501"}),  # it listens to everybody
        ("0.0.0.0", {"Host": "localhost:8501"}),  # noqa: S104
        ("127.0.0.1", {}),
        ("127.0.0.1", {"Host": "rebound.example:8501"}),
        ("127.0.0.1", {"Host": "localhost@evil.example"}),
        ("127.0.0.1", {"Host": "localhost:8501", "X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", {"Host": "localhost:8501", "Via": "1.1 proxy"}),
        ("127.0.0.1", {"Host": "localhost:8501", "Origin": "https://evil.example"}),
        ("127.0.0.1", {"Host": "localhost:8501", "Origin": "null"}),
        ("127.0.0.1", {"Host": "localhost:8501", "Origin": "http://localhost:9999"}),
    ],
)
def test_a_proxy_a_rebound_name_or_a_foreign_page_is_not(address: str | None, headers: dict[str, str]):
    assert not is_here(address, headers)


def test_one_press_signs_in_with_the_kept_key(guarded_api: str, monkeypatch: pytest.MonkeyPatch):
    page = AppTest.from_file(SCRIPT, default_timeout=120).run()
    assert [button.label for button in page.button] == ["Войти"]
    monkeypatch.setattr(this_machine, "is_here", lambda _address, _headers: True)  # AppTest has no request
    page.run()
    page.button[1].click().run()
    assert page.title[0].value != "Вход" and not page.exception
    assert (Path(os.environ["SECRETS_DIR"]) / "api_key").stat().st_mode & 0o077 == 0
