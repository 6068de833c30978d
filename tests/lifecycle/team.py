"""A pool with rules whose work waits and is woken, and a worker of its own that works when told."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from app.database import Database
from app.engine.placement.allocate import place
from app.engine.types import ExecutorId, PoolId, RuleSetId, TaskId
from app.services.common.rows import task_of
from app.services.executors.executors import change_executor, create_executor
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement import sql as statements
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.rules.rules import activate_rule_set, create_rule_set
from app.services.tasks.moves import Move, MoveName, move_tasks
from tests.builders import add_pool

SKILL = {"name": "skill", "operator": "contains", "field": "executor.parameters.skills",
         "value": {"field": "task.parameters.skill"}}  # fmt: skip
SUM = {"name": "sum", "operator": "gte", "field": "executor.parameters.max_sum",
       "value": {"field": "task.parameters.sum"}}  # fmt: skip
LICENCE = {"name": "licence", "operator": "eq", "field": "executor.parameters.licence", "value": True}
SENIOR = {"condition": {"operator": "gt", "field": "executor.qualification", "value": 1}, "weight": 2.0}
RULES = ({"conditions": [SKILL, SUM]}, {"conditions": [SKILL]}, {"conditions": [SKILL, SUM], "weights": [SENIOR]},
         {"conditions": [SKILL, SUM, LICENCE]})  # fmt: skip
PARAMETERS = (("executor", "skills", "list"), ("executor", "max_sum", "number"), ("executor", "licence", "boolean"),
              ("task", "skill", "string"), ("task", "sum", "number"))  # fmt: skip
PENDING = statements.NEXT_TASKS.replace("task.wait_reason IS NULL", "task.wait_reason IS NOT NULL")


class Team:
    """A pool with rules, and what happens in it; a worker of its own that works when told."""

    def __init__(self, database: Database, pool_id: PoolId, rule_sets: list[RuleSetId]) -> None:
        self.database, self.pool_id, self.rule_sets = database, pool_id, rule_sets
        self.picture = PoolSnapshot(pool_id)

    @classmethod
    async def make(cls, database: Database, code: str = "team") -> "Team":
        pool_id = await add_pool(database, code=code)
        for owner, key, kind in PARAMETERS:
            await database.hot.execute(
                "INSERT INTO parameters (pool_id, owner, key, type) VALUES ($1, $2, $3, $4)",
                pool_id,
                owner,
                key,
                kind,
            )
        made = []
        for number, document in enumerate(RULES):
            async with database.session() as session:
                rule_set = await create_rule_set(
                    session, pool_id=pool_id, name=f"rules {number}", document=document, author="tests"
                )
                made.append(RuleSetId(rule_set.id))
        team = cls(database, pool_id, made)
        await team.rules(0)
        return team

    async def rules(self, number: int) -> None:
        """Put one of RULES in force, again and again."""
        await self.rules_of(RULES[number], f"rules {number}")

    async def rules_of(self, document: dict[str, Any], name: str = "others") -> None:
        """Put these rules in force."""
        async with self.database.session() as session:
            again = await create_rule_set(
                session, pool_id=self.pool_id, name=name, document=document, author="tests"
            )
            await activate_rule_set(session, rule_set_id=RuleSetId(again.id), now=datetime.now(UTC))

    async def person(self, skills: list[str], max_sum: float, **fields: Any) -> ExecutorId:
        values = {"name": "Anna", "external_id": None, "active": True, "availability": "available",
                  "working_hours": None, "daily_limit": None, "max_open": None, "qualification": 1,
                  "parameters": {"skills": skills, "max_sum": max_sum, "licence": True}} | fields  # fmt: skip
        async with self.database.session() as session:
            view = await create_executor(session, pool_id=self.pool_id, values=values, now=datetime.now(UTC))
        return ExecutorId(view.executor.id)

    async def change(self, who: int, **changes: Any) -> None:
        async with self.database.session() as session:
            await change_executor(
                session, executor_id=ExecutorId(who), changes=changes, now=datetime.now(UTC)
            )

    async def make_room(self, who: Sequence[int] | None = None, *, slots: int) -> None:
        """Let these people (None: all) have so many open tasks, as a batch finds them, and wake nothing."""
        await self.database.hot.execute(
            "WITH roomy AS (UPDATE executors SET max_open = $2 WHERE $1::bigint[] IS NULL OR id = ANY($1) RETURNING id)"
            " UPDATE executor_loads SET present = true FROM roomy WHERE executor_id = roomy.id",
            who,
            slots,
        )
        self.picture.forget()

    async def tasks(self, count: int, skill: str = "a", total: float = 1.0, **fields: Any) -> list[TaskId]:
        tasks = [NewTask(self.pool_id, {"skill": skill, "sum": total}, **fields) for _ in range(count)]
        return [receipt.task_id for receipt in await write_tasks(self.database.hot, tasks)]  # type: ignore[union-attr]

    async def move(self, task: int, name: MoveName) -> None:
        await move_tasks(
            self.database.hot,
            pool_id=self.pool_id,
            moves=[Move(TaskId(task), name, "tests", "why")],
            deliver=False,
        )

    async def work(self) -> int:
        """Place whatever is awake; returns how many tasks were looked at."""
        looked = 0
        while True:
            batch = await place_batch(self.database.hot, self.picture, limit=7, deliver=False)
            if batch.found is not Found.WORK:
                return looked
            looked += len(batch.decisions) + len(batch.waiting)

    async def in_vain(self) -> list[TaskId]:
        """Parked tasks that a fresh engine would place now: asleep, and must not be."""
        async with self.database.hot.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT epoch, config_epoch, clock_timestamp() AS now FROM pool_states WHERE pool_id = $1",
                self.pool_id,
            )
            assert row is not None
            state = await PoolSnapshot(self.pool_id).refresh(
                connection, epoch=row["epoch"], config_epoch=row["config_epoch"], now=row["now"]
            )
            rows = await connection.fetch(PENDING, self.pool_id, 10_000)
        return [decision.task_id for decision in place(state, [task_of(row) for row in rows]).decisions]

    async def touched(self, event: Callable[[], Any]) -> tuple[int, int]:
        """How many waiting tasks an event wakes, and how many rows of tasks are written until all is placed."""
        before = await self._versions()
        await event()
        woken = await self.database.hot.fetchval(
            "SELECT count(*) FROM tasks WHERE status = 'pending' AND wait_reason IS NULL"
        )
        await self.work()
        after = await self._versions()
        return woken, sum(after[task] != version for task, version in before.items())

    async def _versions(self) -> dict[int, int]:
        rows = await self.database.hot.fetch("SELECT id, xmin::text::bigint AS xmin FROM tasks")
        return {row["id"]: row["xmin"] for row in rows}

    async def of(self, who: int) -> set[int]:
        rows = await self.database.hot.fetch(
            "SELECT id FROM tasks WHERE executor_id = $1 AND status = 'assigned'", who
        )
        return {row["id"] for row in rows}
