"""What can be done with a task after its assignment: allowed moves, forbidden ones, and what they do to loads."""

import asyncio
from typing import Any

from app.services.tasks.moves import MOVES, MoveName, allowed_moves
from tests.api.conftest import problem_in
from tests.lifecycle.conftest import Story, until

WAYS: dict[str, list[str]] = {
    "assigned": [],
    "in_progress": ["start"],
    "completed": ["complete"],
    "rejected": ["reject"],
    "cancelled": ["cancel"],
    "returned": ["return"],
}


async def test_a_task_lives_from_assigned_to_completed(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    assert (task["status"], task["executor_id"]) == ("assigned", anna)
    assert await story.carries(anna) == (1, 1.0)
    await story.done(task, "start")
    ended = await story.done(task, "complete", reason="by phone")
    assert (ended["status"], ended["allowed_moves"]) == ("completed", [])
    assert await story.carries(anna) == (0, 1.0), "the slot is free; the work was received"
    steps = [(step["event"], step["to_status"], step["reason"]) for step in await story.history(task)]
    assert steps == [
        ("created", "pending", ""),
        ("assigned", "assigned", "primary"),
        ("start", "in_progress", ""),
        ("complete", "completed", "by phone"),
    ]
    await story.sound()


async def test_work_that_was_taken_back_undone_does_not_count(story: Story) -> None:
    anna = await story.executor()
    for name in ("reject", "cancel", "reassign"):
        task = await story.task(weight=2.5)
        assert await story.carries(anna) == (1, 2.5)
        await story.done(task, name)
        assert await story.carries(anna) == (0, 0.0)
    await story.sound()


async def test_work_that_waits_for_the_client_frees_the_slot_and_stays_received(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    await story.done(task, "return")
    assert await story.carries(anna) == (0, 1.0)
    await story.sound()


async def test_returned_task_goes_back_to_the_same_executor(story: Story) -> None:
    people = [await story.executor(daily_limit=1) for _ in range(3)]
    task = await story.task()
    await story.done(task, "return")
    again = await story.done(task, "resume", wait=30)
    assert again["executor_id"] == task["executor_id"] in people
    assert again["assignment"]["kind"] == "rework"
    await story.sound()


async def test_a_task_that_comes_back_is_one_task_and_work_twice(story: Story) -> None:
    """Tasks are counted once in every figure; weight is work, and the work of a rework is fixed load (DESIGN 5)."""
    anna = await story.executor()
    task = await story.task(weight=2)
    for _ in range(2):
        await story.done(task, "return")
        task = await story.done(task, "resume", wait=30)
    other = await story.task(weight=1)

    async def figures() -> dict[str, Any]:
        [day] = (await story.client.get("/v1/kpi")).json()["days"]
        report = await story.client.get("/v1/exports/kpi", params={"format": "json", "days": 1})
        [person] = report.json()["executors"]
        stats = (await story.client.get("/v1/distribution/stats")).json()
        hot = story.database.hot
        loads = await hot.fetchrow("SELECT day_count, open_count, window_weight FROM executor_loads")
        return {
            "hours": (day["received"], day["assigned"], day["returned"]),
            "person": (person["assigned"], person["received"]),
            "stats": (stats["total_tasks"], stats["assignments"][0]["executor_id"]),
            "loads": tuple(map(float, loads or ())),
        }

    assert await figures() == {
        "hours": (2, 2, 2),
        "person": (2, 7.0),
        "stats": (2, anna),
        "loads": (2.0, 2.0, 7.0),
    }
    await story.sound()
    await story.done(task, "reject")
    found = await figures()
    assert (found["person"], found["loads"]) == (
        (1, 1.0),
        (1.0, 1.0, 1.0),
    ), "what was taken back counts for nobody, however far it had gone"
    await story.sound()
    assert other["executor_id"] == anna


async def test_the_engine_reassigns_away_from_whoever_had_it(story: Story) -> None:
    people = {await story.executor() for _ in range(2)}
    task = await story.task()
    [other] = people - {task["executor_id"]}
    again = await story.done(task, "reassign", wait=30, reason="on holiday")
    assert (again["executor_id"], again["assignment"]["kind"]) == (other, "reassign")
    await story.sound()


async def test_a_person_reassigns_to_whom_they_choose_whatever_the_limit(story: Story) -> None:
    anna = await story.executor()
    boris = await story.executor(daily_limit=0, availability="break")
    task = await story.task()
    assert task["executor_id"] == anna
    again = await story.done(task, "reassign", wait=30, executor_id=boris, reason="knows the client")
    assert (again["executor_id"], again["assignment"]["kind"]) == (boris, "manual")
    assert (await story.carries(anna), (await story.carries(boris))[0]) == ((0, 0.0), 1)
    assert [step["reason"] for step in await story.history(task) if step["event"] == "reassign"] == [
        "knows the client"
    ]
    explanation = (await story.client.get(f"/v1/tasks/{task['task_id']}/explanation")).json()
    assert "decided" in str(explanation)
    await story.sound()


async def test_a_waiting_task_can_be_given_to_somebody(story: Story) -> None:
    boris = await story.executor(availability="offline")
    task = await story.task()
    assert task["wait_reason"] == "nobody_on_shift"
    problem = problem_in(await story.move(task, "reassign"))
    assert problem["errors"][0]["field"] == "executor_id"
    assert (await story.done(task, "reassign", wait=30, executor_id=boris))["executor_id"] == boris
    await story.sound()


async def test_reassigning_to_nobody_known_or_to_the_same_person_is_refused(story: Story) -> None:
    anna = await story.executor()
    gone = await story.executor(active=False)
    task = await story.task()
    for wrong in (anna, gone, 999_999):
        answer = await story.move(task, "reassign", executor_id=wrong)
        assert (answer.status_code, problem_in(answer)["errors"][0]["field"]) == (422, "executor_id")
    assert (await story.get(task))["version"] == task["version"]


async def test_forbidden_moves_are_refused_with_the_allowed_ones(story: Story) -> None:
    await story.executor()
    for status, way in WAYS.items():
        task = await story.task()
        for move in way:
            task = await story.done(task, move)
        assert (task["status"], task["allowed_moves"]) == (status, allowed_moves(status))
        for name in MoveName:
            again = name is MoveName.COMPLETE and status == "completed"  # of the same actor: the first answer
            if status not in MOVES[name][0] and name is not MoveName.EXPIRE and not again:
                answer = await story.move(task, name.value)
                assert (answer.status_code, problem_in(answer)["allowed"]) == (
                    409,
                    allowed_moves(status),
                ), name
        assert (await story.get(task))["version"] == task["version"]
    await story.sound()


async def test_a_move_based_on_an_old_version_is_refused(story: Story) -> None:
    await story.executor()
    task = await story.task()
    await story.done(task, "start", version=task["version"])
    assert (await story.move(task, "complete", version=task["version"])).status_code == 412
    seen = await story.client.get(f"/v1/tasks/{task['task_id']}")
    version = int(seen.headers["ETag"].strip('"'))
    assert (await story.move(task, "complete", version=version)).status_code == 200


async def test_of_many_who_complete_at_once_one_does_and_all_are_answered_alike(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    answers = await asyncio.gather(*(story.move(task, "complete") for _ in range(20)))
    assert {(answer.status_code, answer.json()["version"]) for answer in answers} == {
        (200, task["version"] + 1)
    }
    assert [step["event"] for step in await story.history(task)].count("complete") == 1
    assert await story.carries(anna) == (0, 1.0)
    await story.sound()


async def test_moves_of_nobody_s_task_are_refused(story: Story) -> None:
    assert (await story.move({"task_id": 999_999}, "complete")).status_code == 404
    assert (await story.client.post("/v1/tasks/1/reassign", json={})).status_code == 422


async def test_pitfall_2_a_freed_slot_is_filled_at_once(story: Story) -> None:
    """A slot is freed, the backlog stays stuck: here the commit that frees it wakes what waits for it."""
    anna = await story.executor(max_open=1)
    first, *others = [await story.task(priority=priority) for priority in (9, 0, 5)]
    assert [task["wait_reason"] for task in others] == ["all_busy"] * 2
    await story.done(first, "complete")
    urgent = await story.becomes(others[1], "assigned")
    assert urgent["executor_id"] == anna
    assert (await story.get(others[0]))["status"] == "pending", "one slot, one task: the most urgent"
    await story.sound()


async def test_a_freed_slot_wakes_only_what_it_can_take(story: Story) -> None:
    anna = await story.executor(max_open=1, daily_limit=5)
    first = await story.task()
    heavy = await story.task(weight=9, priority=9)
    light = await story.task(weight=1)
    assert (heavy["wait_reason"], light["wait_reason"]) == ("too_heavy", "all_busy")
    await story.done(first, "complete")
    assert (await story.becomes(light, "assigned"))["executor_id"] == anna
    assert (await story.get(heavy))["updated_at"] == heavy["updated_at"], "nobody looked at it"
    await story.sound()


async def test_pitfall_15_a_changed_waiting_task_is_looked_at_again(story: Story) -> None:
    anna = await story.executor(daily_limit=2)
    heavy = await story.task(weight=5)
    assert heavy["wait_reason"] == "too_heavy"
    answer = await story.client.patch(f"/v1/tasks/{heavy['task_id']}", json={"weight": 2})
    assert answer.status_code == 200, answer.text
    assert (await story.becomes(heavy, "assigned"))["executor_id"] == anna
    answer = await story.client.patch(f"/v1/tasks/{heavy['task_id']}", json={"weight": 1})
    assert answer.status_code == 409, "counted already"
    answer = await story.client.patch(f"/v1/tasks/{heavy['task_id']}", json={"deadline": None, "priority": 3})
    assert (answer.json()["priority"], answer.json()["status"]) == (3, "assigned")
    assert [step["reason"] for step in await story.history(heavy) if step["event"] == "changed"] == [
        "weight",
        "deadline, priority",
    ]
    await story.done(heavy, "complete")
    assert (
        await story.client.patch(f"/v1/tasks/{heavy['task_id']}", json={"priority": 1})
    ).status_code == 409
    await story.sound()


async def test_what_is_undone_on_a_later_day_leaves_the_day_that_counted_it(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    async with story.database.hot.acquire() as connection, connection.transaction():
        for table in ("assignments", "executor_days", "executor_loads"):
            await connection.execute(f"UPDATE {table} SET business_day = business_day - 1")
        await connection.execute("UPDATE executor_loads SET window_start = window_start - 1")
    later = await story.task()
    await story.done(task, "cancel")
    await story.sound()
    assert await story.carries(anna) == (1, 1.0)
    await story.done(later, "cancel")
    await story.sound()


async def test_a_hundred_moves_at_once_keep_the_counters(story: Story) -> None:
    people = [await story.executor(max_open=10) for _ in range(4)]
    tasks: list[dict[str, Any]] = await asyncio.gather(*(story.task(wait=0) for _ in range(60)))

    async def forty_assigned() -> bool:
        return sum([(await story.carries(person))[0] for person in people]) == 40

    await until(forty_assigned)
    names = ["start", "complete", "reject", "return", "cancel", "reassign"]
    await asyncio.gather(
        *(
            story.move(task, names[(index + turn) % 6])
            for turn in range(2)
            for index, task in enumerate(tasks)
        )
    )
    await story.sound()


async def test_daily_counts_begin_anew_on_request_and_still_equal_the_assignments(story: Story) -> None:
    anna = await story.executor(daily_limit=1)
    first = await story.task()
    waiting = await story.task()
    assert waiting["wait_reason"] == "all_at_limit"
    await story.done(waiting, "cancel")
    await story.done(first, "complete")
    async with story.database.hot.acquire() as connection, connection.transaction():
        for table in ("assignments", "executor_days", "executor_loads"):
            await connection.execute(f"UPDATE {table} SET business_day = business_day - 1")
        await connection.execute("UPDATE executor_loads SET window_start = window_start - 1")
    done = (await story.client.post("/v1/admin/reset-daily-counts")).json()
    assert done == {"pools": 1, "turned_over": 1}
    assert await story.carries(anna) == (0, 0.0)
    assert (await story.client.post("/v1/admin/reset-daily-counts")).json()["turned_over"] == 0
    await story.sound()


async def test_the_assignment_shown_is_the_last_one_whoever_wrote_the_ones_before(story: Story) -> None:
    """Connections number from stores of their own: here the first assignment has the greatest number."""
    people = {await story.executor(), await story.executor()}
    task = await story.task()
    await story.database.hot.execute("UPDATE assignments SET id = id + 1000000")
    await story.done(task, "decline", reason="ill")
    await story.becomes(task, "assigned")
    shown = await story.get(task)
    assert {task["executor_id"], shown["executor_id"]} == people
    assert shown["assignment"]["executor_id"] == shown["executor_id"]
