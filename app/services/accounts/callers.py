"""Who asks: from an access token or an API key to a caller.

What the database says of somebody is remembered for a second, so that a busy program costs one look a second; a role
that was changed and a key that was revoked count everywhere within that second, and at once in the process that did it
(`forget`).
"""

import time
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from app.access.keys import NOT_VALID, Claims, KeyRing, hash_secret, same_secret, split_api_key
from app.access.roles import Caller
from app.database import HotPool
from app.errors import Unauthenticated
from app.messages.message import say
from app.services.common.database_clock import DatabaseClock

_FRESH_SECONDS = 1.0
_MOST_REMEMBERED = 10_000
_USED_SECONDS = 60.0

_USER = """
SELECT id, username, role, pool_ids, executor_id, token_version FROM users WHERE id = $1 AND active
  AND (role <> 'executor' OR EXISTS (SELECT FROM executors WHERE id = users.executor_id AND active))
"""
_KEY = """
SELECT id, name, role, scopes, pool_ids, key_hash, expires_at, last_used_at FROM api_keys
WHERE prefix = $1 AND revoked_at IS NULL
"""
_TOUCH = """
UPDATE api_keys SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""


@dataclass(slots=True)
class _Remembered:
    row: Any
    looked_at: float


PROMETHEUS = Caller("prometheus", "viewer", scopes=frozenset({"metrics.read"}))
"""Whoever has METRICS_TOKEN; may read /metrics and nothing else."""


class Callers:
    """Finds callers by their credentials."""

    def __init__(
        self,
        pool: HotPool,
        keys: KeyRing,
        metrics_token: SecretStr | None = None,
        clock: DatabaseClock | None = None,
    ) -> None:
        self._clock = clock or DatabaseClock()
        self._pool = pool
        self._keys = keys
        self._metrics_token = metrics_token and hash_secret(metrics_token.get_secret_value())
        self._known: dict[str | int, _Remembered] = {}
        self._forgotten = 0
        self._read: dict[str, Claims] = {}

    def forget(self) -> None:
        """Look again at the next question."""
        self._known.clear()
        self._forgotten += 1

    async def find(self, credentials: str) -> Caller:
        """Whose credentials these are. Raises Unauthenticated."""
        if self._metrics_token and same_secret(credentials, self._metrics_token):
            return PROMETHEUS
        key = split_api_key(credentials)
        return await (self._by_key(*key) if key else self._by_token(credentials))

    async def _by_token(self, token: str) -> Caller:
        claims = self._claims(token)
        user = await self._look(claims.user_id, _USER)
        if user is None or user["token_version"] != claims.token_version:
            raise Unauthenticated(say("The access token was revoked: sign in again by POST /v1/auth/token."))
        return Caller(
            name=user["username"],
            role=user["role"],
            pool_ids=None if user["role"] == "admin" else _set(user["pool_ids"]),
            executor_id=user["executor_id"],
            user_id=user["id"],
        )

    def _claims(self, token: str) -> Claims:
        """What a token says, its signature checked once: that costs more than the rest of the guard."""
        claims = self._read.get(token)
        now = self._clock.now()
        if claims is None or claims.expires_at <= now:
            claims = self._keys.read(token, now)
            if len(self._read) >= _MOST_REMEMBERED:
                self._read.clear()
            self._read[token] = claims
        return claims

    async def _by_key(self, prefix: str, secret: str) -> Caller:
        key = await self._look(prefix, _KEY)
        if key is None or not same_secret(secret, key["key_hash"]):
            raise Unauthenticated(NOT_VALID)
        now = self._clock.now()
        if key["expires_at"] is not None and key["expires_at"] <= now:
            raise Unauthenticated(say("Authorization: the API key has expired; ask an admin for another."))
        used = key["last_used_at"]
        if used is None or (now - used).total_seconds() > _USED_SECONDS:
            await self._note_use(prefix, key["id"])
        return Caller(
            name=f"key:{key['name']}",
            role=key["role"],
            pool_ids=_set(key["pool_ids"]),
            scopes=frozenset(key["scopes"]),
        )

    async def _note_use(self, prefix: str, key_id: int) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(_TOUCH, key_id)
        self._known.pop(prefix, None)

    async def _look(self, by: str | int, statement: str) -> Any:
        now = time.monotonic()
        known = self._known.get(by)
        if known is None or now - known.looked_at >= _FRESH_SECONDS:
            forgotten = self._forgotten
            async with self._pool.acquire() as connection:
                known = _Remembered(await connection.fetchrow(statement, by), now)
            if forgotten != self._forgotten:  # read before somebody changed it, so not to be remembered
                return known.row
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[by] = known
        return known.row


def _set(pool_ids: list[int] | None) -> frozenset[int] | None:
    return None if pool_ids is None else frozenset(pool_ids)
