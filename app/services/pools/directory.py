"""What a process knows of every pool between requests: zone, code, parameter catalogue.

Looked up again at most once a second, by the pools' config epochs; a change made through this process is seen at once
(`forget`), and a pool that another process made is looked for when it is first named. A value checked against a
catalogue that was changed within this second is still safe: rules treat a value of the wrong type as absent.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from app.access.roles import Caller, no_pool
from app.database import HotPool
from app.engine.types import PoolId
from app.errors import NotFound
from app.messages.message import say
from app.rule_engine import Catalogue
from app.services.common.pool_options import BrokenSettings, pool_zone
from app.services.common.rows import catalogue_of

_FRESH_SECONDS = 1.0

_POOLS = """
SELECT pool.id, pool.code, pool.timezone, pool.active, state.config_epoch
FROM pools pool JOIN pool_states state ON state.pool_id = pool.id
WHERE $1::bigint IS NULL OR pool.id = $1
"""
_PARAMETERS = "SELECT * FROM parameters WHERE pool_id = $1 ORDER BY owner, position, id"


@dataclass(frozen=True, slots=True)
class KnownPool:
    """A pool as intake needs it."""

    id: PoolId
    code: str
    zone: ZoneInfo
    active: bool
    config_epoch: int
    catalogue: Catalogue


class PoolDirectory:
    """The pools by id and by code."""

    def __init__(self, pool: HotPool, default_code: str) -> None:
        self._pool = pool
        self._default_code = default_code
        self._by_id: dict[PoolId, KnownPool] = {}
        self._broken: dict[PoolId | str, BrokenSettings] = {}
        self._missing: set[PoolId] = set()
        self._looked_at = -_FRESH_SECONDS
        self._forgotten = self._read_after = 0
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """Look again at the next question; a look that is under way may have read what was before, and is repeated."""
        self._forgotten += 1

    async def get(self, pool_id: PoolId | None = None) -> KnownPool:
        """The pool with this id, or the default one. Raises NotFound, and BrokenSettings for this pool alone."""
        asked = self._forgotten
        if self._is_due(asked) or (pool_id is not None and self._is_unknown(pool_id)):
            async with self._lock:
                if self._is_due(asked):
                    await self._look()
                if pool_id is not None and self._is_unknown(pool_id):
                    await self._look_for(pool_id)
        if pool_id is not None and pool_id in self._by_id:
            return self._by_id[pool_id]
        wanted = self._default_code if pool_id is None else pool_id
        if wanted in self._broken:
            raise self._broken[wanted]
        if pool_id is None:
            for known in self._by_id.values():
                if known.code == self._default_code:
                    return known
            raise NotFound(
                say(
                    "There is no default pool '{code}': run python init_db.py.",
                    code=self._default_code,
                )
            )
        raise no_pool(pool_id)

    def seen_by(self, caller: Caller) -> "PoolDirectory":
        """The same pools as this caller sees them."""
        return self if caller.pool_ids is None else _SeenPools(self, caller)

    def _is_due(self, asked: int) -> bool:
        """Whether what is known is old, or was read before the last `forget` that this question came after."""
        return self._read_after < asked or time.monotonic() - self._looked_at >= _FRESH_SECONDS

    def _is_unknown(self, pool_id: PoolId) -> bool:
        return not (pool_id in self._by_id or pool_id in self._broken or pool_id in self._missing)

    async def _look(self) -> None:
        forgotten, began = self._forgotten, time.monotonic()
        by_id, broken = await self._read(None)
        self._by_id, self._broken = by_id, broken
        self._missing.clear()
        self._read_after, self._looked_at = forgotten, began

    async def _look_for(self, pool_id: PoolId) -> None:
        """Look for one pool that another process may have made since the last look; once until the next."""
        by_id, broken = await self._read(pool_id)
        self._by_id |= by_id
        self._broken |= broken
        if pool_id not in by_id and pool_id not in broken:
            self._missing.add(pool_id)

    async def _read(
        self, pool_id: PoolId | None
    ) -> tuple[dict[PoolId, KnownPool], dict[PoolId | str, BrokenSettings]]:
        """The pools (or this one) that can be read, and the faults of the others by id and by code."""
        by_id: dict[PoolId, KnownPool] = {}
        broken: dict[PoolId | str, BrokenSettings] = {}
        async with self._pool.acquire() as connection:
            for row in await connection.fetch(_POOLS, pool_id):
                known = self._by_id.get(PoolId(row["id"]))
                if known is None or known.config_epoch != row["config_epoch"]:
                    parameters = await connection.fetch(_PARAMETERS, row["id"])
                    try:
                        known = _known(row, catalogue_of(parameters))
                    except BrokenSettings as error:  # of this pool: the others serve
                        broken |= {PoolId(row["id"]): error, row["code"]: error}
                        continue
                by_id[known.id] = known
        return by_id, broken


class _SeenPools(PoolDirectory):
    """The pools of one caller; the default one is their only one where they do not see the real default."""

    def __init__(self, whole: PoolDirectory, caller: Caller) -> None:
        self._whole = whole
        self._caller = caller

    def forget(self) -> None:
        """Look again at the next question."""
        self._whole.forget()

    async def get(self, pool_id: PoolId | None = None) -> KnownPool:
        """One of the caller's pools. Raises NotFound for any other."""
        if pool_id is not None:
            self._caller.must_see(pool_id)
            return await self._whole.get(pool_id)
        mine = self._caller.pool_ids or frozenset()
        if len(mine) == 1:
            return await self._whole.get(PoolId(next(iter(mine))))
        default = await self._whole.get()
        if default.id not in mine:
            raise NotFound(say("pool_id: the default pool is not one of yours; name the pool you mean."))
        return default


def _known(row: Any, catalogue: Catalogue) -> KnownPool:
    return KnownPool(
        id=PoolId(row["id"]),
        code=row["code"],
        zone=pool_zone(row["timezone"]),
        active=row["active"],
        config_epoch=row["config_epoch"],
        catalogue=catalogue,
    )
