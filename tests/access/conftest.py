"""Two pools with one of everything, and callers of every role."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.access.keys import make_api_key
from app.access.roles import ACTIONS, Role
from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool, add_tasks
from tests.servers import owner_of

SECRET = "a secret of the tests, long enough to sign"
ADD_USER = """
INSERT INTO users (username, password_hash, role, pool_ids, executor_id) VALUES ($1, $2, $3, $4, $5) RETURNING id
"""
ADD_KEY = """
INSERT INTO api_keys (name, prefix, key_hash, role, scopes, pool_ids) VALUES ($1, $2, $3, $4, $5, $6)
"""


# Ids of four digits, so that spellings such as 10_57 exist for them.
_LATER_IDS = """
SELECT setval(format('%I.%I', schemaname, sequencename), 1056 + 10 * row_number() OVER (ORDER BY sequencename))
FROM pg_sequences WHERE schemaname = 'public'
"""


@dataclass(frozen=True)
class Team:
    """A pool and the ids of what is in it, by the name that paths give them."""

    pool_id: PoolId
    ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class House:
    """An API that asks for credentials, two teams in it, and a way to get credentials."""

    settings: Settings
    database: Database
    client: httpx.AsyncClient
    mine: Team
    other: Team

    async def user(self, role: Role, *, pools: list[int] | None, executor_id: int | None = None) -> int:
        return await self.database.hot.fetchval(
            ADD_USER, f"{role} {datetime.now(UTC).timestamp()}", "x", role, pools, executor_id
        )

    def token(self, user_id: int, **changes: Any) -> dict[str, str]:
        wanted = {"token_version": 1, "now": datetime.now(UTC), "life": timedelta(minutes=5)} | changes
        token = self.settings.key_ring().issue(user_id=user_id, **wanted)
        return {"Authorization": f"Bearer {token}"}

    async def as_role(self, role: Role) -> dict[str, str]:
        """Headers of somebody with this role in the first team."""
        if role == "integration":
            return await self.api_key(sorted(ACTIONS), [self.mine.pool_id])
        executor_id = self.mine.ids["executor_id"] if role == "executor" else None
        pools = None if role == "admin" else [self.mine.pool_id]
        return self.token(await self.user(role, pools=pools, executor_id=executor_id))

    async def api_key(
        self, scopes: list[str], pools: list[int] | None, role: Role = "integration"
    ) -> dict[str, str]:
        key = make_api_key()
        await self.database.hot.execute(ADD_KEY, "tests", key.prefix, key.hash, role, scopes, pools)
        return {"X-API-Key": key.whole}


@pytest.fixture
async def house(settings: Settings, database: Database) -> AsyncIterator[House]:
    guarded = settings.model_copy(update={"auth_required": True, "secret_key": SecretStr(SECRET)})
    async with owner_of(settings) as connection:
        await connection.execute(_LATER_IDS)
    mine = await a_team(database, "mine")
    other = await a_team(database, "other")
    async with client_of(guarded) as client:
        yield House(guarded, database, client, mine, other)


async def a_team(database: Database, code: str) -> Team:
    """A pool with one of everything that a path can name."""
    pool_id = await add_pool(database, code=code)
    [executor_id] = await add_executors(database, pool_id, 1)
    [task_id] = await add_tasks(database, pool_id, 1)
    fetch = database.hot.fetchval
    await database.hot.execute("UPDATE executors SET name = $1 WHERE id = $2", f"of {code}", executor_id)
    await database.hot.execute(
        "UPDATE tasks SET external_id = $1, executor_id = $2, status = 'assigned' WHERE id = $3",
        f"of {code}",
        executor_id,
        task_id,
    )
    parameter_id = await fetch(
        "INSERT INTO parameters (pool_id, owner, key, type, label_ru)"
        " VALUES ($1, 'task', 'k', 'string', $2) RETURNING id",
        pool_id,
        f"of {code}",
    )
    rule_set_id = await fetch(
        "INSERT INTO rule_sets (pool_id, name, version, document, state)"
        " VALUES ($1, $2, 1, '{}', 'draft') RETURNING id",
        pool_id,
        f"of {code}",
    )
    return Team(
        pool_id,
        {
            "pool_id": pool_id,
            "executor_id": executor_id,
            "task_id": task_id,
            "parameter_id": parameter_id,
            "rule_set_id": rule_set_id,
        },
    )
