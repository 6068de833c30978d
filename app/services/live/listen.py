"""Hearing PostgreSQL's NOTIFY: one connection for a process, which comes back by itself.

What is said is one JSON object, delivered with the commit that says it and not before.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from app.database import TROUBLE, connect

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
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; connects, and connects again, by itself."""
        self._listening = asyncio.create_task(self._listen_forever())

    async def stop(self) -> None:
        """End listening."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except TROUBLE as error:
                log.warning("listening.down", error=str(error) or type(error).__name__)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await connect(self._dsn, timeout=_PROBE_SECONDS)
        try:
            for channel in self._hearers:
                await connection.add_listener(channel, self._heard)
            self._connected()
            while True:
                await asyncio.sleep(_PROBE_SECONDS)
                await connection.fetchval("SELECT 1", timeout=_PROBE_SECONDS)
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, channel: str, payload: Any) -> None:
        self._hearers[channel](json.loads(payload))
