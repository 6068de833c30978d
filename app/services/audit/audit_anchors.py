"""Anchors of the audit log, outside of the database: who can rewrite the whole chain cannot rewrite these unseen.

A worker appends the log's head to AUDIT_ANCHORS once a minute, where it moved, sealed with a key that only SECRET_KEY
gives. `doctor` compares: an anchored entry that is gone, or has another hash, means that the chain was made anew. The
file belongs where the database's administrator does not write: another machine's disk, or a store that only appends.
The same line is logged (`audit.anchored`). Entries after the last anchor, a minute's, are guarded by the chain alone.

The log itself remembers that a file was begun, so that a missing file is a fault. A restore or a failover that loses a
tail of the log is a fault too, until an administrator acknowledges it: an entry in the log says who and why, and a
sealed line in the file says from which entry on the log must fit again.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.access.keys import KeyRing
from app.config import Settings
from app.database import HotPool

log = structlog.get_logger()

_HEAD = "SELECT id, encode(hash, 'hex') AS hash FROM audit_log ORDER BY id DESC LIMIT 1"
_HASH = "SELECT encode(hash, 'hex') FROM audit_log WHERE id = $1"
_BEGUN = "SELECT EXISTS (SELECT FROM audit_log WHERE entity = 'audit_log' AND entity_id = $1 AND action = 'anchored')"
_NOTE = """
INSERT INTO audit_log (actor, action, entity, entity_id, after) VALUES ($1, $2, 'audit_log', $3, $4)
RETURNING id, encode(hash, 'hex') AS hash
"""
_EMPTY = "SELECT NOT EXISTS (SELECT FROM audit_log)"
_HASHES = "SELECT id, encode(hash, 'hex') AS hash FROM audit_log WHERE id = ANY($1::bigint[])"


def open_anchors(settings: Settings) -> "Anchors | None":
    """The anchors of these settings; None where there is no file, or no key that outlives this process."""
    if settings.audit_anchors is None or settings.secret_key is None:
        return None
    return Anchors(settings.audit_anchors, settings.key_ring())


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry of the log as it was, sealed."""

    entry: int
    hash: str
    at: str
    seal: str
    acknowledged: bool = False
    """Whether it stands for an acknowledged loss: anchors before it are not compared any more."""

    @property
    def said(self) -> str:
        """What the seal covers."""
        return f"audit anchor {self.entry} {self.hash} {self.at}" + " acknowledged" * self.acknowledged


class Anchors:
    """The file of anchors; several processes may append to it."""

    def __init__(self, path: Path, keys: KeyRing) -> None:
        self._path = path
        self._keys = keys
        self._last: Anchor | None = None

    async def look(self, pool: HotPool) -> str:
        """Append the log's head where it moved; never to a log that was rewritten or lost its file. Raises OSError.

        Returns the fault that keeps it from appending; empty: there is none.
        """
        if fault := await self._fault_of_newest(pool):
            log.critical("audit.rewritten", fault=fault)
            return fault
        async with pool.acquire() as connection:
            if await connection.fetchval(_EMPTY):
                return ""
            if not await connection.fetchval(_BEGUN, self.name):
                await connection.execute(_NOTE, "worker", "anchored", self.name, None)
            [head] = await connection.fetch(_HEAD)
        if self._last is None or head["id"] > self._last.entry:
            self._append(head["id"], head["hash"])
        return ""

    async def _fault_of_newest(self, pool: HotPool) -> str:
        """Whether the log still has the newest anchored entry; older ones are `fault`'s to compare."""
        last = self._newest()
        async with pool.acquire() as connection:
            if last is None:
                return self._missing if await connection.fetchval(_BEGUN, self.name) else ""
            if await connection.fetchval(_HASH, last.entry) != last.hash:
                return _made_anew(last)
        self._last = last
        return ""

    @property
    def name(self) -> str:
        """The name by which the log remembers this file."""
        return str(self._path.absolute())

    @property
    def _missing(self) -> str:
        return f"the file of anchors is missing or empty, and the log says that it was begun: {self._path}"

    def _newest(self) -> Anchor | None:
        try:
            return next(reversed(self.read()), None)
        except ValueError as error:
            raise OSError(
                f"{self._path}: the file of anchors was damaged; keep it and name another"
            ) from error

    def _append(self, entry: int, hash_: str, *, acknowledged: bool = False) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        unsealed = Anchor(entry, hash_, at, "", acknowledged)
        anchor = replace(unsealed, seal=self._keys.seal(unsealed.said))
        said = asdict(anchor)
        if not acknowledged:
            del said["acknowledged"]
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # One write: lines of several processes do not mix.
            os.write(descriptor, (json.dumps(said) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._last = anchor
        log.info("audit.anchored", entry=entry, hash=hash_, seal=anchor.seal)

    async def acknowledge(self, pool: HotPool, *, actor: str, reason: str, fault: str) -> None:
        """Accept that the log is not the one that was anchored: noted in the log, sealed in the file.

        A damaged file is set aside under another name first. Raises OSError where the file cannot be written.
        """
        self._set_aside_if_damaged()
        details = json.dumps({"reason": reason, "fault": fault}, ensure_ascii=False)
        async with pool.acquire() as connection:
            [entry] = await connection.fetch(_NOTE, actor, "acknowledged", self.name, details)
            if not await connection.fetchval(_BEGUN, self.name):
                await connection.execute(_NOTE, actor, "anchored", self.name, None)
        self._append(entry["id"], entry["hash"], acknowledged=True)

    def _set_aside_if_damaged(self) -> None:
        """Keep a file that cannot be read, or holds a line that is not sealed, as evidence under another name."""
        try:
            good = all(self._keys.sealed(anchor.said, anchor.seal) for anchor in self.read())
        except ValueError:
            good = False
        if not good:
            self._path.rename(
                self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            )

    def read(self) -> Sequence[Anchor]:
        """All anchors of the file, unchecked; none without a file. Raises ValueError for a line that is none."""
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        try:
            return [Anchor(**json.loads(line)) for line in lines if line]
        except TypeError as error:
            raise ValueError(str(error)) from None

    async def fault(self, pool: HotPool) -> str:
        """Why the log is not the one that was anchored; empty: it is."""
        try:
            anchors = self.read()
        except ValueError:
            return "the file of anchors was damaged"
        if not anchors:
            async with pool.acquire() as connection:
                return self._missing if await connection.fetchval(_BEGUN, self.name) else ""
        for anchor in anchors:
            if not self._keys.sealed(anchor.said, anchor.seal):
                return f"the anchor of entry {anchor.entry} is not sealed with SECRET_KEY, or one before"
        first = max((number for number, anchor in enumerate(anchors) if anchor.acknowledged), default=0)
        anchors = anchors[first:]
        async with pool.acquire() as connection:
            rows = await connection.fetch(_HASHES, [anchor.entry for anchor in anchors])
        hashes = {row["id"]: row["hash"] for row in rows}
        for anchor in anchors:
            if hashes.get(anchor.entry) != anchor.hash:
                return _made_anew(anchor)
        return ""


def _made_anew(anchor: Anchor) -> str:
    return (
        f"entry {anchor.entry} is not the one anchored at {anchor.at}: the log was made anew, or lost its end"
    )
