"""Anchors of the audit log, outside of the database: who can rewrite the whole chain cannot rewrite these unseen.

A worker appends the log's head to AUDIT_ANCHORS once a minute, where it moved, sealed with a key that only SECRET_KEY
gives. `doctor` compares: an anchored entry that is gone, or has another hash, means that the chain was made anew. The
file belongs where the database's administrator does not write: another machine's disk, or a store that only appends.
The same line is logged (`audit.anchored`). Entries after the last anchor, a minute's, are guarded by the chain alone.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from app.access.keys import KeyRing
from app.config import Settings
from app.database import HotPool

log = structlog.get_logger()

_HEAD = "SELECT id, encode(hash, 'hex') AS hash FROM audit_log ORDER BY id DESC LIMIT 1"
_HASH = "SELECT encode(hash, 'hex') FROM audit_log WHERE id = $1"
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

    @property
    def said(self) -> str:
        """What the seal covers."""
        return f"audit anchor {self.entry} {self.hash} {self.at}"


class Anchors:
    """The file of anchors; several processes may append to it."""

    def __init__(self, path: Path, keys: KeyRing) -> None:
        self._path = path
        self._keys = keys
        self._last: Anchor | None = None

    async def look(self, pool: HotPool) -> None:
        """Append the log's head where it moved; never over a log that was rewritten. Raises OSError."""
        async with pool.acquire() as connection:
            head = await connection.fetchrow(_HEAD)
            if head is None:
                return
            last = self._last or self._newest()
            if last is not None and await connection.fetchval(_HASH, last.entry) != last.hash:
                log.critical("audit.rewritten", entry=last.entry, anchored_at=last.at)
                return
        if last is None or head["id"] > last.entry:
            self._append(head["id"], head["hash"])

    def _newest(self) -> Anchor | None:
        try:
            return next(reversed(self.read()), None)
        except ValueError as error:
            raise OSError(
                f"{self._path}: the file of anchors was damaged; keep it and name another"
            ) from error

    def _append(self, entry: int, hash_: str) -> None:
        said = Anchor(entry, hash_, datetime.now(UTC).isoformat(timespec="seconds"), "")
        anchor = Anchor(entry, hash_, said.at, self._keys.seal(said.said))
        line = json.dumps({"entry": entry, "hash": hash_, "at": anchor.at, "seal": anchor.seal}) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())  # one write: lines of several processes do not mix
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._last = anchor
        log.info("audit.anchored", entry=entry, hash=hash_, seal=anchor.seal)

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
            return ""
        for anchor in anchors:
            if not self._keys.sealed(anchor.said, anchor.seal):
                return f"the anchor of entry {anchor.entry} is not sealed with SECRET_KEY, or one before"
        async with pool.acquire() as connection:
            rows = await connection.fetch(_HASHES, [anchor.entry for anchor in anchors])
        hashes = {row["id"]: row["hash"] for row in rows}
        for anchor in anchors:
            if hashes.get(anchor.entry) != anchor.hash:
                return f"entry {anchor.entry} is not the one anchored at {anchor.at}: the log was made anew"
        return ""
