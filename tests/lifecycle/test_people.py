"""People who come, go, are away and hand over what they have in hand."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.database import Database
from app.engine.types import PoolId
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.waking.waking import Overlooked
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_tasks
from tests.lifecycle.conftest import Story, until


def absence(start: timedelta, end: timedelta, **fields: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"starts_at": (now + start).isoformat(), "ends_at": (now + end).isoformat(), **fields}


HOUR = timedelta(hours=1)


async def plan_absence(story: Story, executor_id: int, **fields: Any) -> dict[str, Any]:
    answer = await story.client.post(
        f"/v1/executors/{executor_id}/absences", json=absence(-HOUR, HOUR, **fields)
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_pitfall_6_work_never_goes_to_people_who_are_away(story: Story) -> None:
    """Absent, on a break, out of hours: never; whoever is left gets it, and nobody when nobody is left."""
    absent, resting, off, here = [await story.executor() for _ in range(4)]
    await plan_absence(story, absent)
    await story.client.patch(f"/v1/executors/{resting}", json={"availability": "break"})
    await story.client.patch(f"/v1/executors/{off}", json={"working_hours": {"days": {}}})
    for _ in range(6):
        assert (await story.task())["executor_id"] == here
    await story.client.patch(f"/v1/executors/{here}", json={"availability": "offline"})
    assert (await story.task())["wait_reason"] == "nobody_on_shift"
    await story.sound()


async def test_pitfall_7_a_day_off_in_the_person_s_own_zone_is_kept(story: Story) -> None:
    """Shifts, leave, breaks unknown: here calendars know days off and zones."""
    always = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    zone = "Pacific/Kiritimati"  # 14 hours ahead: mostly another date than here
    today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
    # Tomorrow too, should it strike midnight there.
    off_days = [(today + timedelta(days=ahead)).isoformat() for ahead in (0, 1)]
    off = await story.executor(working_hours={"days": always, "timezone": zone, "days_off": off_days})
    on = await story.executor(working_hours={"days": always, "timezone": zone})
    assert {(await story.task())["executor_id"] for _ in range(4)} == {on} != {off}


async def test_somebody_who_is_back_early_gets_what_waits(story: Story) -> None:
    anna = await story.executor()
    planned = await plan_absence(story, anna, reason="ill")
    task = await story.task()
    assert task["wait_reason"] == "nobody_on_shift"
    listed = (await story.client.get(f"/v1/executors/{anna}/absences")).json()["items"]
    assert [item["reason"] for item in listed] == ["ill"]
    path = f"/v1/executors/{anna}/absences/{planned['absence_id']}"
    assert (await story.client.delete(path)).status_code == 204
    assert (await story.becomes(task, "assigned"))["executor_id"] == anna
    assert (await story.client.delete(path)).status_code == 404
    assert (await story.client.get("/v1/executors/999/absences")).status_code == 404


async def test_an_absence_that_makes_no_sense_is_refused(story: Story) -> None:
    path = f"/v1/executors/{await story.executor()}/absences"
    for wrong in (absence(HOUR, -HOUR), absence(-2 * HOUR, -HOUR)):
        answer = await story.client.post(path, json=wrong)
        assert (answer.status_code, problem_in(answer)["errors"][0]["field"]) == (422, "ends_at")


async def test_an_absence_keeps_or_reassigns_what_is_in_hand(story: Story) -> None:
    anna, boris = [await story.executor() for _ in range(2)]
    tasks = [await story.task() for _ in range(4)]
    of_anna = [task for task in tasks if task["executor_id"] == anna]
    await story.done(of_anna[0], "start")
    await plan_absence(story, anna, open_tasks="keep")
    assert await story.carries(anna) == (2, 2.0)
    await plan_absence(story, anna, open_tasks="reassign", reason="ill")

    async def boris_has_all() -> bool:
        return (await story.carries(boris))[0] == 4

    await until(boris_has_all)
    steps = [step for step in await story.history(of_anna[0]) if step["event"] == "reassign"]
    assert [(step["actor"], step["reason"]) for step in steps] == [("clock", "ill")]
    await story.sound()


async def test_pitfall_11_whoever_comes_or_comes_back_joins_in_level(story: Story) -> None:
    """Neither flooded nor starved: of the next tasks everybody gets the same, whenever they came."""
    never = {"fairness": {"settle_seconds": 0}}
    assert (await story.client.patch(f"/v1/pools/{story.pool_id}", json=never)).status_code == 200
    anna, boris = [await story.executor() for _ in range(2)]
    for _ in range(10):
        await story.task()
    await story.client.patch(f"/v1/executors/{boris}", json={"availability": "break"})
    for _ in range(4):
        assert (await story.task())["executor_id"] == anna
    await story.client.patch(f"/v1/executors/{boris}", json={"availability": "available"})
    clara = await story.executor()
    received = Counter([(await story.task())["executor_id"] for _ in range(9)])
    assert received == {anna: 3, boris: 3, clara: 3}
    await story.sound()


async def test_pitfall_8_an_absence_reassigns_after_the_minutes_that_were_named(story: Story) -> None:
    anna = await story.executor()
    task = await story.task()
    boris = await story.executor()
    planned = await plan_absence(story, anna, open_tasks="reassign", reassign_after_minutes=90)
    assert planned["reassign_after_minutes"] == 90
    await story.task()  # a sweep or more later
    assert (await story.get(task))["executor_id"] == anna, "an hour has passed, not an hour and a half"
    await story.database.hot.execute(
        "UPDATE executor_absences SET starts_at = starts_at - interval '31 minutes'"
    )

    async def went_on() -> bool:
        return (await story.get(task))["executor_id"] == boris

    await until(went_on)
    await story.sound()


async def test_pitfall_8_a_leaver_s_work_is_spread_with_the_fewest_moves_as_previewed(story: Story) -> None:
    """A person leaves, their work is orphaned: here it goes to the others, evenly, each task once, no other moved."""
    people = [await story.executor() for _ in range(4)]
    tasks = [await story.task() for _ in range(24)]
    leaver = people[0]
    held = {task["task_id"] for task in tasks if task["executor_id"] == leaver}
    plan = (await story.client.get(f"/v1/executors/{leaver}/leaving")).json()
    assert (plan["moves"], plan["waiting"], {item["task_id"] for item in plan["items"]}) == (6, 0, held)
    assert sorted(Counter(item["executor_id"] for item in plan["items"]).values()) == [2, 2, 2]
    assert await story.carries(leaver) == (6, 6.0), "a preview changes nothing"
    answer = await story.client.delete(f"/v1/executors/{leaver}", params={"open_tasks": "reassign"})
    assert answer.status_code == 204

    async def handed_over() -> bool:
        return [(await story.carries(person))[0] for person in people] == [0, 8, 8, 8]

    await until(handed_over)
    after = {task["task_id"]: (await story.get(task))["executor_id"] for task in tasks}
    assert {item["task_id"]: item["executor_id"] for item in plan["items"]} == {
        task_id: after[task_id] for task_id in held
    }
    moved = {task["task_id"] for task in tasks if after[task["task_id"]] != task["executor_id"]}
    assert moved == held
    await story.sound()


async def test_relief_comes_after_the_minutes_that_were_named(story: Story) -> None:
    anna, boris = [await story.executor() for _ in range(2)]
    await story.client.patch(f"/v1/executors/{boris}", json={"availability": "break"})
    task = await story.task()
    await story.client.patch(f"/v1/executors/{boris}", json={"availability": "available"})
    answer = await story.client.post(
        f"/v1/executors/{anna}/hand-over", json={"reason": "training", "after_minutes": 30}
    )
    assert (answer.status_code, answer.json()["task_ids"]) == (200, [])
    assert await story.carries(anna) == (1, 1.0)
    async with story.database.hot.acquire() as connection:
        await connection.execute("UPDATE executors SET reassign_open_at = now() - interval '1 second'")

    async def moved() -> bool:
        return (await story.get(task))["executor_id"] == boris

    await until(moved)
    answer = await story.client.post(f"/v1/executors/{boris}/hand-over", json={"reason": "fell ill"})
    assert answer.json()["task_ids"] == [task["task_id"]]
    await story.sound()


async def test_pitfall_2_room_that_two_events_left_is_found(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 1, max_open=1)
    await add_tasks(database, pool_id, 3)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=False)
    assert await Overlooked().wake(database.hot) == 0, "nobody has room"
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE executors SET max_open = 2")
    assert await Overlooked().wake(database.hot) == 1, "as many as there is room for"
