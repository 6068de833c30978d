"""A proxy that speaks PostgreSQL's protocol and breaks a chosen statement of a chosen kind of request, once.

A client's messages are gathered up to Sync or Query: that is what the server answers at once, here called a statement.
Preparing one (up to Flush) is passed on: it is executed by what follows.
Errors are the server's own: in place of the statement it is asked to raise the code, inside the same transaction.
"""

import asyncio
import contextlib
import struct
from typing import Self

import asyncpg

BLOWS: dict[str, str] = {
    "terminated": "",
    "lost": "",
    "read_only": "25006",
    "serialization": "40001",
    "deadlock": "40P01",
    "cancelled": "57014",
    "idle_too_long": "",
    "too_many_connections": "53300",
}
"""What can strike: the backend is ended before the statement, its answer is lost, or an error by its SQLSTATE.

`idle_too_long` is a backend that reached its idle limit just before the statement came: its last word is the answer.
"""
_IDLE_TOO_LONG = {
    "S": "FATAL",
    "V": "FATAL",
    "C": "25P03",
    "M": "terminating connection due to idle-in-transaction timeout",
}

_SSL_REQUEST, _CANCEL = 80877103, 80877102
_HEADER = 5


class Breaker:
    """Listens on loopback and passes on to the server at `dsn`."""

    def __init__(self, host: str, port: int, dsn: str) -> None:
        self._target = (host, port)
        self._dsn = dsn
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._left: int | None = None
        self._blow = ""
        self.seen = 0
        self.struck = False
        self.port = 0

    async def __aenter__(self) -> Self:
        self._admin = await asyncpg.connect(self._dsn)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._admin.close()

    def watch(self) -> None:
        """Count statements from now on, and strike at none."""
        self._left, self._blow, self.seen, self.struck = None, "", 0, False

    def arm(self, number: int, blow: str) -> None:
        """Strike the statement of this number, counted from 1, once."""
        self.watch()
        self._left, self._blow = number, blow

    def _next_blow(self) -> str:
        self.seen += 1
        if self._left is None:
            return ""
        self._left -= 1
        if self._left:
            return ""
        self._left, self.struck = None, True
        return self._blow

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        ends = [writer]
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            try:
                up_reader, up_writer = await asyncio.open_connection(*self._target)
                ends.append(up_writer)
                await _pass_startup(reader, writer, up_writer)
                session = _Session(self, reader, writer, up_reader, up_writer)
                await asyncio.gather(session.ask(), session.answer())
            finally:
                for end in ends:
                    end.transport.abort()

    async def terminate(self, pid: int) -> None:
        """End a backend, and wait until it is gone."""
        async with self._one_at_a_time:
            await self._admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)


async def _pass_startup(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamWriter
) -> None:
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!ii", head)
        rest = await reader.readexactly(length - 8)
        if code == _SSL_REQUEST:
            writer.write(b"N")
            continue
        server.write(head + rest)
        return


class _Session:
    """One connection through the proxy, after its startup message."""

    def __init__(
        self,
        breaker: Breaker,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._breaker = breaker
        self._client = (reader, writer)
        self._server = (up_reader, up_writer)
        self._pid = 0
        self._loses = False

    async def ask(self) -> None:
        """Pass on what the client asks, statement by statement."""
        reader, server = self._client[0], self._server[1]
        gathered = b""
        while True:
            kind, message = await _message(reader)
            gathered += message
            if kind not in b"QSHpX":
                continue
            blow = self._breaker._next_blow() if kind in b"QS" else ""
            if blow == "terminated":
                await self._breaker.terminate(self._pid)
            if blow == "idle_too_long":
                self._loses = True
                self._client[1].write(_error(_IDLE_TOO_LONG))  # before the end, which ends this session too
                await self._breaker.terminate(self._pid)
                raise EOFError
            self._loses = blow == "lost"
            code = BLOWS.get(blow, "")
            server.write(_raise(code, message) if code else gathered)
            gathered = b""

    async def answer(self) -> None:
        """Pass on what the server answers; the client goes without it where it is to be lost."""
        reader, client = self._server[0], self._client[1]
        while True:
            kind, message = await _message(reader)
            if kind == b"K":
                self._pid = struct.unpack("!i", message[_HEADER : _HEADER + 4])[0]
            if not self._loses:
                client.write(message)
            elif kind == b"Z":
                raise EOFError  # the answer is whole, and lost


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(_HEADER)
    length = struct.unpack("!i", head[1:])[0]
    return head[:1], head + await reader.readexactly(length - 4)


def _error(fields: dict[str, str]) -> bytes:
    """A server's message that a session failed, by the protocol's field names."""
    body = b"".join(name.encode() + said.encode() + b"\0" for name, said in fields.items()) + b"\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


def _raise(code: str, instead_of: bytes) -> bytes:
    """A query that fails with this code. A COMMIT that fails leaves no transaction behind."""
    first = "ROLLBACK; " if instead_of[:1] == b"Q" and b"COMMIT" in instead_of else ""
    said = f"{first}DO $$BEGIN RAISE EXCEPTION 'struck on purpose' USING ERRCODE = '{code}'; END$$"
    body = said.encode() + b"\0"
    return b"Q" + struct.pack("!i", len(body) + 4) + body
