"""Watches the audit log while the system runs: a part of the chain, and the anchors, once a minute in each worker.

A metric (`audit_log_fault`) shows what `doctor` finds, and an alert tells of it. A round over the whole chain takes a
minute for each 20,000 entries, and costs a worker 0.2 s of CPU a minute at most.
"""

import json

import structlog

from app.database import HotPool
from app.messages.message import say
from app.services.audit.audit_anchors import Anchors
from app.services.audit.audit_log import Walk, verify, walk_on
from app.telemetry import metrics

log = structlog.get_logger()

_PARTS = 4
"""Parts of 5,000 entries at each look."""
_ACKNOWLEDGE = """
INSERT INTO audit_log (actor, action, entity, entity_id, after) VALUES ($1, 'acknowledged', 'audit_log', '', $2)
"""


class AuditWatch:
    """Verifies the chain in rounds, and appends to the anchors; one for a worker process."""

    def __init__(self, pool: HotPool, anchors: Anchors | None) -> None:
        self._pool = pool
        self._anchors = anchors
        self._walk = Walk()

    async def look(self) -> dict[str, str]:
        """Look once; returns the faults by kind, also shown as metrics. Raises what a database raises, and OSError."""
        faults = {"chain": await self._next_parts()}
        if self._anchors is not None:
            try:
                faults["anchors"] = await self._anchors.look(self._pool)
            except OSError as error:
                faults["anchors"] = str(error)
        for kind, fault in faults.items():
            metrics.audit_log_fault.labels(kind).set(bool(fault))
            if fault:
                log.critical("audit.fault", kind=kind, fault=fault)
        return {kind: fault for kind, fault in faults.items() if fault}

    async def _next_parts(self) -> str:
        for _ in range(_PARTS):
            proof = await walk_on(self._pool, self._walk)
            if proof is not None:
                self._walk = Walk()
                return proof.reason
        return ""


async def acknowledge_loss(pool: HotPool, anchors: Anchors | None, *, actor: str, reason: str) -> str:
    """Accept that the log lost a part, as after a restore or a failover. Returns what was accepted; empty: nothing was.

    Raises ValueError where an entry inside the chain does not fit, which no restore does, and OSError where the file of
    anchors cannot be written.
    """
    proof = await verify(pool)
    if proof.broken_at:
        raise ValueError(
            say(
                "entry {broken_at} does not fit ({reason}): no loss explains this",
                broken_at=proof.broken_at,
                reason=proof.reason,
            )
        )
    fault = proof.reason or (await anchors.fault(pool) if anchors is not None else "")
    if not fault:
        return ""
    if anchors is not None:
        await anchors.acknowledge(pool, actor=actor, reason=reason, fault=fault)
    else:
        details = json.dumps({"reason": reason, "fault": fault}, ensure_ascii=False)
        async with pool.acquire() as connection:
            await connection.execute(_ACKNOWLEDGE, actor, details)
    return fault
