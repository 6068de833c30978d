"""The pages against a real API: what a lead sees and does."""

import json
import os
import re
import threading
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from streamlit_app.client import Api, ApiError
from streamlit_app.views import overview
from streamlit_app.views.executors import page as executors
from tests.dashboard.conftest import PATIENCE, Page, asking

PAGES = ["overview", "tasks", "executors", "rules", "parameters", "system", "analytics", "load_test"]


def texts(page: AppTest) -> str:
    """All that a page says in words."""
    kinds = (page.title, page.subheader, page.markdown, page.info, page.warning, page.success, page.caption)
    return "\n".join(str(each.value) for kind in kinds for each in kind)


def figures(page: AppTest) -> dict[str, str]:
    """The key figures of a page by name."""
    told = "".join(each.proto.body for each in page.get("html"))
    tile = re.compile(r"<div class='label'>(.*?)(?:<span class='hint'.*?)?</div><div class='value'>([^<]+)<")
    return {re.sub("<[^>]+>", "", name).strip(): value for name, value in tile.findall(told)}


def faultless(page: AppTest) -> AppTest:
    assert [each.value for each in page.exception] == []
    assert [each.value for each in page.error] == []
    return page


def a_task(api: str) -> dict:
    with asking(api) as client:
        return client.get("/v1/tasks", params={"status": "assigned", "limit": 1}).json()["items"][0]


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(
    "name", ["overview", "tasks", "executors", "rules", "parameters", "system", "analytics", "load_test"]
)
def test_a_page_shows_itself_in_both_languages(page: Page, name: str, language: str) -> None:
    assert faultless(page(name, language=language)).title


def test_the_overview_says_how_the_work_goes(page: Page) -> None:
    overview = faultless(page("overview"))
    shown = figures(overview)
    assert int(shown["Назначено за период"]) >= 60  # other tests send tasks too
    assert shown["Несправедливость"].endswith("%")


def test_the_card_of_a_task_says_why_and_why_not(page: Page, api: str) -> None:
    task = a_task(api)
    card = faultless(page("tasks", language="en", task=str(task["task_id"])))
    assert "received the task" in texts(card)
    question = card.selectbox(key="why_not")
    question.select_index(0).run()
    assert card.info


def test_a_task_is_completed_from_its_card(page: Page, api: str) -> None:
    task = a_task(api)
    card = faultless(page("tasks", language="en", task=str(task["task_id"])))
    [complete] = [button for button in card.button if button.label == "Complete"]
    faultless(complete.click().run())
    with asking(api) as client:
        assert client.get(f"/v1/tasks/{task['task_id']}").json()["status"] == "completed"


def test_a_move_that_needs_a_reason_asks_for_it(page: Page, api: str) -> None:
    task = a_task(api)
    card = faultless(page("tasks", language="en", task=str(task["task_id"])))
    next(each for each in card.button if (each.key or "").startswith("do_return_")).click().run()
    assert "Give a reason" in texts(card)


def listed(test: AppTest) -> pd.DataFrame:
    """The list of tasks; work that is with somebody who may not have it stands before it in a table of its own."""
    [found] = [each.value for each in test.dataframe if "Состояние" in each.value.columns]
    return found


def test_a_task_is_found_by_its_number_elsewhere(page: Page) -> None:
    tasks = faultless(page("tasks"))
    tasks.text_input(key="task_search").input("T-007").run()
    assert len(listed(tasks)) == 1
    tasks.text_input(key="task_search").input("no such number").run()
    assert "нет" in tasks.warning[0].value


def test_a_person_leaves_the_team_and_comes_back(page: Page, api: str) -> None:
    with asking(api) as client:
        person = client.get("/v1/executors").json()["items"][-1]
        path = f"/v1/executors/{person['executor_id']}"
        card = faultless(page("executors", language="ru", executor=str(person["executor_id"])))
        faultless(card.button(key="deactivate").click().run())
        assert client.get(path).json()["active"] is False
        [back] = [button for button in card.button if button.label == "Вернуть в команду"]
        faultless(back.click().run())
        assert client.get(path).json()["active"] is True


def test_the_work_of_whoever_leaves_goes_to_others_who_are_named_before(page: Page, api: str) -> None:
    with asking(api) as client:
        person = next(each for each in client.get("/v1/executors").json()["items"] if each["open_count"])
        path = f"/v1/executors/{person['executor_id']}"
        card = faultless(page("executors", executor=str(person["executor_id"])))
        faultless(card.radio(key="leave_open").set_value("reassign").run())
        named = next(each.value for each in card.dataframe if "Кому перейдёт" in each.value.columns)
        assert len(named) == person["open_count"]
        faultless(card.button(key="deactivate").click().run())
        gone = client.get(path).json()
        assert (gone["active"], gone["open_count"]) == (False, 0)
        client.patch(path, json={"active": True})


def test_tasks_are_looked_for_by_the_labels_of_their_parameters(page: Page, api: str) -> None:
    tasks = faultless(page("tasks"))
    box = next(each for each in tasks.multiselect if str(each.key).endswith("_region"))
    faultless(box.select("north").run())
    with asking(api) as client:
        wanted = {"parameters": '{"region": ["north"]}', "limit": 50}
        found = client.get("/v1/tasks", params=wanted).json()["items"]
    assert list(listed(tasks)["№"]) == [each["task_id"] for each in found]
    assert found and {each["parameters"]["region"] for each in found} == {"north"}


def test_the_audit_log_is_proved_whole_from_the_page(page: Page, api: str) -> None:
    system = faultless(page("system"))
    [prove] = [button for button in system.button if button.label == "Проверить целостность"]
    faultless(prove.click().run())
    with asking(api) as client:
        assert client.get("/v1/audit/proof").json()["holds"]
    assert any("Журнал цел" in each.value for each in system.success)


def test_the_audit_log_tells_a_change_in_words(page: Page, api: str) -> None:
    with asking(api) as client:
        person = client.get("/v1/executors").json()["items"][0]
        path, before = f"/v1/executors/{person['executor_id']}", person["daily_limit"]
        for limit in (901, 902):
            client.patch(path, json={"daily_limit": limit}).raise_for_status()
        system = faultless(page("system"))
        client.patch(path, json={"daily_limit": before}).raise_for_status()
    [log] = [each.value for each in system.dataframe if "Изменение" in each.value]
    told = list(zip(log["С чем"], log["Изменение"], strict=True))
    assert (f"исполнитель {person['name']}", "дневной предел: 901 → 902") in told


def test_the_funnel_of_rules_counts_people(page: Page, api: str) -> None:
    analytics = faultless(page("analytics"))
    specs = [json.loads(chart.proto.spec) for chart in analytics.get("plotly_chart")]
    [funnel] = [trace for spec in specs for trace in spec["data"] if trace["type"] == "funnel"]
    with asking(api) as client:
        pool_id = client.get("/v1/pools").json()["items"][0]["pool_id"]
        recent = client.post("/v1/rules/funnel", json={"pool_id": int(pool_id)}).json()["recent"]
    assert funnel["x"][0] == recent["executors"]
    assert funnel["x"][-1] == pytest.approx(recent["executors"] * recent["eligible"])
    assert funnel["x"][-1] >= 1, "each task of the sample was assigned: somebody could take it"


def test_a_refusal_is_told_in_russian(page: Page, api: str) -> None:
    with asking(api) as client:
        known = client.get("/v1/parameters").json()["items"]
        read = next(each for each in known if each["owner"] == "executor" and each["key"] == "skills")
        client.headers["Accept-Language"] = "ru"
        refusals = [
            client.delete(f"/v1/parameters/{read['parameter_id']}"),
            client.post("/v1/parameters", json={"owner": "executor", "key": "skills", "type": "list"}),
            client.get("/v1/executors/999999"),
        ]
    for answer in refusals:
        assert answer.is_error
        detail = answer.json()["detail"]
        assert re.search("[а-я]", detail), detail
        assert answer.headers["Content-Language"] == "ru"


# Choices are asked for in Russian here: outside of a session, where AppTest names them, there is no other language.


def active_rules(api: str) -> dict:
    with asking(api) as client:
        return client.get("/v1/rules", params={"state": "active"}).json()["items"][0]


def test_a_rule_is_composed_without_json_and_put_in_force(page: Page, api: str) -> None:
    before = active_rules(api)
    rules = faultless(page("rules"))
    [template] = [button for button in rules.button if "Регионы" in button.label]
    faultless(template.click().run())
    assert '"executor.parameters.regions"' in rules.text_area[0].value, "the JSON follows the constructor"
    [activate] = [button for button in rules.button if button.label == "Сохранить и включить"]
    faultless(activate.click().run())
    now = active_rules(api)
    assert now["version"] == before["version"] + 1
    assert len(now["rules"]["conditions"]) == len(before["rules"]["conditions"]) + 1


def test_the_constructor_follows_the_json(page: Page) -> None:
    rules = faultless(page("rules"))
    condition = {"operator": "between", "field": "task.priority", "value": [1, 5]}
    rules.text_area[0].set_value(json.dumps({"conditions": [condition]})).run()
    faultless(rules)
    assert (
        "is between" in [str(box.value) for box in rules.selectbox] or "between" in rules.text_area[0].value
    )
    assert [box.value for box in rules.number_input if box.value == 5]


def test_a_fault_is_told_as_it_is_made(page: Page) -> None:
    rules = page("rules")
    condition = {"operator": "eq", "field": "task.parameters.nothing", "value": 1}
    rules.text_area[0].set_value(json.dumps({"conditions": [condition]})).run()
    assert "неизвестное поле" in rules.error[0].value
    rules.text_area[0].set_value("{").run()
    assert any("не JSON" in each.value for each in rules.error)


def test_what_no_input_can_hold_is_told_in_russian_and_stays_in_the_json(page: Page) -> None:
    rules = page("rules")
    compared = {"operator": "eq", "field": "task.priority", "value": "high"}
    wrong = {
        "conditions": [1, compared, {"operator": "or", "conditions": "x"}],
        "weights": [{"weight": "x", "condition": {"operator": "eq", "field": "task.priority", "value": 1}}],
    }
    rules.text_area[0].set_value(json.dumps(wrong)).run()
    told = rules.error[0].value
    assert "4 ошибки" in told
    assert not re.search(r"\b(one|has|this|not|a list)\b", told), told
    assert json.loads(rules.text_area[0].value) == wrong, "it can be put right where it was typed"
    rules.text_area[0].set_value('{"conditions": [').run()
    assert any("Это не JSON: ожидается значение" in each.value for each in rules.error)


def test_groups_stand_three_deep_with_names_and_negations(page: Page) -> None:
    rules = faultless(page("rules"))
    first = {"operator": "eq", "field": "task.priority", "value": 1}
    rules.text_area[0].set_value(json.dumps({"conditions": [first]})).run()

    def press(path: str) -> None:
        [button] = [each for each in rules.button if (each.key or "").endswith(f"_{path}_button")]
        faultless(button.click().run())

    def document() -> Any:
        return json.loads(rules.text_area[0].value)["conditions"]

    press("conditions.0.wrap")
    press("conditions.0.group")
    press("conditions.0.1.group")
    press("conditions.0.1.1.negate")
    assert not [
        each for each in rules.button if (each.key or "").endswith("_conditions.0.1.1.not.group_button")
    ]
    [name] = [each for each in rules.text_input if (each.key or "").endswith("_conditions.0_name")]
    faultless(name.set_value("срочные").run())
    [outer] = document()
    assert (outer["name"], outer["operator"], outer["conditions"][0]) == ("срочные", "or", first)
    deepest = outer["conditions"][1]["conditions"][1]
    assert (deepest["operator"], deepest["condition"]["operator"]) == ("not", "or")
    press("conditions.0.1.1.affirm")
    press("conditions.0.1.delete")
    assert [each["conditions"] for each in document()] == [[first]]


def test_a_task_that_is_only_described_says_who_would_get_it(page: Page) -> None:
    rules = faultless(page("rules"))
    rules.selectbox(key="preview_category").select("network")
    rules.selectbox(key="preview_region").select("north")
    [ask] = [button for button in rules.button if button.label == "Кто получит?"]
    faultless(ask.click().run())
    assert "оценка здесь наименьшая" in texts(rules)


def test_the_past_is_replayed_before_rules_are_put_in_force(page: Page, api: str) -> None:
    rules = faultless(page("rules"))
    [start] = [button for button in rules.button if button.label == "Проверить на прошлом"]
    faultless(start.click().run())
    pause = threading.Event()
    for _ in range(int(PATIENCE)):
        found = [each.value for each in rules.dataframe if "Показатель" in each.value.columns]
        if found:
            break
        pause.wait(1)
        faultless(rules.run())
    assert {"как было", "поровну (справедливая доля)"} <= set(found[0].columns)
    assert "ушло бы другому" in list(found[0]["Показатель"])


def test_long_waits_lead_to_another_team_as_the_settings_say(page: Page, api: str) -> None:
    with asking(api) as client:
        pool = client.get("/v1/pools").json()["items"][0]
        made = client.post("/v1/pools", json={"code": "duty", "name": "Duty"})
        other = made.json()["pool_id"]
        settings = faultless(page("system"))
        settings.number_input(key="flow_minutes_0").set_value(45)
        settings.selectbox(key="flow_team_0").set_value(other)
        [save] = [button for button in settings.button if (button.key or "").startswith("FormSubmitter:flow")]
        faultless(save.click().run())
        saved = client.get(f"/v1/pools/{pool['pool_id']}").json()["settings"]["flow"]["escalation"]
        assert [(step["after_minutes"], step["to_pool"]) for step in saved] == [(45.0, other)]
        again = faultless(page("system"))
        assert again.selectbox(key="flow_team_0").value == other
        client.patch(f"/v1/pools/{pool['pool_id']}", json={"flow": {"escalation": []}})


def test_a_task_that_went_on_is_found_from_home_and_says_where_it_is(page: Page, api: str) -> None:
    with asking(api) as client:
        home = client.get("/v1/pools").json()["items"][0]["pool_id"]
        other = client.post("/v1/pools", json={"code": "night", "name": "Night"}).json()["pool_id"]
        client.patch(
            f"/v1/pools/{home}", json={"flow": {"escalation": [{"after_minutes": 0.001, "to_pool": other}]}}
        )
        impossible = {"weight": 1_000_000, "external_id": "too heavy"}
        task = client.post("/v1/tasks", params={"wait": 10}, json=impossible).json()
        left = int(PATIENCE) * 10
        while client.get(f"/v1/tasks/{task['task_id']}").json()["pool_id"] != other and (left := left - 1):
            threading.Event().wait(0.1)
        client.patch(f"/v1/pools/{home}", json={"flow": {"escalation": []}})
    tasks = page("tasks")
    tasks.button_group(key="task_filter").set_value("away").run()
    assert "too heavy" in str(listed(faultless(tasks)))
    card = faultless(page("tasks", language="en", task=str(task["task_id"])))
    assert "passed to team Night" in texts(card)


def test_nobody_sees_what_the_api_answered_to_another(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "API_URL", api)
    lead, stranger = Api(), Api("no token of ours")
    look = ("/v1/distribution/overview", (("pool_id", 1), ("period", 15)), 77, 77)
    assert overview._answer(lead, lead.token, *look) == overview._answer(lead, lead.token, *look)
    with pytest.raises(ApiError):
        overview._answer(stranger, stranger.token, *look)
    assert executors._ask_people(lead, lead.token, 1, 77, 77, 77)
    with pytest.raises(ApiError):
        executors._ask_people(stranger, stranger.token, 1, 77, 77, 77)
