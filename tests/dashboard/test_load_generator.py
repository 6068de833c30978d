"""The load test: what it sends arrives, is counted, and can be stopped."""

import os
import threading

import pytest

from streamlit_app.client import Api
from streamlit_app.parts.load_generator import LoadPlan, LoadTest


@pytest.fixture
def on_api(api: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setitem(os.environ, "API_URL", api)
    return Api()


def test_everything_that_is_sent_is_assigned_and_counted(on_api: Api) -> None:
    test = LoadTest(LoadPlan(rate=200, seconds=1, people=10, mix="heavy", pool_name="Load"), on_api)
    test.run()
    assert (test.state, test.sent, test.assigned) == ("done", 200, 200), test.why
    assert test.samples[-1].p95 is not None
    again = LoadTest(LoadPlan(rate=50, seconds=1, people=10, mix="even", pool_name="Load"), on_api)
    again.run()
    assert (again.state, again.assigned) == ("done", 50), "the same team serves again"


def test_a_test_stops_when_it_is_told_to(on_api: Api) -> None:
    test = LoadTest(LoadPlan(rate=1, seconds=600, people=5, mix="peak", pool_name="Load"), on_api)
    thread = threading.Thread(target=test.run)
    thread.start()
    test.stopping.set()
    thread.join(60)
    assert test.state == "stopped"
    assert test.sent <= 1


def test_a_service_that_refuses_is_told(on_api: Api) -> None:
    test = LoadTest(
        LoadPlan(rate=1, seconds=1, people=5, mix="even", pool_name=""), Api(token="no token at all")
    )
    test.run()
    assert test.state == "failed"
    assert test.why
