"""Intake: committed before the answer, once per key and external id, whatever is sent at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.database import Database
from app.doorbell.doorbell import SilentDoorbell
from app.engine.types import PoolId, TaskId
from app.errors import Invalid, KeyReused, Overloaded
from app.services.intake.intake import Intake, NewTask, Receipt, write_tasks
from tests.builders import add_pool


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


@pytest.fixture
async def intake(database: Database) -> AsyncIterator[Intake]:
    intake = Intake(database.hot, SilentDoorbell(), batch=100, queue=1000)
    intake.start()
    yield intake
    await intake.stop()


async def _count(database: Database) -> int:
    async with database.hot.acquire() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tasks"))


async def test_concurrent_single_tasks_each_get_their_own_id(
    intake: Intake, database: Database, pool_id: PoolId
) -> None:
    receipts = await asyncio.gather(*(intake.submit(NewTask(pool_id)) for _ in range(300)))
    assert len({receipt.task_id for receipt in receipts}) == 300
    assert await _count(database) == 300


async def test_same_external_id_at_once_is_one_task(
    intake: Intake, database: Database, pool_id: PoolId
) -> None:
    receipts = await asyncio.gather(*(intake.submit(NewTask(pool_id, external_id="A-1")) for _ in range(50)))
    assert len({receipt.task_id for receipt in receipts}) == 1
    assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert await _count(database) == 1


async def test_same_external_id_in_two_pools_is_two_tasks(database: Database, pool_id: PoolId) -> None:
    other = await add_pool(database, code="other")
    tasks = [NewTask(pool_id, external_id="A-1"), NewTask(other, external_id="A-1")]
    assert [isinstance(outcome, Receipt) for outcome in await write_tasks(database.hot, tasks)] == [
        True,
        True,
    ]
    assert await _count(database) == 2


async def test_same_key_and_body_is_one_task_and_another_body_is_refused(
    intake: Intake, database: Database, pool_id: PoolId
) -> None:
    first = await intake.submit(NewTask(pool_id, idempotency_key="k"))
    again = await intake.submit(NewTask(pool_id, idempotency_key="k"))
    assert (again.task_id, again.duplicate) == (first.task_id, True)
    with pytest.raises(KeyReused):
        await intake.submit(NewTask(pool_id, idempotency_key="k", priority=1))
    assert await _count(database) == 1


async def test_key_with_a_known_external_id_points_at_the_task_that_is_there(
    intake: Intake, pool_id: PoolId
) -> None:
    first = await intake.submit(NewTask(pool_id, external_id="A-1"))
    keyed = NewTask(pool_id, external_id="A-1", idempotency_key="k")
    assert (await intake.submit(keyed)).task_id == first.task_id
    assert (await intake.submit(keyed)).task_id == first.task_id


async def test_one_refused_task_does_not_refuse_its_neighbours(database: Database, pool_id: PoolId) -> None:
    orphan = NewTask(pool_id, parent_id=TaskId(999_999))
    impossible = NewTask(pool_id, parameters={"text": "\x00"})
    outcomes = await write_tasks(database.hot, [NewTask(pool_id), orphan, impossible, NewTask(pool_id)])
    assert [type(outcome) for outcome in outcomes] == [Receipt, Invalid, Invalid, Receipt]
    assert await _count(database) == 2


async def test_whole_batch_writes_nothing_when_one_is_refused(database: Database, pool_id: PoolId) -> None:
    outcomes = await write_tasks(
        database.hot, [NewTask(pool_id), NewTask(pool_id, parent_id=TaskId(999_999))], whole=True
    )
    assert any(isinstance(outcome, Invalid) for outcome in outcomes)
    assert await _count(database) == 0


async def test_batches_with_the_same_ids_in_opposite_order_do_not_block_each_other(
    database: Database, pool_id: PoolId
) -> None:
    forward = [NewTask(pool_id, external_id=f"T-{number}") for number in range(200)]
    batches = [forward, forward[::-1]] * 3
    await asyncio.gather(*(write_tasks(database.hot, batch, whole=True) for batch in batches))
    assert await _count(database) == 200


async def test_batches_beyond_what_may_wait_are_told_to_come_back(
    database: Database, pool_id: PoolId
) -> None:
    intake = Intake(database.hot, SilentDoorbell(), batch=100, queue=25)
    batches = [[NewTask(pool_id) for _ in range(60)] for _ in range(3)]
    ends = await asyncio.gather(
        *(intake.submit_batch(batch, whole=True) for batch in batches), return_exceptions=True
    )
    refused = [end for end in ends if isinstance(end, Overloaded)]
    assert [error.headers for error in refused] == [{"Retry-After": "1"}] * 2
    assert await _count(database) == 60
