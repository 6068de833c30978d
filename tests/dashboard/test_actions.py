"""What was clicked is what happened: each action on a page, and what the API says of it afterwards."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import asyncpg
import httpx
import openpyxl
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from streamlit_app.parts.load_generator import POOL, bench
from tests.dashboard.conftest import PATIENCE, Page
from tests.dashboard.test_pages import faultless, figures, texts
from tests.servers import in_own_loop


def form_button(page: AppTest, form: str) -> Button:
    [found] = [each for each in page.button if (each.key or "").startswith(f"FormSubmitter:{form}-")]
    return found


def named(page: AppTest, label: str) -> Button:
    [found] = [each for each in page.button if each.label == label]
    return found


def test_an_absence_is_planned_and_cancelled(page: Page, client: httpx.Client) -> None:
    person = client.get("/v1/executors").json()["items"][2]
    path = f"/v1/executors/{person['executor_id']}/absences"
    card = faultless(page("executors", executor=str(person["executor_id"])))
    began, ended = datetime(2031, 3, 3, 9), datetime(2031, 3, 7, 18)  # noqa: DTZ001 - the pool's clock
    start, end = card.datetime_input
    start.set_value(began)
    end.set_value(ended)
    [reason] = [each for each in card.text_input if each.label == "Причина"]
    reason.set_value("отпуск")
    faultless(form_button(card, "absence").click().run())
    [absence] = client.get(path).json()["items"]
    assert absence["reason"] == "отпуск"
    assert datetime.fromisoformat(absence["ends_at"]) - datetime.fromisoformat(absence["starts_at"]) == (
        ended - began
    )
    assert "отпуск" in texts(card)
    faultless(card.button(key=f"absence_{absence['absence_id']}").click().run())
    assert client.get(path).json()["items"] == []


def test_an_absence_that_ends_before_it_begins_is_refused_in_words(page: Page, client: httpx.Client) -> None:
    person = client.get("/v1/executors").json()["items"][2]
    card = faultless(page("executors", executor=str(person["executor_id"])))
    start, end = card.datetime_input
    end.set_value(start.value - timedelta(days=1))
    form_button(card, "absence").click().run()
    assert card.error
    assert client.get(f"/v1/executors/{person['executor_id']}/absences").json()["items"] == []


def test_a_dead_letter_is_sent_again(page: Page, client: httpx.Client, database_url: str) -> None:
    task = client.get("/v1/tasks", params={"limit": 1}).json()["items"][0]
    in_own_loop(_set_aside(database_url, task["pool_id"], task["task_id"]))
    dead, other = client.get("/v1/deliveries", params={"state": "dead"}).json()["items"]
    system = faultless(page("system"))
    [table] = [each for each in system.dataframe if (each.key or "").startswith("deliveries_dead")]
    assert "HTTP 500" in str(table.value)
    assert named(system, "Отправить снова").disabled, "nothing is chosen yet"
    system.session_state[table.key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    system.run()
    faultless(named(system, "Отправить снова").click().run())
    left = client.get("/v1/deliveries", params={"state": "dead"}).json()["items"]
    assert [each["delivery_id"] for each in left] == [other["delivery_id"]]
    assert named(system, "Отправить снова").disabled, "what moved into its row is not chosen with it"
    waiting = client.get("/v1/deliveries", params={"state": "waiting"}).json()["items"]
    assert dead["delivery_id"] in [each["delivery_id"] for each in waiting]


async def _set_aside(url: str, pool_id: int, task_id: int) -> None:
    """Two messages that were given up."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(
        "INSERT INTO outbox (pool_id, task_id, sequence, destination, event, attempts, dead_at, last_error)"
        " SELECT $1, $2, number, 'ais', 'assigned', 12, now(), 'HTTP 500' FROM generate_series(900, 901) number",
        pool_id,
        task_id,
    )
    await connection.close()


def test_a_user_is_added_and_changed(page: Page, client: httpx.Client) -> None:
    system = faultless(page("system"))
    name, password, *_ = [each for each in system.text_input if each.label.endswith(" *")][:2]
    name.set_value("vera")
    password.set_value("correct horse battery staple")
    faultless(form_button(system, "new_user").click().run())
    [made] = [each for each in client.get("/v1/users").json()["items"] if each["username"] == "vera"]
    assert (made["role"], made["active"]) == ("viewer", True)
    number = made["user_id"]
    system = faultless(page("system"))
    faultless(system.selectbox(key="user_choice").set_value(number).run())
    system.selectbox(key=f"role_{number}").set_value("lead")
    active = next(each for each in system.checkbox if each.label == "Может входить")
    active.set_value(False)
    faultless(form_button(system, f"user_{number}").click().run())
    changed = client.get(f"/v1/users/{number}").json()
    assert (changed["role"], changed["active"]) == ("lead", False)


def test_rules_are_rolled_back_to_a_version_of_the_past(page: Page, client: httpx.Client) -> None:
    before = client.get("/v1/rules", params={"state": "active"}).json()["items"][0]
    made = client.post("/v1/rules", json={"name": "Everybody", "rules": {"conditions": []}}).json()
    assert client.post(f"/v1/rules/{made['rule_set_id']}/activate").is_success
    rules = faultless(page("rules"))
    faultless(rules.selectbox(key="version_choice").set_value(before["rule_set_id"]).run())
    assert json.loads(rules.text_area[0].value)["conditions"] == []
    faultless(rules.button(key="roll_back").click().run())
    shown = json.loads(rules.text_area[0].value)
    assert shown["conditions"] == before["rules"]["conditions"], "it follows where nothing was changed"
    now = client.get("/v1/rules", params={"state": "active"}).json()["items"][0]
    assert now["version"] > made["version"]
    assert now["rules"] == before["rules"]


def test_the_report_opens_as_a_spreadsheet(page: Page) -> None:
    analytics = faultless(page("analytics"))
    faultless(named(analytics, "Подготовить отчёт Excel").click().run())
    book = openpyxl.load_workbook(io.BytesIO(analytics.session_state["excel"]))
    assert len(book.worksheets) > 1
    cells = [cell for sheet in book.worksheets for row in sheet.iter_rows(values_only=True) for cell in row]
    assert 60 in cells, "the tasks of the sample"
    assert [each.label for each in analytics.get("download_button")].count("Отчёт Excel") == 1


@pytest.fixture
def idle() -> Iterator[None]:
    """No load test before, and none left behind."""
    bench().test = None
    yield
    if (left := bench().test) is not None:
        left.stopping.set()
        _until(lambda: not left.running)


@pytest.mark.usefixtures("idle")
def test_a_load_test_is_seen_from_anywhere_and_stopped(page: Page, client: httpx.Client) -> None:
    first = faultless(page("load_test"))
    rate, duration, people = first.number_input
    rate.set_value(5)
    duration.set_value(600)
    people.set_value(5)
    faultless(form_button(first, "load").click().run())
    test = bench().test
    assert test is not None
    _until(lambda: test.sent > 0)
    elsewhere = faultless(page("overview"))
    assert elsewhere.title
    second = faultless(page("load_test"))
    assert int(figures(second)["Принято"]) > 0, "whoever comes back, or comes anew, sees how far it is"
    faultless(named(second, "Остановить").click().run())
    _until(lambda: not test.running)
    assert test.state == "stopped"
    pool = next(each for each in client.get("/v1/pools").json()["items"] if each["code"] == POOL)
    arrived = client.get("/v1/tasks", params={"pool_id": pool["pool_id"], "limit": 1000}).json()["items"]
    assert len(arrived) == test.sent < test.plan.total
    again = faultless(page("load_test"))
    faultless(named(again, "Новая проверка").click().run())
    assert bench().test is None


def _until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE * 10)):
        if holds():
            return
        pause.wait(0.1)
    raise AssertionError("it did not come")


def test_a_page_of_a_person_tells_what_they_did(page: Page, client: httpx.Client) -> None:
    person = max(client.get("/v1/executors").json()["items"], key=lambda each: each["open_count"])
    tasks = client.get(f"/v1/executors/{person['executor_id']}/tasks").json()["items"]
    card = faultless(page("executors", executor=str(person["executor_id"])))
    history = next(each.value for each in card.dataframe if "№" in each.value.columns)
    assert list(history["№"]) == [each["task_id"] for each in tasks][: len(history)]
    assert len(history) > 0


def test_why_not_is_answered_for_the_one_who_was_asked_about(page: Page, client: httpx.Client) -> None:
    task = client.get("/v1/tasks", params={"status": "assigned", "limit": 1}).json()["items"][0]
    unable = next(
        each
        for each in client.get("/v1/executors").json()["items"]
        if task["parameters"]["category"] not in each["parameters"]["skills"]
    )
    card = faultless(page("tasks", task=str(task["task_id"])))
    faultless(card.selectbox(key="why_not").set_value(unable["executor_id"]).run())
    answer = client.get(
        f"/v1/tasks/{task['task_id']}/explanation", params={"executor_id": unable["executor_id"]}
    ).json()
    assert unable["name"] in answer["why_not"]["text"]["ru"]
    assert any(unable["name"] in each.value for each in card.info)


def test_a_day_is_compared_with_the_day_before(page: Page, client: httpx.Client) -> None:
    analytics = faultless(page("analytics"))
    assert "Сравнение со вчерашним днём" in texts(analytics)
    hours = client.get("/v1/kpi", params={"days": 1, "by": "hour"}).json()["hours"]
    shown = figures(analytics)
    assert shown["Поступило"] == str(sum(each["received"] for each in hours))


def test_a_parameter_is_added_changed_and_removed(page: Page, client: httpx.Client) -> None:
    def of_tasks() -> dict[str, dict]:
        items = client.get("/v1/parameters").json()["items"]
        return {each["key"]: each for each in items if each["owner"] == "task"}

    known = faultless(page("parameters"))
    faultless(named(known, "Добавить параметр").click().run())
    named(known, "Добавить параметр").click()  # the window is open as long as it is asked for
    next(each for each in known.text_input if each.label == "Ключ *").set_value("floor")
    faultless(named(known, "Добавить").click().run())
    assert of_tasks()["floor"]["label_en"] == ""

    known = _opened(page, list(of_tasks()).index("floor"))
    next(each for each in known.text_input if each.label == "Название по-английски").set_value("Floor")
    _choose(known, list(of_tasks()).index("floor"))
    faultless(named(known, "Сохранить").click().run())
    assert of_tasks()["floor"]["label_en"] == "Floor"

    known = _opened(page, list(of_tasks()).index("floor"))
    _choose(known, list(of_tasks()).index("floor"))
    faultless(known.button(key="delete_parameter").click().run())
    assert "floor" not in of_tasks()


def test_a_parameter_that_a_rule_reads_is_not_offered_for_removal(page: Page, client: httpx.Client) -> None:
    keys = [each["key"] for each in client.get("/v1/parameters").json()["items"] if each["owner"] == "task"]
    known = _opened(page, keys.index("category"))
    assert "delete_parameter" not in [each.key for each in known.button]
    assert "Нельзя удалить" in texts(known)


def _choose(known: AppTest, row: int, seen: int = 1) -> None:
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    known.session_state[f"parameters_task_{seen}"] = chosen


def _opened(page: Page, row: int) -> AppTest:
    """The page with the window of a parameter of tasks."""
    known = faultless(page("parameters"))
    _choose(known, row, seen=0)
    return faultless(known.run())
