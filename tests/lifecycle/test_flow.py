"""Offers that must be accepted in time, and escalation of what waits too long."""

from typing import Any

import pytest

from app.database import Database
from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.rule_engine import Catalogue, Parameter, ParameterType, compile_rules, parse_rule_set
from app.services.common.escalation_steps import with_escalation
from app.services.common.pool_options import EscalationStep
from tests.api.conftest import problem_in
from tests.lifecycle.conftest import Story, until


async def flow(story: Story, **options: Any) -> Any:
    return await story.client.patch(f"/v1/pools/{story.pool_id}", json={"flow": options})


async def make_old(database: Database, table: str, column: str) -> None:
    async with database.hot.acquire() as connection:
        await connection.execute(f"UPDATE {table} SET {column} = {column} - interval '1 hour'")


async def test_an_offer_that_is_declined_goes_to_the_next_and_is_counted(story: Story) -> None:
    people = {await story.executor() for _ in range(2)}
    task = await story.task()
    first = task["executor_id"]
    again = await story.done(task, "decline", wait=30, reason="too far")
    assert {again["executor_id"]} == people - {first}
    assert (await story.client.get(f"/v1/executors/{first}")).json()["declined_today"] == 1
    assert await story.carries(first) == (0, 0.0)
    once_more = await story.done(again, "decline", wait=30)
    assert once_more["executor_id"] == first, "not twice in a row, but later again"
    await story.sound()


async def test_nobody_is_offered_the_same_task_twice_in_a_row(story: Story) -> None:
    await story.executor()
    task = await story.task()
    waiting = await story.done(task, "decline", wait=30)
    assert (waiting["status"], waiting["wait_reason"]) == ("pending", "offered_again_later")
    boris = await story.executor()
    assert (await story.becomes(task, "assigned"))["executor_id"] == boris
    await story.sound()


async def test_an_offer_that_nobody_answers_goes_on_and_an_accepted_one_stays(story: Story) -> None:
    assert (await flow(story, offer_seconds=3600)).status_code == 200
    people = {await story.executor() for _ in range(3)}
    accepted, started, ignored = [await story.task() for _ in range(3)]
    assert (await story.done(accepted, "accept"))["assignment"]["accepted_at"]
    await story.done(started, "start")
    assert (await flow(story, offer_seconds=1800)).status_code == 200
    await make_old(story.database, "assignments", "decided_at")

    async def went_on() -> Any:
        return [step for step in await story.history(ignored) if step["event"] == "expire"]

    [step] = await until(went_on)
    assert (step["actor"], step["reason"]) == ("clock", "not accepted within 1800 s")
    moved = await story.becomes(ignored, "assigned")
    assert moved["executor_id"] in people - {ignored["executor_id"]}
    stayed = [(await story.get(task))["executor_id"] for task in (accepted, started)]
    assert stayed == [accepted["executor_id"], started["executor_id"]]
    late = await story.client.get(f"/v1/executors/{ignored['executor_id']}")
    assert late.json()["declined_today"] == 1
    await story.sound()


RULES = {
    "conditions": [
        {"name": "same city", "operator": "eq", "field": "executor.parameters.city", "value": "Kazan"},
        {"name": "licence", "operator": "eq", "field": "executor.parameters.licence", "value": True},
    ]
}


async def with_rules(story: Story) -> None:
    for key, kind in (("city", "string"), ("licence", "boolean")):
        answer = await story.client.post(
            "/v1/parameters", json={"owner": "executor", "key": key, "type": kind}
        )
        assert answer.status_code == 201, answer.text
    made = await story.client.post("/v1/rules", json={"name": "main", "rules": RULES})
    assert made.status_code == 201, made.text
    activated = await story.client.post(f"/v1/rules/{made.json()['rule_set_id']}/activate")
    assert activated.status_code == 200, activated.text


async def test_what_waits_too_long_is_placed_under_relaxed_rules_step_by_step(story: Story) -> None:
    await with_rules(story)
    far = await story.executor(parameters={"city": "Omsk", "licence": True})
    await story.executor(parameters={"city": "Omsk", "licence": False})
    task = await story.task()
    assert task["wait_reason"] == "no_one_eligible"
    answer = await flow(story, escalation=[{"after_minutes": 30, "relax": ["same city"]}])
    assert answer.status_code == 200, answer.text
    assert (await story.get(task))["status"] == "pending", "not yet"
    await make_old(story.database, "tasks", "waiting_since")
    moved = await story.becomes(task, "assigned")
    assert (moved["executor_id"], moved["escalation"]) == (far, 1)
    [step] = [step for step in await story.history(task) if step["event"] == "escalate"]
    assert step["reason"] == "waited 30 min: no longer required: same city"
    explained = (await story.client.get(f"/v1/tasks/{task['task_id']}/explanation")).json()
    assert (explained["eligible"], explained["excluded"]) == (1, {"licence": 1})
    fresh = await story.task()
    assert (fresh["status"], fresh["escalation"]) == ("pending", 0), "the rules hold for everything else"
    await story.sound()


async def test_steps_that_make_no_sense_are_refused(story: Story) -> None:
    await with_rules(story)
    step = {"after_minutes": 30, "relax": ["same city"]}
    for wrong, said in (
        ([{**step, "relax": ["same town"]}], "use one of: same city, licence"),
        ([step, step], "each step must come after"),
        ([{**step, "after_minutes": 0}], "greater than 0"),
    ):
        answer = await flow(story, escalation=wrong)
        assert answer.status_code == 422 and said in str(problem_in(answer)), answer.text
    assert (await flow(story, offer_seconds=1)).status_code == 422


@pytest.mark.parametrize("step", [0, 1, 2])
def test_relaxed_rules_exclude_by_the_conditions_that_are_left(step: int) -> None:
    catalogue = Catalogue(
        (
            Parameter(owner="executor", key="city", type=ParameterType.STRING),
            Parameter(owner="executor", key="licence", type=ParameterType.BOOLEAN),
        )
    )
    rule_set = parse_rule_set(RULES, catalogue)
    steps = [
        EscalationStep(after_minutes=1.0, relax=["licence"]),
        EscalationStep(after_minutes=2.0, relax=["same city"]),
    ]
    rules = with_escalation(rule_set, steps)
    people = [
        Executor(ExecutorId(number), {"city": city, "licence": licence})
        for number, (city, licence) in enumerate([("Kazan", True), ("Kazan", False), ("Omsk", True)])
    ]
    rules.update(range(3), people)
    key = rules.task_key(Task(TaskId(1), escalation=step))
    assert rules.excluded_by(key).tolist() == [[-1, 1, 0], [-1, -1, 0], [-1, -1, -1]][step]
    assert rules.eligible(key).tolist() == [[True, False, False], [True, True, False], [True] * 3][step]
    assert rules.task_key(Task(TaskId(2))) == compile_rules(rule_set).task_key(Task(TaskId(2)))
