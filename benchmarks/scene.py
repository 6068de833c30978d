"""A help desk of any size: parameters, people, rules and requests, the same for the same seed."""

import json
import random
from typing import Any

import asyncpg

CATEGORIES = [f"category-{number}" for number in range(10)]
REGIONS = [f"region-{number}" for number in range(8)]
LEVELS = 5

_PARAMETERS: list[tuple[str, str, str, list[str]]] = [
    ("task", "category", "enum", CATEGORIES),
    ("task", "region", "enum", REGIONS),
    ("task", "level", "number", []),
    ("task", "vip", "boolean", []),
    ("task", "text", "string", []),
    ("executor", "skills", "list", CATEGORIES),
    ("executor", "regions", "list", REGIONS),
    ("executor", "grade", "number", []),
]


async def build(dsn: str, *, executors: int, rules: int, pools: int = 1, seed: int = 1) -> list[int]:
    """People and rules in the default pool, or in so many pools; returns the pools' ids."""
    connection = await asyncpg.connect(dsn)
    try:
        first = await connection.fetchval("SELECT id FROM pools WHERE code = 'default'")
        ids = [first]
        for number in range(2, pools + 1):
            pool_id = await connection.fetchval(
                "INSERT INTO pools (code, name, timezone) VALUES ($1, $1, 'UTC') RETURNING id",
                f"pool-{number}",
            )
            await connection.execute("INSERT INTO pool_states (pool_id) VALUES ($1)", pool_id)
            ids.append(pool_id)
        for pool_id in ids:
            await _fill(connection, pool_id, executors, rules, random.Random(seed))
        return ids
    finally:
        await connection.close()


async def _fill(connection: Any, pool_id: int, executors: int, rules: int, rng: random.Random) -> None:
    await connection.executemany(
        "INSERT INTO parameters (pool_id, owner, key, type, options) VALUES ($1, $2, $3, $4, $5::jsonb)",
        [
            (pool_id, owner, key, kind, json.dumps([{"value": each} for each in options]))
            for owner, key, kind, options in _PARAMETERS
        ],
    )
    await connection.execute(
        """
        WITH people AS (
            INSERT INTO executors (pool_id, external_id, name, parameters)
            SELECT $1, 'E-' || number, 'Executor ' || number, given
            FROM unnest($2::jsonb[]) WITH ORDINALITY AS one(given, number) RETURNING id
        )
        INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day)
        SELECT id, $1, DATE '2000-01-01', DATE '2000-01-01' FROM people
        """,
        pool_id,
        [json.dumps(_person(rng)) for _ in range(executors)],
    )
    await connection.execute(
        "INSERT INTO rule_sets (pool_id, name, version, document, state) VALUES ($1, 'bench', 1, $2::jsonb, 'active')",
        pool_id,
        json.dumps({"conditions": [_rule(number) for number in range(rules)]}),
    )
    await connection.execute(
        "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = $1", pool_id
    )
    await connection.execute("ANALYZE")


def _person(rng: random.Random) -> dict[str, Any]:
    return {
        "skills": rng.sample(CATEGORIES, 7),
        "regions": rng.sample(REGIONS, 6),
        "grade": rng.choice([3, 4, 5, 5, 5]),
    }


def _rule(number: int) -> dict[str, Any]:
    """Each reads one or two fields; together they make up to 800 classes, however many rules there are."""
    field, other = "task.parameters.category", CATEGORIES[number % len(CATEGORIES)]
    if number == 0:
        return {"operator": "in", "field": field, "value": {"field": "executor.parameters.skills"}}
    if number == 1:
        return {
            "operator": "in",
            "field": "task.parameters.region",
            "value": {"field": "executor.parameters.regions"},
        }
    if number == 2:
        return {
            "operator": "lte",
            "field": "task.parameters.level",
            "value": {"field": "executor.parameters.grade"},
        }
    return {
        "operator": "or",
        "conditions": [
            {"operator": "ne", "field": field, "value": other},
            {"operator": "eq", "field": "task.parameters.vip", "value": False},
            {"operator": "gte", "field": "executor.parameters.grade", "value": 2 + number % 2},
        ],
    }


def requests(count: int, *, pool_ids: list[int] | None = None, seed: int = 2) -> list[dict[str, Any]]:
    """Bodies of new tasks, about 300 bytes each."""
    rng = random.Random(seed)
    return [
        {
            **({"pool_id": pool_ids[number % len(pool_ids)]} if pool_ids else {}),
            "external_id": f"REQ-{seed}-{number}",
            "parameters": {
                "category": rng.choice(CATEGORIES),
                "region": rng.choice(REGIONS),
                "level": rng.randint(1, 3),
                "vip": rng.random() < 0.1,
                "text": f"The printer on floor {rng.randint(1, 40)} of building {rng.randint(1, 9)} prints nothing "
                "but the first line of each page, and the queue shows that it is ready.",
            },
            "weight": rng.choice([1, 1, 1, 2, 3]),
            "priority": rng.choice([0, 0, 0, 5]),
        }
        for number in range(count)
    ]
