"""One bad person, message, address or answer stops no other, and no transaction waits for the outside."""

import asyncio
import threading
from typing import Any

import pytest
from fastapi import FastAPI

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.errors import Invalid
from app.integrations.ais import AisClient, AisDown, DeliveryVerdict
from app.integrations.public_addresses import check_url
from app.services.delivery.delivery import Breaker
from app.services.delivery.webhooks import WebhookReceiver
from benchmarks.chaos.external import on_a_socket
from tests.api.conftest import client_of
from tests.delivery.conftest import External, outbox, sending, until, write_lives
from tests.lifecycle.conftest import Story

IN_TRANSACTION = """
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""


async def test_while_the_external_system_is_asked_no_transaction_is_open(
    settings: Settings, database: Database, pool_id: PoolId
) -> None:
    """It answers after seconds, and the server ends a transaction that idles so long."""
    slow, asked, go = FastAPI(), threading.Event(), threading.Event()

    @slow.get("/ais/executors")
    def executors() -> dict[str, Any]:
        asked.set()
        go.wait(60)
        return {"items": [{"external_id": "a-1", "name": "Anna"}]}

    with on_a_socket(slow) as port:
        async with client_of(settings.model_copy(update={"ais_url": f"http://127.0.0.1:{port}"})) as client:
            pull = asyncio.create_task(client.post("/v1/executors/cache-sync"))
            try:
                await asyncio.to_thread(asked.wait, 60)
                assert await database.hot.fetch(IN_TRANSACTION) == []
            finally:
                go.set()
            assert (await pull).json()["added"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"parameters": {"address": {"city": "Kazan"}}},
        {"parameters": {"skills": [["a"]]}},
        {"parameters": {"sum": 2**70}},
        {"parameters": {f"k{number}": 1 for number in range(300)}},
        {"parameters": [1]},
        {"working_hours": {"days": None}},
        {"daily_limit": "much"},
        {"name": "a\x00b"},
    ],
    ids=str,
)
async def test_a_person_who_cannot_be_kept_is_refused_alone(
    story: Story, emulator: External, bad: dict[str, Any]
) -> None:
    emulator.store.executors = {
        "bad": {"external_id": "bad", "name": "Boris", **bad},
        "good": {"external_id": "good", "name": "Anna", "parameters": {"skills": ["a"]}},
    }
    said = (await story.client.post("/v1/executors/cache-sync")).json()
    assert (said["added"], [each.partition(":")[0] for each in said["refused"]]) == (1, ["bad"])
    listed = await story.client.get("/v1/executors")
    assert [item["external_id"] for item in listed.json()["items"]] == ["good"]


async def test_a_stored_value_of_an_older_version_breaks_no_list(story: Story) -> None:
    anna = await story.executor()
    await story.database.hot.execute(
        "UPDATE executors SET parameters = $2::jsonb WHERE id = $1", anna, {"address": {"city": "Kazan"}}
    )
    for path in ("/v1/executors", f"/v1/executors/{anna}"):
        assert (await story.client.get(path)).status_code == 200
    assert (await story.task())["executor_id"] == anna


async def test_a_message_that_cannot_be_read_is_set_aside_alone(
    settings: Settings, database: Database, pool_id: PoolId, emulator: External
) -> None:
    await write_lives(database, pool_id, tasks=4, steps=1)
    await database.hot.execute("UPDATE outbox SET payload = '[]' WHERE id = (SELECT min(id) FROM outbox)")
    async with sending(settings, database):

        async def ended() -> bool:
            found = await outbox(database)
            return found["all"] == found["delivered"] + found["dead"]

        await until(ended)
    assert await outbox(database) == {"all": 4, "delivered": 3, "dead": 1}
    error = await database.hot.fetchval("SELECT last_error FROM outbox WHERE dead_at IS NOT NULL")
    assert "cannot be read" in error


async def test_an_answer_that_names_no_message_harms_no_other(database: Database) -> None:
    odd = FastAPI()

    @odd.post("/ais/assignments")
    def take() -> dict[str, Any]:
        return {"results": [None, 5, {"delivery_id": {}}, {"delivery_id": "2", "accepted": True}]}

    with on_a_socket(odd) as port:
        client = AisClient(f"http://127.0.0.1:{port}", timeout=10)
        assert await client.send([{"delivery_id": 1}, {"delivery_id": 2}]) == {2: DeliveryVerdict(True)}
        with pytest.raises(AisDown):
            await client.executors()
        await client.close()


UNRESOLVABLE = [
    "http://a..example/x",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 130}example/",
    "http://.example/",
]


@pytest.mark.parametrize("url", UNRESOLVABLE)
async def test_a_host_that_cannot_be_looked_up_is_refused_and_one_that_is_stored_is_a_refusal(
    settings: Settings, url: str
) -> None:
    with pytest.raises(Invalid):
        check_url(url)
    receiver = WebhookReceiver(url, "secret", settings)
    said = await receiver.send([{"delivery_id": 7}])
    await receiver.close()
    assert not said[7].accepted and said[7].reason


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 404, 410])
async def test_a_redirect_is_a_refusal_as_any_other(
    settings: Settings, database: Database, pool_id: PoolId, status: int
) -> None:
    """It is not followed, so that repeating it for ever would deliver nothing: it becomes a dead letter."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} x\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        receiver = WebhookReceiver(
            address, "secret", settings.model_copy(update={"outbound_allow": "127.0.0.1"})
        )
        said = await receiver.send([{"delivery_id": 7}])
        await receiver.close()
    assert said[7] == DeliveryVerdict(False, f"{status} ")


def test_a_try_of_an_open_breaker_whose_end_nobody_notes_is_forgotten() -> None:
    breaker = Breaker(failures=1, longest=1, try_seconds=60)
    breaker.note(False, 0)
    assert breaker.lets_through(2) and not breaker.lets_through(3)
    assert breaker.lets_through(63), "the try ended in some way that nobody foresaw"
    breaker.not_tried()
    assert breaker.lets_through(64), "nothing was there to try with"
