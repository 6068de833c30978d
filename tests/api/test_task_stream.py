"""POST /v1/tasks/stream: any number of tasks, each piece durable before it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.api.routes.work.task_stream import EXAMPLE
from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from tests.api.conftest import problem_in, serving

URL = "/v1/tasks/stream"


def lines(first: int, last: int) -> bytes:
    return b"".join(b'{"external_id": "S-%d", "weight": 2}\n' % number for number in range(first, last))


async def count(database: Database) -> int:
    async with database.hot.acquire() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tasks"))


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 202, response.text
    return [json.loads(line) for line in response.text.splitlines()]


async def test_the_documented_example_works(client: httpx.AsyncClient, database: Database) -> None:
    [answer] = answers(await client.post(URL, content=EXAMPLE))
    assert (answer["from"], answer["to"], len(answer["task_ids"]), answer["problems"]) == (0, 2, 2, [])
    assert await count(database) == 2


async def test_every_line_is_answered_in_its_order_and_sent_again_changes_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    first = answers(await client.post(URL, content=lines(0, 1234)))
    again = answers(await client.post(URL, content=lines(0, 1234)))
    assert [each["from"] for each in first[1:]] == [each["to"] for each in first[:-1]]
    ids = [task_id for each in first for task_id in each["task_ids"]]
    assert len(set(ids)) == 1234 == await count(database)
    assert [task_id for each in again for task_id in each["task_ids"]] == ids
    assert [number for each in again for number in each["duplicates"]] == list(range(1234))


async def test_a_wrong_line_is_told_and_its_neighbours_are_taken(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = lines(0, 1) + b'{"weight": -1}\n{"a": }\n\n{"pool_id": 999}\n' + lines(1, 2)
    [answer] = answers(await client.post(URL, content=body))
    assert [task_id is None for task_id in answer["task_ids"]] == [False, True, True, True, False]
    assert [(each["line"], each["status"]) for each in answer["problems"]] == [(1, 422), (2, 422), (3, 404)]
    assert answer["problems"][0]["errors"][0]["field"] == "weight"
    assert await count(database) == 2


@pytest.mark.parametrize("body", [b"", b"\n \n"])
async def test_an_empty_stream_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(URL, content=body)
    assert response.status_code == 422
    assert "line" in problem_in(response)["detail"]


async def test_an_endless_line_ends_the_stream_and_what_came_before_stays(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield lines(0, 10)
        for _ in range(10):
            yield b"x" * 100_000

    said = answers(await client.post(URL, content=body()))
    assert said[0]["to"] == 10
    assert said[-1]["problem"]["status"] == 413
    assert await count(database) == 10


@pytest.fixture
def address(settings: Settings, pool_id: PoolId) -> Iterator[str]:
    """A real server that takes bodies of a kilobyte at most, streams excepted."""
    with serving(settings.model_copy(update={"max_body_bytes": 1024})) as address:
        yield address


async def test_a_sender_that_is_cut_in_the_middle_finds_all_that_was_answered_and_goes_on(
    address: str, database: Database
) -> None:
    answered = await _send_and_cut(address)
    assert answered >= 20
    assert await count(database) >= answered, "an answered line is not there"
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        said = answers(await client.post(URL, content=lines(0, 40)))
    assert said[-1]["to"] == 40
    assert await count(database) == 40, "sent again, something is there twice"


async def _send_and_cut(address: str) -> int:
    """Send a piece, read its answer, send half of another and go; how many lines were answered."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode() + _chunk(lines(0, 20)))
    async with asyncio.timeout(60):
        said = b""
        while b'"to":20' not in said:  # while the body is still being sent: answers do not wait for its end
            more = await reader.read(65536)
            assert more, f"the server hung up: {said!r}"
            said += more
    writer.write(_chunk(lines(20, 30) + b'{"external_id": "S-3'))
    await writer.drain()
    writer.transport.abort()
    return 20


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_stream_may_be_larger_than_any_other_body(address: str, database: Database) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        said = answers(await client.post(URL, content=lines(0, 3000)))
    assert said[-1]["to"] == 3000 == await count(database)
