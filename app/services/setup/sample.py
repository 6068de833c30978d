"""Sample data: a help desk of twelve people, its parameters, its rules and two days of requests."""

from decimal import Decimal
from itertools import cycle
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.models import ExecutorLoad, ExecutorRow, ParameterRow, Pool, RuleSetRow, TaskRow
from app.services.common.pool_lock import raise_epoch

CATEGORIES = ("network", "hardware", "software", "access")
REGIONS = ("north", "south")
LABELS_RU = {
    "network": "Сеть", "hardware": "Оборудование", "software": "Программы", "access": "Доступ",
    "north": "Север", "south": "Юг",
}  # fmt: skip


def _options(values: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"value": value, "label_ru": LABELS_RU.get(value, ""), "label_en": value.title()} for value in values
    ]


PARAMETERS: tuple[dict[str, Any], ...] = (
    {
        "owner": "task",
        "key": "category",
        "type": "enum",
        "label_ru": "Категория",
        "label_en": "Category",
        "options": _options(CATEGORIES),
    },
    {
        "owner": "task",
        "key": "region",
        "type": "enum",
        "label_ru": "Регион",
        "label_en": "Region",
        "options": _options(REGIONS),
    },
    {
        "owner": "task",
        "key": "difficulty",
        "type": "number",
        "label_ru": "Сложность",
        "label_en": "Difficulty",
        "minimum": 1,
        "maximum": 5,
    },
    {
        "owner": "task",
        "key": "vip",
        "type": "boolean",
        "label_ru": "Важный клиент",
        "label_en": "Important client",
        "default": False,
    },
    {
        "owner": "executor",
        "key": "skills",
        "type": "list",
        "label_ru": "Навыки",
        "label_en": "Skills",
        "options": _options(CATEGORIES),
    },
    {
        "owner": "executor",
        "key": "regions",
        "type": "list",
        "label_ru": "Регионы",
        "label_en": "Regions",
        "options": _options(REGIONS),
    },
    {
        "owner": "executor",
        "key": "grade",
        "type": "number",
        "label_ru": "Разряд",
        "label_en": "Grade",
        "minimum": 1,
        "maximum": 5,
    },
)

RULES: dict[str, Any] = {
    "conditions": [
        {
            "name": "has the skill",
            "operator": "contains",
            "field": "executor.parameters.skills",
            "value": {"field": "task.parameters.category"},
        },
        {
            "name": "hard work for high grades",
            "operator": "gte",
            "field": "executor.parameters.grade",
            "value": {"field": "task.parameters.difficulty"},
            "on_missing": "pass",
        },
    ],
    "weights": [
        {
            "condition": {
                "name": "same region",
                "operator": "contains",
                "field": "executor.parameters.regions",
                "value": {"field": "task.parameters.region"},
            },
            "weight": 2.0,
        }
    ],
    "task_weights": [
        {"condition": {"operator": "eq", "field": "task.parameters.vip", "value": True}, "weight": 3.0}
    ],
}

NAMES = (
    "Анна Орлова", "Борис Котов", "Вера Лисина", "Глеб Зайцев", "Дарья Соколова", "Егор Волков",
    "Жанна Белова", "Захар Медведев", "Ирина Голубева", "Кирилл Щукин", "Лариса Воробьёва", "Максим Барсуков",
)  # fmt: skip

TASKS = 60


async def add_sample(session: AsyncSession, *, pool_code: str) -> list[str]:
    """Fill a pool that nobody uses yet; a pool with people, rules or parameters stays as it is."""
    pool = (await session.scalars(select(Pool).where(Pool.code == pool_code))).one()
    pool_id = PoolId(pool.id)
    epoch = await raise_epoch(session, pool_id, configuration=True)
    if await _in_use(session, pool_id):
        return [f"No sample data added: the pool '{pool_code}' is in use."]
    position = {owner: iter(range(100)) for owner in ("task", "executor")}
    session.add_all(
        ParameterRow(pool_id=pool_id, position=next(position[each["owner"]]), **each) for each in PARAMETERS
    )
    session.add(
        RuleSetRow(
            pool_id=pool_id,
            name="Help desk",
            version=1,
            document=RULES,
            state="active",
            activated_at=func.now(),
        )
    )
    people = [_person(pool_id, epoch, number, name) for number, name in enumerate(NAMES, 1)]
    session.add_all(people)
    await session.flush()
    today = func.pool_day(pool.timezone, pool.kept_day, pool.kept_day_ends, func.now())
    session.add_all(
        ExecutorLoad(
            executor_id=person.id, pool_id=pool_id, epoch=epoch, window_start=today, business_day=today
        )
        for person in people
    )
    session.add_all(_tasks(pool_id))
    await session.commit()
    return [
        f"Added sample data to '{pool_code}': {len(people)} executors, {len(PARAMETERS)} parameters, {TASKS} tasks."
    ]


async def _in_use(session: AsyncSession, pool_id: PoolId) -> bool:
    for table in (ExecutorRow, ParameterRow, RuleSetRow, TaskRow):
        if await session.scalar(select(table.id).where(table.pool_id == pool_id).limit(1)) is not None:
            return True
    return False


def _person(pool_id: PoolId, epoch: int, number: int, name: str) -> ExecutorRow:
    """Everybody has two neighbouring skills, so that the classes overlap; grades 3 to 5."""
    skills = [CATEGORIES[number % 4], CATEGORIES[(number + 1) % 4]]
    return ExecutorRow(
        pool_id=pool_id,
        external_id=f"E-{number:03}",
        name=name,
        parameters={"skills": skills, "regions": [REGIONS[number % 2]], "grade": 3 + number % 3},
        daily_limit=Decimal(40),
        qualification=Decimal("1.5") if number % 6 == 0 else Decimal(1),
        epoch=epoch,
    )


def _tasks(pool_id: PoolId) -> list[TaskRow]:
    pattern = zip(
        range(1, TASKS + 1), cycle(CATEGORIES), cycle(REGIONS), cycle((1, 2, 3, 2, 4)), strict=False
    )
    return [
        TaskRow(
            pool_id=pool_id,
            external_id=f"T-{number:03}",
            parameters={
                "category": category,
                "region": region,
                "difficulty": difficulty,
                "vip": number % 10 == 0,
            },
            priority=5 if number % 10 == 0 else 0,
        )
        for number, category, region, difficulty in pattern
    ]
