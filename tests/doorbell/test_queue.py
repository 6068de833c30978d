"""The doorbell: one conformance suite for both kinds, then what Redis alone can do."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.doorbell import doorbell
from app.doorbell.doorbell import GROUP, STREAM, Doorbell, RedisDoorbell, Ring, SilentDoorbell, open_doorbell
from app.doorbell.pool_owners import WorkerReport
from app.engine.types import PoolId


@pytest.fixture
async def bell(redis_url: str) -> AsyncIterator[RedisDoorbell]:
    bell = RedisDoorbell(redis_url)
    yield bell
    await bell.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Redis that is there and takes its time."""
    monkeypatch.setattr(doorbell, "_ASK_SECONDS", 30.0)


async def _heard(bell: Doorbell, consumer: str = "a") -> list[Ring]:
    """Everything rung until it has been quiet for a moment."""
    rings: list[Ring] = []
    deadline = time.monotonic() + 60
    while not rings and time.monotonic() < deadline:
        rings += await bell.listen(consumer, 0.05)
    return rings


@pytest.mark.parametrize("kind", ["redis", "silent"])
async def test_every_doorbell_can_be_used_without_raising(kind: str, redis_url: str) -> None:
    bell = open_doorbell(redis_url if kind == "redis" else None)
    bell.ring(PoolId(1))
    rings = [*await bell.listen("a", 0.05), *await bell.listen_to_own("a", 0.05)]
    await bell.claim("a", 0.0)
    await bell.forget_gone([PoolId(1)], "a")
    await bell.acknowledge(rings)
    await bell.leave("a")
    assert await bell.healthy()
    await bell.close()


async def test_a_doorbell_whose_redis_is_down_is_quiet_and_says_so() -> None:
    bell = RedisDoorbell("redis://127.0.0.1:1/0")
    bell.ring(PoolId(1))
    assert list(await bell.listen("a", 0.01)) == []
    assert not await bell.healthy()
    await bell.close()


async def test_what_was_rung_before_the_group_existed_is_heard(bell: RedisDoorbell) -> None:
    bell.ring(PoolId(7))
    assert [ring.pool_id for ring in await _heard(bell)] == [7]


async def test_acknowledged_rings_leave_the_stream(bell: RedisDoorbell, redis: Redis) -> None:
    bell.ring(PoolId(7))
    await bell.acknowledge(await _heard(bell))
    assert await redis.xlen(STREAM) == 0


async def test_rings_of_a_dead_consumer_are_claimed(bell: RedisDoorbell) -> None:
    bell.ring(PoolId(7))
    assert await _heard(bell, "dead")
    assert [ring.pool_id for ring in await bell.claim("alive", 0.0)] == [7]


async def test_a_leaving_consumer_rings_again_for_what_it_left(bell: RedisDoorbell, redis: Redis) -> None:
    bell.ring(PoolId(7))
    await _heard(bell, "leaving")
    await bell.leave("leaving")
    assert [ring.pool_id for ring in await _heard(bell, "staying")] == [7]
    assert [member["name"] for member in await redis.xinfo_consumers(STREAM, GROUP)] == [b"staying"]


@pytest.mark.parametrize("loss", ["flush", "group"])
async def test_a_destroyed_stream_or_group_comes_back_by_itself(
    bell: RedisDoorbell, redis: Redis, loss: str
) -> None:
    await bell.listen("a", 0.01)
    await (redis.flushdb() if loss == "flush" else redis.xgroup_destroy(STREAM, GROUP))
    bell.ring(PoolId(7))
    assert [ring.pool_id for ring in await _heard(bell)] == [7]


@pytest.mark.parametrize("fields", [{"x": "1"}, {"p": "not a number"}, {"p": "-5"}])
async def test_an_entry_that_is_not_ours_rings_for_nobody(
    bell: RedisDoorbell, redis: Redis, fields: dict[str, str]
) -> None:
    await redis.xadd(STREAM, fields)
    assert [ring.pool_id for ring in await _heard(bell)] == [0]


async def test_closing_ends_soon_whenever_it_comes(redis_url: str) -> None:
    for turns in range(40):
        bell = RedisDoorbell(redis_url)
        bell.ring(PoolId(1))
        for _ in range(turns):  # each turn of the loop gets the background ringer one step further
            await asyncio.sleep(0)
        async with asyncio.timeout(3):
            await bell.close()


async def test_a_pool_that_somebody_serves_is_rung_at_them_alone(bell: RedisDoorbell, redis: Redis) -> None:
    await bell.listen_to_own("a", 0.01)
    bell.serving.note(PoolId(7), WorkerReport("a"))
    bell.ring(PoolId(7))
    assert [ring.pool_id for ring in await _heard_by_own(bell, "a")] == [7]
    assert await redis.xlen(STREAM) == 0


async def test_a_worker_that_has_gone_is_not_rung_any_more(bell: RedisDoorbell) -> None:
    bell.serving.note(PoolId(7), WorkerReport("gone"))
    bell.ring(PoolId(7))
    assert [ring.pool_id for ring in await _heard(bell, "here")] == [7]
    assert bell.serving.of(PoolId(7)) is None


async def test_a_pool_is_handed_over_to_who_hears_it_and_keeps_it(
    bell: RedisDoorbell, redis_url: str, patient: None
) -> None:
    heir = RedisDoorbell(redis_url)
    assert not await bell.hand_over(PoolId(7), "heir"), "nobody hears it yet"
    assert bell.serving.of(PoolId(7)) is None
    await heir.listen_to_own("heir", 0.01)
    heir.serving.note(PoolId(7), WorkerReport("giver"))
    assert await bell.hand_over(PoolId(7), "heir")
    assert bell.serving.of(PoolId(7)) == "heir"
    assert await _heard_by_own(heir, "heir") == [Ring(None, PoolId(7), is_given=True)]
    assert not heir.serving.leaves(PoolId(7), "heir"), "it would hand back what it was given"
    assert not heir.serving.knows(PoolId(7), "heir"), "its first batch must tell the others"
    await heir.close()


async def test_a_redis_that_hangs_keeps_nobody_from_sweeping() -> None:
    over = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    bell = RedisDoorbell(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    bell.serving.note(PoolId(7), WorkerReport("a"))
    async with asyncio.timeout(4):  # the doorbell's own patience with Redis is 5 s
        assert not await bell.hand_over(PoolId(7), "b")
        await bell.forget_gone([PoolId(7)], "me")
    assert bell.serving.of(PoolId(7)) == "a", "nobody said that it has gone"
    await bell.close()
    over.set()
    server.close()
    await server.wait_closed()


async def test_who_is_no_longer_there_is_forgotten(bell: RedisDoorbell, patient: None) -> None:
    await bell.listen_to_own("here", 0.01)
    bell.serving.note(PoolId(7), WorkerReport("gone"))
    bell.serving.note(PoolId(8), WorkerReport("here"))
    await bell.forget_gone([PoolId(7), PoolId(8), PoolId(9)], "me")
    assert [bell.serving.of(PoolId(number)) for number in (7, 8, 9)] == [None, "here", None]


async def test_who_leaves_hears_nothing_more(bell: RedisDoorbell) -> None:
    await bell.listen_to_own("leaving", 0.01)
    bell.serving.note(PoolId(7), WorkerReport("leaving"))
    await bell.leave("leaving")
    bell.ring(PoolId(7))
    assert [ring.pool_id for ring in await _heard(bell, "staying")] == [7]


async def test_where_nobody_hears_anything_nothing_is_handed_over() -> None:
    assert not await SilentDoorbell().hand_over(PoolId(7), "heir")


async def _heard_by_own(bell: Doorbell, consumer: str) -> list[Ring]:
    rings: list[Ring] = []
    deadline = time.monotonic() + 60
    while not rings and time.monotonic() < deadline:
        rings += await bell.listen_to_own(consumer, 0.05)
    return rings


async def test_a_redis_that_is_not_there_is_known_as_none_is(redis_url: str) -> None:
    nowhere, there, silent = (
        RedisDoorbell("redis://127.0.0.1:9/0"),
        RedisDoorbell(redis_url),
        SilentDoorbell(),
    )
    for bell in (nowhere, there, silent):
        await bell.listen("a", 0.01)
    assert [bell.hears for bell in (nowhere, there, silent)] == [
        False,
        True,
        False,
    ]  # False: sweep every 200 ms
    await nowhere.close()
    await there.close()
