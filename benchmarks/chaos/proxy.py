"""A TCP proxy that breaks networks on purpose: latency, hanging, resets, thin slices, a cut at a chosen moment."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

Cut = Callable[[bytes], bool]


@dataclass(slots=True)
class Toxic:
    """What is wrong with the network; the default is nothing."""

    latency: float = 0.0
    jitter: float = 0.0
    hang: bool = False
    reset: bool = False
    limit_bytes: int = 0  # so many bytes of answers a connection, then it is reset
    slice_bytes: int = 0
    cut_after: Cut | None = None
    """Asked with each chunk of requests: true ends the connection when the server has got it, before it can answer."""


class Proxy:
    """Listens on loopback and passes on to `target`; `toxic` may be changed at any time."""

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self._target = (host, port)
        self._rng = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.toxic = Toxic()
        self.cuts = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset_all(self) -> None:
        """End all connections at once, without a goodbye."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self.toxic.reset:
                writer.transport.abort()
                return
            try:
                up_reader, up_writer = await asyncio.open_connection(*self._target)
            except OSError:  # nobody listens there
                writer.transport.abort()
                return
            ends = {writer, up_writer}
            self._writers |= ends
            try:
                await asyncio.gather(
                    self._pump(reader, up_writer, ends, up=True),
                    self._pump(up_reader, writer, ends, up=False),
                )
            finally:
                self._writers -= ends
                for end in ends:
                    end.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        ends: set[asyncio.StreamWriter],
        *,
        up: bool,
    ) -> None:
        passed = 0
        while chunk := await source.read(65536):
            toxic = self.toxic
            while self.toxic.hang:  # noqa: ASYNC110 - set from outside at any time
                await asyncio.sleep(0.05)
            if toxic.latency or toxic.jitter:
                await asyncio.sleep(max(0.0, toxic.latency + toxic.jitter * self._rng.uniform(-1, 1)))
            cut = up and toxic.cut_after is not None and toxic.cut_after(chunk)
            passed += len(chunk)
            if toxic.limit_bytes and not up and passed > toxic.limit_bytes:
                break
            step = toxic.slice_bytes or len(chunk)
            for at in range(0, len(chunk), step):
                sink.write(chunk[at : at + step])
                await sink.drain()
            if cut:
                self.cuts += 1
                await asyncio.sleep(0)  # the chunk is with the kernel: the server will act on it
                await self._drop_answer(ends, sink)
                return
        for end in ends:
            end.transport.abort()

    async def _drop_answer(self, ends: set[asyncio.StreamWriter], server: asyncio.StreamWriter) -> None:
        """End the client's side at once; the server's a moment later, so that what it got is carried out."""
        for end in ends - {server}:
            end.transport.abort()
        await asyncio.sleep(0.1)
        server.transport.abort()
