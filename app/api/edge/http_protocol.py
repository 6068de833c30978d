"""HTTP connections that cannot hold the server: a request's head must come soon and be small.

uvicorn with httptools waits for ever for the rest of a head and keeps whatever comes (slowloris, endless headers).
`executor-balancer run` uses this; by hand: `uvicorn app.main:app --http app.api.edge.http_protocol:BoundedProtocol`.
"""

import asyncio
from collections import Counter
from ipaddress import IPv6Network
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.config import get_settings

HEAD_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 1.0
"""Seconds after which a connection that has sent no whole head counts as silent."""
MOST_SILENT: Final = 100
"""Silent connections that one address (of IPv6: one network of 64 bits) may hold; what is more is let go."""
MOST_HEAD_BYTES: Final = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline and a bound for each request's head."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _silent: ClassVar[Counter[str]] = Counter()
    _silent_as: str | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.limit_concurrency is None:  # so that MAX_CONNECTIONS holds however the server was started
            self.limit_concurrency = get_settings().max_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(cast("asyncio.Transport", transport))  # uvloop's are none by name
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a further request's head."""
        super().on_message_begin()
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Wait no more: the body has its own bounds (app/api/edge/middleware.py)."""
        self._head_came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that grows too large is refused."""
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._head_came()
                self.send_400_response("Request head too large.")

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(SILENT_SECONDS, self._still_silent)

    def _still_silent(self) -> None:
        """Count among the silent ones of the address, or go where those are too many."""
        place = _network(self.client)
        if self._silent[place] >= MOST_SILENT:
            self._too_slow()
            return
        self._silent[place] += 1
        self._silent_as = place
        self._head_timer = self.loop.call_later(HEAD_SECONDS - SILENT_SECONDS, self._too_slow)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._silent_as is not None:
            self._silent[self._silent_as] -= 1
            if not self._silent[self._silent_as]:
                del self._silent[self._silent_as]
            self._silent_as = None

    def _too_slow(self) -> None:
        self._head_timer = None
        self.transport.abort()


def _network(client: tuple[str, int] | None) -> str:
    """What counts as one address: of IPv6 the first 64 bits, which one machine may have to itself."""
    if client is None:
        return ""
    return (
        client[0]
        if ":" not in client[0]
        else str(IPv6Network((client[0].partition("%")[0], 64), strict=False))
    )
