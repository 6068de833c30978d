"""The least HTTP/1.1 client that can load an API: a request is bytes out and bytes in, nothing else is measured."""

import asyncio
import json
from typing import Any, Self


class BareClient:
    """One connection, kept alive; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.head = b""
        """The last answer's head."""

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: str = ""
    ) -> tuple[int, bytes]:
        """Send one request and return status and body."""
        lines = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(lines.encode() + body)
        self.head = head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0:
            return status, b""
        length = int(lower[at + 15 : lower.index(b"\r\n", at)])
        return status, await self._reader.readexactly(length)

    async def post(self, path: str, body: bytes, headers: str = "") -> tuple[int, bytes]:
        """POST JSON that is already encoded."""
        return await self.request("POST", path, body, headers)


def encoded(value: Any) -> bytes:
    """JSON as a client sends it."""
    return json.dumps(value, ensure_ascii=False).encode()
