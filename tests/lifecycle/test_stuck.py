"""Work that got stuck: each was once a task that waited for nothing, or one with somebody who may not have it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.database import Database
from app.engine.types import PoolId, TaskId
from app.errors import ForbiddenMove
from app.services.audit.doctor import State, Symptom, examine
from app.services.executors.absences import NewAbsence, add_absence, remove_absence
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.housekeeping import keep_flowing
from app.services.tasks.misplaced import MisplacedRound
from app.services.tasks.moves import Move, MoveName, move_tasks
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_pool
from tests.lifecycle.conftest import Story, until
from tests.lifecycle.test_flow import flow, make_old, with_rules

PAUSE_OVER = "UPDATE tasks SET barred_until = barred_until - interval '1 hour'"
AWAKE = "UPDATE tasks SET wake_at = wake_at - interval '1 hour'"


async def pause_passes(database: Database) -> None:
    for statement in (PAUSE_OVER, AWAKE):
        await database.hot.execute(statement)


async def change(story: Story, executor_id: int, **changes: Any) -> None:
    answer = await story.client.patch(f"/v1/executors/{executor_id}", json=changes)
    assert answer.status_code == 200, answer.text


async def test_pitfall_21_what_the_only_person_declined_is_offered_to_them_again_after_a_pause(
    story: Story,
) -> None:
    anna = await story.executor()
    task = await story.task()
    waiting = await story.done(task, "decline", wait=30)
    assert (waiting["status"], waiting["wait_reason"]) == ("pending", "offered_again_later")
    assert waiting["executor_id"] is None, "shows who declined it"
    assert waiting["wait_until"] > waiting["updated_at"]
    shown = await story.client.get(f"/v1/executors/{anna}/tasks")
    assert shown.json()["items"] == []
    await pause_passes(story.database)
    assert (await story.becomes(task, "assigned"))["executor_id"] == anna
    await story.sound()


async def test_somebody_who_left_and_came_back_gets_the_work_again(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    gone = await story.client.delete(f"/v1/executors/{anna}", params={"open_tasks": "reassign"})
    assert gone.status_code == 204
    await until(lambda: waits(story, task, "no_one_eligible"))
    await change(story, anna, active=True)
    assert (await story.becomes(task, "assigned"))["executor_id"] == anna


async def waits(story: Story, task: dict[str, Any], reason: str) -> bool:
    return bool((await story.get(task))["wait_reason"] == reason)


async def test_a_deferred_removal_does_not_strike_who_came_back(story: Story) -> None:
    anna = await story.executor()
    await story.executor()
    task = await story.task()
    holder = task["executor_id"]
    wish = {"open_tasks": "reassign", "reassign_after_minutes": 30}
    assert (await story.client.delete(f"/v1/executors/{holder}", params=wish)).status_code == 204
    await change(story, holder, active=True)
    await story.database.hot.execute("UPDATE executors SET reassign_open_at = now() - interval '1 minute'")
    fresh = await story.task()  # a sweep or more later
    await until(lambda: no_removal_is_due(story))
    assert (await story.get(task))["executor_id"] == holder and fresh["status"] == "assigned"
    assert [step["event"] for step in await story.history(task)] == ["created", "assigned"]
    assert anna


async def no_removal_is_due(story: Story) -> bool:
    """Sweeps have come by: the clock of the pool was asked again."""
    await story.database.hot.execute("UPDATE pool_states SET wake_at = now() WHERE wake_at IS NULL")
    return True


async def test_offers_of_every_kind_lapse(story: Story) -> None:
    people = {await story.executor() for _ in range(2)}
    assert (await flow(story, offer_seconds=3600)).status_code == 200
    parent = await story.task()
    child = await story.task(parent_id=parent["task_id"])
    named = await story.task()
    other = (people - {named["executor_id"]}).pop()
    await story.done(named, "reassign", executor_id=other, wait=30)
    back = await story.task()
    await story.done(back, "return")
    await story.done(back, "resume", wait=30)
    kinds = [(await story.get(task))["assignment"]["kind"] for task in (child, named, back)]
    assert kinds == ["parent", "manual", "rework"]
    await make_old(story.database, "assignments", "decided_at")
    for task in (child, named, back):
        await until(lambda task=task: lapsed(story, task))
    await story.sound()


async def lapsed(story: Story, task: dict[str, Any]) -> bool:
    return "expire" in [step["event"] for step in await story.history(task)]


async def test_pitfall_21_offers_that_go_round_escalate(story: Story) -> None:
    await with_rules(story)
    both = [await story.executor(parameters={"city": "Kazan", "licence": True}) for _ in range(2)]
    far = await story.executor(parameters={"city": "Omsk", "licence": True})
    answer = await flow(story, escalation=[{"after_minutes": 30, "relax": ["same city"]}])
    assert answer.status_code == 200, answer.text
    task = await story.task()
    again = await story.done(task, "decline", wait=30)
    assert {task["executor_id"], again["executor_id"]} == set(both) and again["escalation"] == 0
    await make_old(story.database, "assignments", "decided_at")
    await make_old(story.database, "tasks", "waiting_since")
    third = await story.done(again, "decline", wait=30)
    assert third["escalation"] == 1, "counted from the first offer, however often it goes round"
    assert third["executor_id"] in {far, task["executor_id"]}


async def test_pitfall_30_what_the_second_pool_refused_goes_when_it_no_longer_does(
    database: Database, pool_id: PoolId
) -> None:
    second = await add_pool(database, code="second")
    await database.hot.execute(
        "INSERT INTO parameters (pool_id, owner, key, type, required) VALUES ($1, 'task', 'floor', 'string', true)",
        second,
    )
    await database.hot.execute(
        "INSERT INTO tasks (pool_id, wait_reason, waiting_since) VALUES ($1, 'all_busy', now() - interval '1 hour')",
        pool_id,
    )
    await database.hot.execute(
        "INSERT INTO webhooks (pool_id, url, secret) VALUES ($1, 'https://example.org/', 'x')", pool_id
    )
    options = {"flow": {"escalation": [{"after_minutes": 30, "to_pool": second}]}}
    await database.hot.execute("UPDATE pools SET settings = $2 WHERE id = $1", pool_id, options)
    for _ in range(2):
        await database.hot.execute("UPDATE tasks SET escalate_at = now() - interval '1 minute'")
        await keep_flowing(database.hot, deliver=False)
    [said] = await database.hot.fetch("SELECT event, reason FROM task_events")
    assert said["event"] == "escalate" and "parameters.floor: required, but missing" in said["reason"]
    await database.hot.execute("DELETE FROM parameters WHERE pool_id = $1", second)
    await database.hot.execute("UPDATE tasks SET escalate_at = now() - interval '1 minute'")
    await keep_flowing(database.hot, deliver=False)
    assert await database.hot.fetchval("SELECT pool_id FROM tasks") == second
    [message] = await database.hot.fetch("SELECT event, payload FROM outbox")
    assert (message["event"], message["payload"]["to_pool_id"]) == (
        "moved_on",
        second,
    ), "a receiver hears of it"


async def warned(story: Story, conditions: list[Any]) -> list[Any]:
    """What is said of these rules, before they are saved, about conditions that escalation relaxes."""
    answer = await story.client.post("/v1/rules/validate", json={"rules": {"conditions": conditions}})
    return [each for each in answer.json()["warnings"] if each["code"] == "relaxes_nothing"]


async def test_escalation_follows_a_renamed_condition_and_keeps_one_that_is_gone(story: Story) -> None:
    await with_rules(story)
    step = {"after_minutes": 30, "relax": ["same city"]}
    assert (await flow(story, escalation=[step])).status_code == 200
    same = {"operator": "eq", "field": "executor.parameters.city", "value": "Kazan"}
    other = {"name": "licence", "operator": "eq", "field": "executor.parameters.licence", "value": True}
    renamed = await put_in_force(story, [{"name": "nearby", **same}, other])
    assert renamed.status_code == 200, renamed.text
    flow_now = (await story.client.get(f"/v1/pools/{story.pool_id}")).json()["settings"]["flow"]
    assert flow_now["escalation"][0]["relax"] == ["nearby"]
    assert await warned(story, [{**same, "name": "local"}, other]) == [], "it only has another name"
    [told] = await warned(story, [other])
    assert "relaxes 'nearby', which these rules do not have" in told["message"]
    refused = await put_in_force(story, [other])
    assert refused.status_code == 422
    assert "names 'nearby', which these rules do not have" in problem_in(refused)["detail"]


async def test_a_condition_without_a_name_is_relaxed_by_what_it_says_and_not_by_its_place(
    story: Story,
) -> None:
    await with_rules(story)
    city = {"operator": "eq", "field": "executor.parameters.city", "value": "Kazan"}
    licence = {"operator": "eq", "field": "executor.parameters.licence", "value": True}
    assert (await put_in_force(story, [city, licence])).status_code == 200
    answer = await flow(story, escalation=[{"after_minutes": 30, "relax": ["conditions[0]"]}])
    assert answer.status_code == 200, answer.text
    assert (await put_in_force(story, [licence, city])).status_code == 200
    flow_now = (await story.client.get(f"/v1/pools/{story.pool_id}")).json()["settings"]["flow"]
    assert flow_now["escalation"][0]["relax"] == ["conditions[1]"]
    assert (await put_in_force(story, [licence])).status_code == 422


async def put_in_force(story: Story, conditions: list[dict[str, Any]]) -> Any:
    made = await story.client.post("/v1/rules", json={"name": "main", "rules": {"conditions": conditions}})
    assert made.status_code == 201, made.text
    return await story.client.post(f"/v1/rules/{made.json()['rule_set_id']}/activate")


async def test_a_paused_pool_gives_nothing_out_and_says_so(story: Story) -> None:
    place = f"/v1/pools/{story.pool_id}"
    before = await story.task()
    assert before["wait_reason"] == "no_one_eligible"
    assert (await story.client.patch(place, json={"active": False})).status_code == 200
    now = await story.get(before)
    assert now["wait_reason"] == "paused", "the reason of what waits is true at once"
    anna = await story.executor()
    during = await story.task()
    assert (during["status"], during["wait_reason"]) == ("pending", "paused")
    named = await story.done(during, "reassign", executor_id=anna, wait=1)
    assert (named["status"], named["wait_reason"]) == ("pending", "paused"), "by name neither"
    alerts = (await story.client.get("/v1/distribution/overview")).json()["alerts"]
    assert "paused" in [alert["code"] for alert in alerts]
    preview = await story.client.post("/v1/tasks/preview", json={})
    assert preview.json()["wait_reason"] == "paused", preview.text
    assert (await story.client.patch(place, json={"active": True})).status_code == 200
    for task in (before, during):
        await story.becomes(task, "assigned")
    await story.sound()


async def test_a_pause_ends_when_it_was_to(story: Story) -> None:
    place = f"/v1/pools/{story.pool_id}"
    await story.executor()
    until_then = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    refused = await story.client.patch(place, json={"paused_until": until_then})
    assert refused.status_code == 422 and "paused_until" in refused.text
    paused = await story.client.patch(place, json={"active": False, "paused_until": until_then})
    assert paused.status_code == 200, paused.text
    task = await story.task()
    assert (task["wait_reason"], task["wait_until"]) == ("paused", paused.json()["paused_until"])
    await story.database.hot.execute("UPDATE pools SET paused_until = now() - interval '1 second'")
    await story.becomes(task, "assigned")
    pool = (await story.client.get(place)).json()
    assert (pool["active"], pool["paused_until"]) == (True, None)


async def test_pitfall_28_work_of_who_may_not_have_it_any_more_is_listed_alarmed_and_moved(
    story: Story,
) -> None:
    await with_rules(story)
    able = {"city": "Kazan", "licence": True}
    anna, boris = [await story.executor(parameters=able) for _ in range(2)]
    mine, theirs = [await story.task() for _ in range(2)]
    assert {mine["executor_id"], theirs["executor_id"]} == {anna, boris}
    await change(story, mine["executor_id"], parameters={"licence": False})
    await change(story, theirs["executor_id"], active=False)
    listed = (await story.client.get("/v1/distribution/misplaced")).json()["items"]
    assert [(each["task_id"], each["because"], each["rule"]) for each in listed] == [
        (mine["task_id"], "rule", "licence"),
        (theirs["task_id"], "left", None),
    ]
    clara = await story.executor(parameters=able)

    async def alarmed() -> bool:
        look = (await story.client.get("/v1/distribution/overview")).json()
        return {"code": "misplaced", "severity": "warning", "values": {"tasks": 2.0}} in look["alerts"]

    await until(alarmed)
    [symptom] = [each for each in await symptoms(story) if each.name == "Misplaced work"]
    assert (symptom.state, symptom.found[-9:]) == (State.WORTH_KNOWING, "default 2")
    assert await MisplacedRound(story.database.hot).look() == {story.pool_id: 2}
    moved = await story.client.post("/v1/distribution/misplaced/move", json={})
    assert moved.json() == {"task_ids": [mine["task_id"], theirs["task_id"]]}, moved.text
    for task in (mine, theirs):
        assert (await story.becomes(task, "assigned"))["executor_id"] == clara
    assert (await story.client.get("/v1/distribution/misplaced")).json()["items"] == []
    [symptom] = [each for each in await symptoms(story) if each.name == "Misplaced work"]
    assert symptom.state is State.WELL
    await story.sound()


async def symptoms(story: Story) -> list[Symptom]:
    """What `doctor` says of the system."""
    schema = await story.database.hot.fetchval("SELECT version_num FROM alembic_version")
    return await examine(story.database.hot, None, schema=schema, repair=False)


async def test_work_given_by_name_against_the_rules_is_not_misplaced(story: Story) -> None:
    await with_rules(story)
    anna = await story.executor(parameters={"city": "Omsk", "licence": True})
    task = await story.task()
    await story.done(task, "reassign", executor_id=anna, wait=30)
    assert (await story.client.get("/v1/distribution/misplaced")).json()["items"] == []


async def test_completing_again_is_answered_as_the_first_time_to_the_same_actor_only(story: Story) -> None:
    await story.executor()
    task = await story.task()
    seen = (await story.get(task))["version"]
    first = await story.done(task, "complete", version=None)
    again = await story.move(task, "complete", version=seen)
    assert again.status_code == 200 and again.json()["version"] == first["version"]
    assert [step["event"] for step in await story.history(task)].count("complete") == 1
    by_another = Move(TaskId(task["task_id"]), MoveName.COMPLETE, "somebody else")
    [refused] = await move_tasks(story.database.hot, pool_id=story.pool_id, moves=[by_another], deliver=False)
    assert isinstance(refused, ForbiddenMove)


async def test_who_takes_nothing_for_a_while_is_owed_nothing_for_it(story: Story) -> None:
    anna, boris = await story.executor(), await story.executor(max_open=0)
    first = [await story.task() for _ in range(6)]
    assert {task["executor_id"] for task in first} == {anna}
    await change(story, boris, max_open=None)
    then = [(await story.task())["executor_id"] for _ in range(6)]
    assert then.count(boris) == 3, "joins in level: neither flooded nor starved"


async def test_a_resumed_task_goes_back_past_a_full_hand(story: Story) -> None:
    anna = await story.executor(max_open=1)
    back = await story.task()
    await story.done(back, "return")
    await story.task()
    again = await story.done(back, "resume", wait=30)
    assert (again["executor_id"], again["assignment"]["kind"]) == (anna, "rework")
    waiting = await story.task()
    assert waiting["wait_reason"] == "all_busy", "nothing new until there is room"
    await story.sound()


async def test_a_task_that_went_on_keeps_its_place_by_arrival(database: Database, pool_id: PoolId) -> None:
    second = await add_pool(database, code="second")
    await database.hot.execute(
        "INSERT INTO tasks (pool_id, external_id, wait_reason, waiting_since, created_at)"
        " VALUES ($1, 'older', 'all_busy', now() - interval '1 hour', now() - interval '1 hour')",
        pool_id,
    )
    await database.hot.execute("INSERT INTO tasks (pool_id, external_id) VALUES ($1, 'newer')", second)
    options = {"flow": {"escalation": [{"after_minutes": 30, "to_pool": second}]}}
    await database.hot.execute("UPDATE pools SET settings = $2 WHERE id = $1", pool_id, options)
    await keep_flowing(database.hot, deliver=False)
    await add_executors(database, second, 1, max_open=1)
    await place_batch(database.hot, PoolSnapshot(second), limit=10, deliver=False)
    given = await database.hot.fetchval("SELECT external_id FROM tasks WHERE status = 'assigned'")
    assert given == "older", "it waited longer, wherever that was"


NIGHT = """
INSERT INTO tasks (pool_id, waiting_since) SELECT $1, now() - interval '8 hours' FROM generate_series(1, 6)
"""


@pytest.mark.parametrize(("minutes", "first_gets"), [(None, 6), (5, 6), (30, 3)])
async def test_pitfall_32_the_first_at_eight_gets_the_whole_night_only_where_the_pool_says_so(
    database: Database, pool_id: PoolId, minutes: float | None, first_gets: int
) -> None:
    options = {"flow": {"hold_back_minutes": minutes}} if minutes else {}
    await database.hot.execute("UPDATE pools SET settings = $2 WHERE id = $1", pool_id, options)
    first, second = await add_executors(database, pool_id, 2)
    now = datetime.now(UTC)
    async with database.session() as session:
        away = NewAbsence(now - timedelta(hours=8), now + timedelta(minutes=10))
        absence, _ = await add_absence(session, executor_id=second, absence=away, now=now)
    await database.hot.execute(NIGHT, pool_id)
    picture = PoolSnapshot(pool_id)
    await place_batch(database.hot, picture, limit=100, deliver=False)
    assert await carries(database, first) == first_gets
    held = await database.hot.fetch("SELECT wait_reason, wake_at FROM tasks WHERE status = 'pending'")
    assert {(row["wait_reason"], row["wake_at"]) for row in held} <= {("held_back", absence.ends_at)}
    await database.hot.execute("INSERT INTO tasks (pool_id) VALUES ($1)", pool_id)
    await place_batch(database.hot, picture, limit=100, deliver=False)
    assert await carries(database, first) == first_gets + 1, "what comes now is not held back"
    async with database.session() as session:
        await remove_absence(session, executor_id=second, absence_id=absence.id, now=now)
    await place_batch(database.hot, picture, limit=100, deliver=False)
    assert await carries(database, second) == 6 - first_gets


async def carries(database: Database, executor_id: int) -> int:
    return int(
        await database.hot.fetchval(
            "SELECT open_count FROM executor_loads WHERE executor_id = $1", executor_id
        )
    )
