"""Open streams: a right that was taken ends them, and nobody takes the places of all."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.access.roles import Caller
from app.engine.types import PoolId
from app.errors import Overloaded, Unavailable
from app.services.accounts import callers as accounts
from app.services.accounts.callers import Callers
from app.services.live import stream_places
from app.services.live.stream_places import StreamLimits, StreamPlaces, Watcher
from tests.access.conftest import House
from tests.api.conftest import serving
from tests.conftest import Figure

PATIENCE = 120.0


async def until_it_ends(
    client: httpx.AsyncClient, headers: dict[str, str], opened: asyncio.Queue[int]
) -> float:
    """Read a stream to its end; the instant at which it ended."""
    async with client.stream("GET", "/v1/events", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("event: kpis"):
                await opened.put(1)
    return time.monotonic()


@pytest.mark.slow
async def test_a_stream_ends_with_the_right_to_it(house: House, figure: Figure) -> None:
    """Deactivation, loss of the pool, sign-out, revoked key, expired token; changed elsewhere, so by looking alone."""
    settings = house.settings.model_copy(update={"default_pool": "mine"})
    database, mine = house.database.hot, int(house.mine.pool_id)
    users = {
        name: await house.user("viewer", pools=[mine]) for name in ("off", "pool", "out", "old", "stays")
    }
    tokens = {name: house.token(user) for name, user in users.items()}
    tokens["old"] = house.token(users["old"], life=timedelta(seconds=20))
    tokens["key"] = await house.api_key(["events.read"], [mine])
    with serving(settings) as address:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            opened: asyncio.Queue[int] = asyncio.Queue()
            streams = {
                name: asyncio.create_task(until_it_ends(client, headers, opened))
                for name, headers in tokens.items()
            }
            for _ in streams:
                await asyncio.wait_for(opened.get(), PATIENCE)
            await database.execute("UPDATE users SET active = false WHERE id = $1", users["off"])
            await database.execute("UPDATE users SET pool_ids = '{}' WHERE id = $1", users["pool"])
            await database.execute("UPDATE users SET token_version = 2 WHERE id = $1", users["out"])
            await database.execute("UPDATE api_keys SET revoked_at = now()")
            taken = time.monotonic()
            for name in ("off", "pool", "out", "key"):
                ended = await asyncio.wait_for(streams[name], PATIENCE)
                figure("seconds until a stream ended with its right", ended - taken)
            await asyncio.wait_for(streams["old"], PATIENCE)
            assert not streams["stays"].done()
            await database.execute("UPDATE users SET active = false")
            await asyncio.wait_for(streams["stays"], PATIENCE)
    assert accounts._FRESH_SECONDS + stream_places.CHECK_SECONDS < 2, "the bound that SECURITY.md states"


def a_watcher(name: str, address: str = "192.0.2.1") -> Watcher:
    return Watcher(PoolId(1), Caller(name, "viewer", frozenset({1}), address=address), None)


@pytest.fixture
def callers(house: House) -> Callers:
    return Callers(house.database.hot, house.settings.key_ring())


async def test_one_caller_takes_its_share_of_places_and_no_more(callers: Callers) -> None:
    places = StreamPlaces(callers, StreamLimits(per_caller=3, per_address=5))
    for _ in range(3):
        places.take(a_watcher("greedy"), most=100)
    with pytest.raises(Overloaded, match="EVENT_STREAMS_PER_CALLER"):
        places.take(a_watcher("greedy"), most=100)
    for number in range(2):
        places.take(a_watcher(f"other {number}"), most=100)
    with pytest.raises(Overloaded, match="EVENT_STREAMS_PER_ADDRESS"):
        places.take(a_watcher("from the same address"), most=100)
    places.take(a_watcher("from another address", "192.0.2.2"), most=100)


async def test_where_all_places_are_taken_who_has_none_gets_the_oldest_of_who_has_most(
    callers: Callers,
) -> None:
    places = StreamPlaces(callers, StreamLimits(per_caller=20, per_address=250))
    greedy = [a_watcher("greedy") for _ in range(5)]
    for watcher in [*greedy, a_watcher("modest")]:
        places.take(watcher, most=6)
    newcomers = [a_watcher(f"newcomer {number}") for number in range(4)]
    for newcomer in newcomers:
        places.take(newcomer, most=6)
    assert [watcher.ended.is_set() for watcher in greedy] == [True, True, True, True, False]
    assert not any(newcomer.ended.is_set() for newcomer in newcomers)
    with pytest.raises(Unavailable, match="overview"):  # everybody has one: nobody loses theirs
        places.take(a_watcher("too late"), most=6)
    with pytest.raises(Unavailable):
        places.take(a_watcher("greedy"), most=6)


async def test_a_place_is_given_back_however_a_stream_ends(house: House) -> None:
    few = house.settings.model_copy(update={"default_pool": "mine", "event_streams_per_caller": 1})
    headers: dict[str, Any] = house.token(await house.user("viewer", pools=[int(house.mine.pool_id)]))
    with serving(few) as address:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            async with client.stream("GET", "/v1/events", headers=headers) as answer:
                assert answer.status_code == 200
                refused = await client.get("/v1/events", headers=headers)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE)
            status = 0
            while (
                status != 200 and datetime.now(UTC) < deadline
            ):  # the server notices that the client went away
                async with client.stream("GET", "/v1/events", headers=headers) as again:
                    status = again.status_code
            assert status == 200
