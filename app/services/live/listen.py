"""Hearing PostgreSQL's NOTIFY: one connection for a process, which comes back by itself.

What is said is one JSON object, delivered with the commit that says it and not before.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from app.database import connect
from app.services.common.loops import Loops
from app.telemetry import metrics

log = structlog.get_logger()

Hearer = Callable[[Mapping[str, Any]], None]

_RECONNECT_SECONDS = 1.0
_PROBE_SECONDS = 5.0


def _nothing() -> None:
    pass


class Listener:
    """Tells each channel's hearer what is said there, and `connected` each time that something may have been missed."""

    def __init__(
        self, dsn: str, hearers: Mapping[str, Hearer], connected: Callable[[], None] = _nothing
    ) -> None:
        self._dsn = dsn
        self._hearers = hearers
        self._connected = connected
        self._loops = Loops()

    def start(self) -> None:
        """Begin to listen; connects, and connects again, by itself."""
        self._loops.start("listening", self._listen, pause=_RECONNECT_SECONDS, late_after=float("inf"))

    async def stop(self) -> None:
        """End listening."""
        await self._loops.stop()

    async def _listen(self) -> None:
        connection = await connect(self._dsn, timeout=_PROBE_SECONDS)
        try:
            for channel in self._hearers:
                await connection.add_listener(channel, self._heard)
            metrics.listen_connections_total.inc()
            metrics.listening.set(1)
            self._connected()
            while True:
                await asyncio.sleep(_PROBE_SECONDS)
                await connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS)
        finally:
            metrics.listening.set(0)
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, channel: str, payload: Any) -> None:
        """One thing said; what cannot be read, or a hearer that fails, must not end the hearing of the next."""
        try:
            self._hearers[channel](json.loads(payload))
        except Exception:
            log.exception("listening.not_heard", channel=channel, said=str(payload)[:200])
