"""The audit log: what happened, who did it, and a proof that nobody rewrote it.

Changes of what is configured are noted by triggers (alembic/versions/0001_audit.sql); what is no change of a row, such
as a sign-in, is noted here. Each entry's hash covers the one before, so that an entry that was changed, removed or
slipped in breaks the chain at its place; whoever keeps the head (`AuditProof.head`) elsewhere also notices a chain cut
short.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.roles import Caller, within_reach
from app.database import HotPool
from app.messages.message import NOTHING, Message, say
from app.models import AuditEntry

_NOTE = text("""
INSERT INTO audit_log (actor, action, entity, entity_id, pool_id, after, request_id, address)
VALUES (coalesce(:actor, nullif(current_setting('app.actor', true), ''), 'system'), :action, :entity, :entity_id,
    :pool_id, CAST(:details AS jsonb), nullif(current_setting('app.request_id', true), ''),
    nullif(current_setting('app.address', true), ''))
""")

_LINKS = """
SELECT id, previous_hash, hash, content_hash, salt, erased_at, audit_text(entry) AS text,
    audit_content(before, after) AS content, actor, identity_salt, identity_hash,
    audit_identity(actor, address, request_id) AS identity
FROM audit_log entry WHERE id > $1 ORDER BY id LIMIT 5000
"""
# A pool whose creation no entry tells: the log was emptied, or lost its beginning. A loss that an administrator
# acknowledged covers the pools that were there then.
_UNTOLD = """
SELECT pool.id FROM pools pool
WHERE NOT EXISTS (
    SELECT FROM audit_log
    WHERE entity = 'pools' AND entity_id = CAST(pool.id AS text) AND action = 'created'
) AND pool.created_at > coalesce(
    (SELECT max(at) FROM audit_log WHERE entity = 'audit_log' AND action = 'acknowledged'), '-infinity'
) ORDER BY pool.id LIMIT 1
"""
_FIRST = bytes(32)
ERASED = "erased user"
"""The actor of entries whose actor was erased."""

# What people call a thing, now or when it was deleted. Neither says the name of a person who was erased.
_NAMES = text("""
WITH wanted AS (
    SELECT DISTINCT entity, entity_id
    FROM unnest(CAST(:entities AS text[]), CAST(:ids AS text[])) each (entity, entity_id)
), known AS (
    SELECT 'executors' AS entity, id, name FROM executors
    UNION ALL SELECT 'pools', id, name FROM pools
    UNION ALL SELECT 'parameters', id, key FROM parameters
    UNION ALL SELECT 'rule_sets', id, name || ' · ' || version FROM rule_sets
    UNION ALL SELECT 'users', id, username FROM users
    UNION ALL SELECT 'api_keys', id, name FROM api_keys
    UNION ALL SELECT 'webhooks', id, url FROM webhooks
    UNION ALL SELECT 'executor_absences', absence.id, person.name
        FROM executor_absences absence JOIN executors person ON person.id = absence.executor_id
)
SELECT wanted.entity, wanted.entity_id, coalesce(known.name, gone.name) AS name
FROM wanted
LEFT JOIN known ON known.entity = wanted.entity AND CAST(known.id AS text) = wanted.entity_id
LEFT JOIN LATERAL (
    SELECT coalesce(before ->> 'name', before ->> 'username', before ->> 'key', before ->> 'url') AS name
    FROM audit_log WHERE entity = wanted.entity AND entity_id = wanted.entity_id AND action = 'deleted'
    ORDER BY id DESC LIMIT 1
) gone ON true
WHERE coalesce(known.name, gone.name) IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class AuditProof:
    """What a verification found; `broken_at` is the id of the first entry that does not fit, 0: of one that is gone."""

    entries: int
    erased: int
    head: str
    broken_at: int | None = None
    reason: Message = NOTHING

    @property
    def holds(self) -> bool:
        """Whether the whole chain fits."""
        return self.broken_at is None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list shows; None means any."""

    pool_id: int | None = None
    actor: str | None = None
    action: str | None = None
    entity: str | None = None
    entity_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def note(
    session: AsyncSession,
    *,
    action: str,
    entity: str,
    entity_id: str,
    actor: str | None = None,
    pool_id: int | None = None,
    details: str | None = None,
) -> None:
    """Note what is no change of a row, in the caller's transaction; call it last, it holds the log's lock."""
    await session.flush()
    await session.execute(
        _NOTE,
        {
            "actor": actor,
            "action": action,
            "entity": entity,
            "entity_id": entity_id,
            "pool_id": pool_id,
            "details": details,
        },
    )


async def list_entries(
    session: AsyncSession, *, only: AuditFilter, caller: Caller, before: int | None, limit: int
) -> tuple[Sequence[AuditEntry], int | None]:
    """A page of entries that the caller may see, newest first, and the id to go on before (None on the last page)."""
    query = within_reach(select(AuditEntry), AuditEntry.pool_id, caller)
    for column in ("pool_id", "actor", "action", "entity", "entity_id"):
        if (value := getattr(only, column)) is not None:
            query = query.where(getattr(AuditEntry, column) == value)
    if only.since is not None:
        query = query.where(AuditEntry.at >= only.since)
    if only.until is not None:
        query = query.where(AuditEntry.at < only.until)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    rows = (await session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit + 1))).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


async def names_of(session: AsyncSession, entries: Sequence[AuditEntry]) -> dict[tuple[str, str], str]:
    """What the things of these entries are called, by entity and id; a change alone keeps only what changed."""
    wanted = {"entities": [each.entity for each in entries], "ids": [each.entity_id for each in entries]}
    found = await session.execute(_NAMES, wanted)
    return {(row.entity, row.entity_id): row.name for row in found}


@dataclass(slots=True)
class Walk:
    """How far a verification of the chain has come; `walk_on` moves it."""

    last: int = 0
    head: bytes = _FIRST
    entries: int = 0
    erased: int = 0

    def proof(self, broken_at: int | None = None, reason: Message = NOTHING) -> AuditProof:
        """What was found so far."""
        return AuditProof(self.entries, self.erased, self.head.hex(), broken_at, reason)


async def walk_on(pool: HotPool, walk: Walk) -> AuditProof | None:
    """Verify the next 5,000 entries, hashing in a thread. Returns a proof at the end or at a fault, else None."""
    async with pool.acquire() as connection:
        links = await connection.fetch(_LINKS, walk.last)
        if not links:
            untold = await connection.fetchval(_UNTOLD)
            if untold is not None:
                return walk.proof(
                    0,
                    say(
                        "no entry tells of the creation of pool {pool_id}: the log lost its beginning",
                        pool_id=untold,
                    ),
                )
            return walk.proof()
    return await asyncio.to_thread(_check, links, walk)


def _check(links: Sequence[Any], walk: Walk) -> AuditProof | None:
    for link in links:
        if reason := _fault(link, walk.head):
            return walk.proof(link["id"], reason)
        walk.head, walk.last = link["hash"], link["id"]
        walk.entries += 1
        walk.erased += link["erased_at"] is not None
    return None


async def verify(pool: HotPool) -> AuditProof:
    """Walk the whole chain, hashing in Python what the database shows; about 100,000 entries a second."""
    walk = Walk()
    while (proof := await walk_on(pool, walk)) is None:
        pass
    return proof


def _fault(link: Any, head: bytes) -> Message:
    """Why an entry does not fit behind the one with hash `head`; empty: it does."""
    if link["previous_hash"] != head:
        return say("the entry before it was removed, changed or slipped in")
    if hashlib.sha256(head + link["text"].encode()).digest() != link["hash"]:
        return say("it was changed")
    if link["erased_at"] is None and _hash_of_content(link) != link["content_hash"]:
        return say("its before or after was changed")
    if link["identity_salt"] is not None:
        identity = hashlib.sha256(link["identity_salt"] + link["identity"]).digest()
        if identity != link["identity_hash"]:
            return say("its actor, address or request was changed")
    elif link["identity_hash"] is not None and link["actor"] != ERASED:
        return say("its actor was changed")
    return NOTHING


def _hash_of_content(link: Any) -> bytes:
    return hashlib.sha256((link["salt"] or b"") + link["content"]).digest()
