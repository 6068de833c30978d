"""R12: what was decided reaches the external system, at least once, in order for each task, whatever it does."""

import asyncio
import hashlib
import hmac
import json
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import FastAPI, Request

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.integrations.ais import AisClient
from app.services.audit.invariants import find_violations
from app.services.delivery import sql as delivery_statements
from app.services.delivery.delivery import Breaker
from app.services.delivery.reconciliation import reconcile
from app.services.live.gauges import Gauges
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.telemetry.metrics import exposition
from benchmarks.chaos.external import on_a_socket
from tests.api.conftest import problem_in
from tests.builders import add_executors, add_tasks
from tests.delivery.conftest import (
    External,
    all_delivered,
    outbox,
    sending,
    until,
    write_lives,
)
from tests.lifecycle.conftest import Story


async def test_a_decision_is_sent_and_confirmed(story: Story, emulator: External) -> None:
    anna = await story.executor(external_id="a-1")
    task = await story.task(external_id="INC-1")

    async def confirmed() -> bool:
        return (await story.get(task))["assignment"]["delivery_state"] == "confirmed"

    await until(confirmed)
    shown = emulator.store.assignments[task["task_id"]]
    said = {name: shown[name] for name in ("external_id", "status", "executor_id", "executor_external_id")}
    assert said == {
        "external_id": "INC-1",
        "status": "assigned",
        "executor_id": anna,
        "executor_external_id": "a-1",
    }
    for move in ("start", "return", "resume"):
        await story.done(task, move)
    await story.becomes(task, "assigned")
    await story.done(task, "complete", reason="by phone")
    await until(lambda: all_delivered(story.database))
    shown = emulator.store.assignments[task["task_id"]]
    assert (shown["status"], shown["reason"]) == ("completed", "by phone")
    assert [sequence for _, sequence in emulator.store.log] == sorted({s for _, s in emulator.store.log})
    listed = (await story.client.get("/v1/deliveries", params={"task_id": task["task_id"]})).json()["items"]
    events = [item["event"] for item in sorted(listed, key=lambda item: item["sequence"])]
    assert events == ["assigned", "start", "return", "resume", "assigned", "complete"]
    await story.sound()


async def test_every_life_arrives_in_order_whatever_fails(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    emulator.behave(delay_max=0.02, error_rate=0.15, lost_answer_rate=0.15)
    hurried = settings.model_copy(update={"delivery_batch": 10, "reconcile_seconds": 0})
    await write_lives(database, pool_id, tasks=40, steps=4)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(sending(hurried, database))
        await until(lambda: all_delivered(database))
    assert emulator.inversions() == 0
    assert {shown["sequence"] for shown in emulator.store.assignments.values()} == {4}
    assert len(emulator.store.assignments) == 40
    async with database.hot.acquire() as connection:
        assert [
            finding for finding in await find_violations(connection) if "outbox" in finding.check.name
        ] == []


async def test_several_senders_send_nothing_twice(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    await write_lives(database, pool_id, tasks=150, steps=2)
    small = settings.model_copy(update={"delivery_batch": 7, "reconcile_seconds": 0})
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(sending(small, database))
        await until(lambda: all_delivered(database))
    assert (len(emulator.store.log), emulator.store.counters.duplicates) == (300, 0)


async def test_planted_defect_without_the_sequence_check_order_is_lost(
    settings: Settings,
    database: Database,
    pool_id: PoolId,
    emulator: External,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test above can fail: a claim that looks at no earlier message lets the later one overtake."""
    check = delivery_statements.CLAIM
    start, end = check.index("      AND NOT EXISTS"), check.index("    ORDER BY next_attempt_at")
    monkeypatch.setattr(delivery_statements, "CLAIM", check[:start] + check[end:])
    emulator.behave(delay_max=0.02, error_rate=0.3)
    hurried = settings.model_copy(update={"delivery_batch": 3, "reconcile_seconds": 0})
    await write_lives(database, pool_id, tasks=40, steps=4)
    async with sending(hurried, database):
        await until(lambda: all_delivered(database))
    assert emulator.inversions() > 0


async def test_an_outage_kills_no_message_and_opens_the_breaker_for_all_to_see(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External, client: Any
) -> None:
    async def told() -> tuple[str, float]:
        await Gauges(database.hot).refresh()
        part = (await client.get("/v1/health")).json()["parts"]["external_system"]
        gauge = re.search(rb'delivery_breakers_open\{receiver="ais"\} (\S+)', exposition())
        return part["status"], float(gauge[1]) if gauge else -1.0

    assert await told() == ("up", 0.0)
    emulator.behave(outage=True)
    await write_lives(database, pool_id, tasks=30, steps=1)
    async with sending(settings, database) as sender:

        async def open_() -> bool:
            return any(line.breaker.is_open for line in sender._lines.values())

        await until(open_)

        async def known() -> bool:
            return await told() == ("down", 1.0)

        await until(known)
        health = (await client.get("/v1/health")).json()
        assert health["status"] == "degraded"
        assert "does not answer since" in health["parts"]["external_system"]["detail"]
        assert (await client.get("/v1/health/ready")).status_code == 200, "requests are served all the same"
        asked = emulator.store.counters.requests
        assert (await outbox(database))["dead"] == 0
        emulator.behave(outage=False)
        await until(lambda: all_delivered(database))
        assert emulator.store.counters.requests - asked <= 30, "no message needs a second try then"
    assert await told() == ("up", 0.0)


def test_a_breaker_lets_one_try_through_after_a_while() -> None:
    breaker = Breaker(failures=2, longest=60)
    assert breaker.lets_through(0)
    breaker.note(False, 0)
    assert breaker.lets_through(0)
    breaker.note(False, 0)
    assert breaker.is_open and not breaker.lets_through(0.9)
    assert breaker.lets_through(1.1) and not breaker.lets_through(1.1), "one at a time"
    breaker.note(False, 1.1)
    assert not breaker.lets_through(3.0) and breaker.lets_through(3.2), "the while doubles"
    breaker.note(True, 3.2)
    assert breaker.lets_through(3.2) and not breaker.is_open


async def test_a_message_that_is_refused_dies_visibly_and_lives_again_on_request(
    story: Story, emulator: External
) -> None:
    emulator.behave(refuse_rate=1)
    await story.executor()
    await story.task()

    async def dead() -> list[dict[str, Any]]:
        return list((await story.client.get("/v1/deliveries", params={"state": "dead"})).json()["items"])

    [letter] = await until(dead)
    assert (letter["attempts"], letter["last_error"]) == (2, "refused by the emulator")
    emulator.behave(refuse_rate=0)
    answer = await story.client.post(f"/v1/deliveries/{letter['delivery_id']}/replay")
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    await until(lambda: all_delivered(story.database))
    again = await story.client.post(f"/v1/deliveries/{letter['delivery_id']}/replay")
    assert (again.status_code, problem_in(again)["code"]) == (409, "conflict")
    assert (await story.client.post("/v1/deliveries/999999/replay")).status_code == 404


async def test_pitfall_18_drift_is_found_and_mended(story: Story, emulator: External) -> None:
    """The external system shows something else than we decided: here by hand, and by forgetting."""
    anna, tasks = await story.executor(), [await story.task() for _ in range(2)]

    async def all_confirmed() -> bool:
        return all([(await story.get(task))["assignment"]["delivery_state"] == "confirmed" for task in tasks])

    await until(all_confirmed)
    altered, forgotten = (task["task_id"] for task in tasks)
    emulator.store.assignments[altered]["executor_id"] = anna + 1
    del emulator.store.assignments[forgotten]

    async def mended() -> bool:
        shown = emulator.store.assignments
        return forgotten in shown and shown[altered]["executor_id"] == anna

    await until(mended)
    await until(all_confirmed)
    assert await story.carries(anna) == (
        2,
        2.0,
    ), "load is counted from our decisions, not from what is shown there"


EARLIER = """
INSERT INTO assignments
SELECT (jsonb_populate_record(held, jsonb_build_object('id', id + 1000000, 'released_at', decided_at))).*
FROM assignments held
"""
"""One more that was released, with a greater number: connections number from stores of their own."""


async def test_pitfall_18_an_assignment_says_that_it_drifted_until_it_is_mended(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    """Delivery state per assignment: decided, sent, confirmed, drifted, and confirmed again."""
    await add_executors(database, pool_id, 1)
    [task] = await add_tasks(database, pool_id, 1)
    quiet = settings.model_copy(update={"reconcile_seconds": 0})
    system, states = AisClient(emulator.url, timeout=5), []

    async def note() -> None:
        current = "SELECT delivery_state FROM assignments WHERE released_at IS NULL"
        states.append(await database.hot.fetchval(current))

    async def compare() -> None:
        await reconcile(database.hot, system, after=0, settle=0)
        await note()

    await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=True)
    await database.hot.execute(EARLIER)
    await note()
    async with sending(quiet, database):
        await until(lambda: all_delivered(database))
    await note()
    await compare()
    emulator.store.assignments[task]["executor_id"] = 999
    await compare()
    async with sending(quiet, database):
        await until(lambda: all_delivered(database))
    await compare()
    await system.close()
    assert states == ["decided", "sent", "confirmed", "drifted", "confirmed"]


async def test_a_receiver_that_applies_late_and_in_any_order_ends_with_the_newest(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    emulator.behave(reorder=True, delay_max=0.1)
    await write_lives(database, pool_id, tasks=20, steps=3)
    async with sending(settings, database):
        await until(lambda: all_delivered(database))

        async def settled() -> bool:
            return {shown["sequence"] for shown in emulator.store.assignments.values()} == {3}

        await until(settled)


def receiver(answers: list[int]) -> FastAPI:
    """Somebody else's system: keeps what it is told, answers as it is told."""
    app = FastAPI()
    app.state.heard = []

    @app.post("/hook")
    async def hook(request: Request) -> Any:
        from fastapi.responses import JSONResponse

        app.state.heard.append((dict(request.headers), await request.body()))
        return JSONResponse({}, answers.pop(0) if answers else 200)

    return app


class TestWebhooks:
    """Other receivers of a pool's messages."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"ais_url": None, "outbound_allow": "127.0.0.0/8"})

    async def test_messages_come_signed_and_in_order(self, story: Story) -> None:
        other = receiver([500])
        with on_a_socket(other) as port:
            made = await story.client.post("/v1/webhooks", json={"url": f"http://127.0.0.1:{port}/hook"})
            assert made.status_code == 201, made.text
            secret = made.json()["secret"]
            await story.executor()
            task = await story.task()
            await story.done(task, "complete")
            await until(lambda: all_delivered(story.database))
        assert [json.loads(body)["event"] for _, body in other.state.heard] == [
            "assigned",
            "assigned",
            "complete",
        ]
        headers, body = other.state.heard[-1]
        at, _, given = headers["x-balancer-signature"].partition(",v1=")
        wanted = hmac.new(secret.encode(), at.removeprefix("t=").encode() + b"." + body, hashlib.sha256)
        assert given == wanted.hexdigest()
        listed = (await story.client.get("/v1/webhooks")).json()["items"]
        assert [item["webhook_id"] for item in listed] == [made.json()["webhook_id"]]
        assert "secret" not in listed[0]

    async def test_after_it_is_deleted_nothing_is_sent(self, story: Story) -> None:
        made = await story.client.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook"})
        await story.executor()
        await story.task()
        path = f"/v1/webhooks/{made.json()['webhook_id']}"
        assert (await story.client.delete(path)).status_code == 204
        assert (await story.client.delete(path)).status_code == 404
        await story.task()
        assert (await outbox(story.database))["all"] == (await outbox(story.database))["dead"] == 1

    async def test_an_address_inside_is_refused(self, client: Any) -> None:
        for url in (
            "http://10.0.0.1/x",
            "http://[::ffff:10.0.0.1]/x",
            "http://169.254.169.254/latest",
            "ftp://x",
        ):
            answer = await client.post("/v1/webhooks", json={"url": url})
            assert answer.status_code == 422, url


async def test_people_are_pulled_from_the_external_system(story: Story, emulator: External) -> None:
    emulator.store.executors = {
        "a-1": {"external_id": "a-1", "name": "Anna", "daily_limit": 5, "parameters": {"city": "Kazan"}},
        "b-1": {"external_id": "b-1", "name": "Boris", "active": False},
        "bad": {"external_id": "bad", "name": ""},
    }
    said = (await story.client.post("/v1/executors/cache-sync")).json()
    assert (said["seen"], said["added"], said["changed"], len(said["refused"])) == (3, 2, 0, 1)
    people = {item["external_id"]: item for item in (await story.client.get("/v1/executors")).json()["items"]}
    assert people["a-1"]["daily_limit"] == 5 and not people["b-1"]["active"]
    path = f"/v1/executors/{people['a-1']['executor_id']}"
    await story.client.patch(path, json={"availability": "break", "parameters": {"grade": 3}})
    emulator.store.executors["a-1"]["name"] = "Anna K."
    said = (await story.client.post("/v1/executors/cache-sync")).json()
    assert (said["added"], said["changed"]) == (0, 1)
    anna = (await story.client.get(path)).json()
    assert (anna["name"], anna["availability"]) == ("Anna K.", "break")
    assert anna["parameters"] == {"city": "Kazan", "grade": 3}
    assert (await story.client.post("/v1/executors/cache-sync")).json()["changed"] == 0
    emulator.behave(outage=True)
    answer = await story.client.post("/v1/executors/cache-sync")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_pull_does_not_bring_back_whom_a_lead_removed_or_who_was_erased(
    story: Story, emulator: External
) -> None:
    emulator.store.executors = {
        number: {"external_id": number, "name": number, "active": True} for number in ("a", "b", "c")
    }
    assert (await story.client.post("/v1/executors/cache-sync")).json()["added"] == 3
    ids = {
        item["external_id"]: item["executor_id"]
        for item in (await story.client.get("/v1/executors")).json()["items"]
    }
    assert (await story.client.delete(f"/v1/executors/{ids['a']}")).status_code == 204
    erased = await story.client.post(f"/v1/privacy/executors/{ids['b']}/erase")
    assert erased.is_success, erased.text
    emulator.store.executors["a"]["name"] = "Anna"
    emulator.store.executors["c"]["active"] = False
    said = (await story.client.post("/v1/executors/cache-sync")).json()
    assert (said["added"], said["changed"]) == (0, 2), "the name of a, and c, who left there"
    assert [each.split(":")[0] for each in said["refused"]] == ["b", "a"]
    anna = (await story.client.get(f"/v1/executors/{ids['a']}")).json()
    assert (anna["name"], anna["active"]) == ("Anna", False)
    emulator.store.executors["c"]["active"] = True
    await story.client.patch(f"/v1/executors/{ids['a']}", json={"active": True})
    said = (await story.client.post("/v1/executors/cache-sync")).json()
    assert [each.split(":")[0] for each in said["refused"]] == ["b"]
    brought_back = (await story.client.get(f"/v1/executors/{ids['c']}")).json()
    assert brought_back["active"], "whom it removed it brings back"


async def test_pitfall_20_a_pull_that_would_switch_off_most_of_a_pool_stops_and_asks(
    story: Story, emulator: External
) -> None:
    emulator.store.executors = {
        f"{number}": {"external_id": f"{number}", "name": f"{number}", "active": True} for number in range(8)
    }
    assert (await story.client.post("/v1/executors/cache-sync")).json()["added"] == 8
    for each in list(emulator.store.executors.values())[:6]:
        each["active"] = False
    emulator.store.executors["7"]["name"] = "Anna"
    refused = await story.client.post("/v1/executors/cache-sync")
    assert (refused.status_code, "6 of 8" in refused.json()["detail"]) == (409, True), refused.text
    people = (await story.client.get("/v1/executors")).json()["items"]
    assert all(each["active"] and each["name"] != "Anna" for each in people), "nothing is half done"
    meant = await story.client.post("/v1/executors/cache-sync", params={"allow_many": True})
    assert (meant.status_code, meant.json()["changed"]) == (200, 7)


async def test_people_are_pulled_by_the_clock_too(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    emulator.store.executors = {"a-1": {"external_id": "a-1", "name": "Anna"}}
    async with sending(settings.model_copy(update={"ais_sync_seconds": 0.1}), database):

        async def known() -> Any:
            async with database.hot.acquire() as connection:
                return await connection.fetchval("SELECT name FROM executors")

        assert await until(known) == "Anna"


async def test_a_sender_that_is_stopped_finishes_what_is_under_way(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    emulator.behave(delay_min=0.3, delay_max=0.3)
    await write_lives(database, pool_id, tasks=5, steps=1)
    async with sending(settings, database):

        async def asked() -> bool:
            return emulator.store.counters.requests > 0

        await until(asked)
    assert await outbox(database) == {"all": 5, "delivered": 5, "dead": 0}
    await asyncio.sleep(0)
