"""How SQLAlchemy writes a decided batch, by Core and by the ORM: see `benchmarks.writes`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Update, bindparam, case, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from app.models import (
    Assignment,
    ClassHour,
    ExecutorDay,
    ExecutorLoad,
    KpiHour,
    PoolStateRow,
    TaskRow,
    TrailFrame,
)
from app.services.placement import sql as statements
from benchmarks.writers import Batch, Sum

_PENDING = {
    "wait_reason": None,
    "wake_at": None,
    "wait_class_id": None,
    "wait_explanation": None,
    "attempts": 0,
}


class _Alchemy:
    """One connection of SQLAlchemy's engine."""

    engine: AsyncEngine

    async def open(self, dsn: str) -> None:
        """Connect."""
        self.engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=1)
        async with self.engine.connect():
            pass

    async def close(self) -> None:
        """Disconnect."""
        await self.engine.dispose()


def _fence(batch: Batch) -> Update:
    found = update(PoolStateRow).where(
        PoolStateRow.pool_id == batch.pool_id, PoolStateRow.epoch == batch.epoch
    )
    return found.values(epoch=PoolStateRow.epoch + 1)


def _assignments(batch: Batch) -> list[dict[str, Any]]:
    return [
        {
            "task_id": task,
            "pool_id": batch.pool_id,
            "executor_id": person,
            "kind": "primary",
            "class_id": class_id,
            "weight": weight,
            "score": score,
            "explanation": explanation,
            "business_day": batch.day,
            "decided_at": batch.now,
        }
        for task, person, class_id, weight, score, explanation in zip(
            batch.tasks,
            batch.people,
            batch.classes,
            batch.weights,
            batch.scores,
            batch.explanations(),
            strict=True,
        )
    ]


class Core(_Alchemy):
    """Lists of values; counters are added to by the database."""

    async def write(self, batch: Batch) -> None:
        """One statement with many values for each table."""
        sums = batch.sums(batch.people)
        async with self.engine.begin() as connection:
            assert (await connection.execute(_fence(batch))).rowcount == 1
            await connection.execute(
                update(TaskRow)
                .where(TaskRow.id == bindparam("task"), TaskRow.status == "pending")
                .values(
                    status="assigned",
                    executor_id=bindparam("person"),
                    version=TaskRow.version + 1,
                    **_PENDING,
                )
                .values(updated_at=batch.now),
                [
                    {"task": task, "person": person}
                    for task, person in zip(batch.tasks, batch.people, strict=True)
                ],
            )
            await connection.execute(insert(Assignment).returning(Assignment.id), _assignments(batch))
            await connection.execute(
                self._loads(batch),
                [
                    {"person": sum_.of, "more": sum_.count, "heavier": sum_.weight, "last": sum_.last}
                    for sum_ in sums
                ],
            )
            await connection.execute(*self._days(batch, sums))
            await connection.execute(*self._classes(batch))
            hour = postgresql.insert(KpiHour).values(
                pool_id=batch.pool_id, hour=batch.hour, stripe=0, assigned=len(batch.tasks)
            )
            more = KpiHour.assigned + hour.excluded.assigned
            await connection.execute(
                hour.on_conflict_do_update(
                    index_elements=["pool_id", "hour", "stripe"], set_={"assigned": more}
                )
            )
            await connection.execute(
                insert(TrailFrame).values(
                    pool_id=batch.pool_id, number=batch.epoch + 1, start=1, content=batch.frame()
                )
            )
            await connection.execute(select(func.pg_notify(statements.TICK_CHANNEL, "{}")))

    def _loads(self, batch: Batch) -> Update:
        load, heavier = ExecutorLoad, bindparam("heavier", type_=ExecutorLoad.day_weight.type)
        today, window = load.business_day == batch.day, load.window_start == batch.day
        return (
            update(load)
            .where(load.executor_id == bindparam("person"))
            .values(
                epoch=batch.epoch + 1,
                open_count=load.open_count + bindparam("more"),
                open_weight=load.open_weight + heavier,
                window_weight=case((window, load.window_weight), else_=0) + heavier,
                window_start=batch.day,
                day_count=case((today, load.day_count), else_=0) + bindparam("more"),
                day_weight=case((today, load.day_weight), else_=0) + heavier,
                day_routed=case((today, load.day_routed), else_=0) + heavier,
                business_day=batch.day,
                last_assigned=bindparam("last"),
            )
        )

    def _days(self, batch: Batch, sums: Sequence[Sum]) -> tuple[Any, list[dict[str, Any]]]:
        new = postgresql.insert(ExecutorDay)
        names = ("assigned_count", "assigned_weight", "routed_weight")
        more = {name: getattr(ExecutorDay, name) + new.excluded[name] for name in names}
        rows = [
            {
                "executor_id": sum_.of,
                "business_day": batch.day,
                "pool_id": batch.pool_id,
                **dict(zip(names, (sum_.count, sum_.weight, sum_.weight), strict=True)),
            }
            for sum_ in sums
        ]
        return new.on_conflict_do_update(index_elements=["executor_id", "business_day"], set_=more), rows

    def _classes(self, batch: Batch) -> tuple[Any, list[dict[str, Any]]]:
        new = postgresql.insert(ClassHour)
        names = ("placed_count", "placed_weight")
        more = {name: getattr(ClassHour, name) + new.excluded[name] for name in names}
        rows = [
            {
                "class_id": sum_.of,
                "roster_id": batch.roster_id,
                "hour": batch.hour,
                "pool_id": batch.pool_id,
                **dict(zip(names, (sum_.count, sum_.weight), strict=True)),
            }
            for sum_ in batch.sums(batch.classes)
        ]
        return new.on_conflict_do_update(index_elements=["class_id", "roster_id", "hour"], set_=more), rows


class Orm(_Alchemy):
    """Objects are read, changed and flushed; tasks and assignments in bulk, by primary key."""

    async def write(self, batch: Batch) -> None:
        """What a service would do that knows nothing but the ORM."""
        async with AsyncSession(self.engine) as session, session.begin():
            moved = await session.execute(_fence(batch), execution_options={"synchronize_session": False})
            assert moved.rowcount == 1  # type: ignore[attr-defined]
            await session.execute(update(TaskRow), self._tasks(batch))
            await session.execute(insert(Assignment).returning(Assignment.id), _assignments(batch))
            await self._loads(session, batch)
            await self._days(session, batch)
            await self._classes(session, batch)
            hour = await session.get(KpiHour, (batch.pool_id, batch.hour, 0))
            if hour is None:
                session.add(
                    KpiHour(pool_id=batch.pool_id, hour=batch.hour, stripe=0, assigned=len(batch.tasks))
                )
            else:
                hour.assigned += len(batch.tasks)
            session.add(
                TrailFrame(pool_id=batch.pool_id, number=batch.epoch + 1, start=1, content=batch.frame())
            )
            await session.flush()
            await session.execute(select(func.pg_notify(statements.TICK_CHANNEL, "{}")))

    def _tasks(self, batch: Batch) -> list[dict[str, Any]]:
        same = {"status": "assigned", "version": 2, "updated_at": batch.now, **_PENDING}
        pairs = zip(batch.tasks, batch.people, strict=True)
        return [{"id": task, "executor_id": person, **same} for task, person in pairs]

    async def _loads(self, session: AsyncSession, batch: Batch) -> None:
        sums = {sum_.of: sum_ for sum_ in batch.sums(batch.people)}
        mine = select(ExecutorLoad).where(ExecutorLoad.executor_id.in_(sums))
        for load in (await session.scalars(mine)).all():
            sum_ = sums[load.executor_id]
            if load.window_start != batch.day:
                load.window_start, load.window_weight = batch.day, Decimal(0)
            if load.business_day != batch.day:
                load.business_day, load.day_count = batch.day, 0
                load.day_weight = load.day_routed = Decimal(0)
            load.epoch, load.last_assigned = batch.epoch + 1, sum_.last
            load.open_count += sum_.count
            load.day_count += sum_.count
            load.open_weight += sum_.weight
            load.window_weight += sum_.weight
            load.day_weight += sum_.weight
            load.day_routed += sum_.weight

    async def _days(self, session: AsyncSession, batch: Batch) -> None:
        names = ("assigned_count", "assigned_weight", "routed_weight")
        sums = {sum_.of: (sum_.count, sum_.weight, sum_.weight) for sum_ in batch.sums(batch.people)}
        same = {"business_day": batch.day, "pool_id": batch.pool_id}
        mine = select(ExecutorDay).where(
            ExecutorDay.executor_id.in_(sums), ExecutorDay.business_day == batch.day
        )
        for day in (await session.scalars(mine)).all():
            _add(day, names, sums.pop(day.executor_id))
        session.add_all(
            ExecutorDay(executor_id=who, **same, **dict(zip(names, more, strict=True)))
            for who, more in sums.items()
        )

    async def _classes(self, session: AsyncSession, batch: Batch) -> None:
        names = ("placed_count", "placed_weight")
        sums = {sum_.of: (sum_.count, sum_.weight) for sum_ in batch.sums(batch.classes)}
        same = {"roster_id": batch.roster_id, "hour": batch.hour, "pool_id": batch.pool_id}
        mine = select(ClassHour).where(ClassHour.class_id.in_(sums), ClassHour.hour == batch.hour)
        for hour in (await session.scalars(mine)).all():
            _add(hour, names, sums.pop(hour.class_id))
        session.add_all(
            ClassHour(class_id=of, **same, **dict(zip(names, more, strict=True))) for of, more in sums.items()
        )


def _add(row: object, names: Sequence[str], more: Sequence[Any]) -> None:
    for name, value in zip(names, more, strict=True):
        setattr(row, name, getattr(row, name) + value)
