"""No request waits without end: whoever has no answer in time gets 503 and when to come back.

Every client that a request waits for has a timeout of its own; this one holds for their sum, and for what nobody
thought of. The answer goes out first and what the request began is ended afterwards, because ending it may hang too.
"""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import Unavailable
from app.messages.message import say


class Deadline:
    """Bounds the seconds from a request's last byte to the beginning of its answer; `?wait=` has its own besides."""

    def __init__(self, app: ASGIApp, seconds: float, wait_limit: float) -> None:
        self._app = app
        self._seconds = seconds
        self._wait_limit = wait_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waits = b"wait=" in scope["query_string"]
        timed = _Timed(self._seconds + (self._wait_limit if waits else 0.0), scope, receive, send)
        try:
            await self._app(scope, timed.receive, timed.send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if timed.giving_up is None or task is None:
                raise
            task.uncancel()
        finally:
            timed.stop()
        if timed.giving_up is not None:
            await timed.giving_up


class _Timed:
    """One request's timer: it stands still while the client is still sending, and ends when the answer begins."""

    def __init__(self, seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
        self.giving_up: asyncio.Task[None] | None = None
        self._seconds = seconds
        self._scope, self._receive, self._send = scope, receive, send
        self._loop = asyncio.get_running_loop()
        self._serving = asyncio.current_task()
        self._answered = self._served = False
        self._body_comes = True
        self._timer = self._loop.call_later(seconds, self._give_up)

    def stop(self) -> None:
        """Wait no more: the request is served."""
        self._served = True
        self._timer.cancel()

    async def receive(self) -> Message:
        """What the client sends; its slowness has bounds of its own (`BodyLimit`)."""
        if not self._body_comes or self._answered:
            return await self._receive()
        self._timer.cancel()
        message = await self._receive()
        self._body_comes = message.get("more_body", False)
        self._timer = self._loop.call_later(self._seconds, self._give_up)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on; one that comes too late is for nobody."""
        if self.giving_up is not None:
            return
        if not self._answered:
            self._answered = True
            self._timer.cancel()
        await self._send(message)

    def _give_up(self) -> None:
        if not self._answered:
            self.giving_up = self._loop.create_task(self._answer_and_end())

    async def _answer_and_end(self) -> None:
        late = Unavailable(
            say(
                "No answer within {seconds:g} seconds; what was asked may have been done. Repeat it: what "
                "carries an external_id or an Idempotency-Key is done once.",
                seconds=self._seconds,
            )
        )
        try:
            await problem_response(Request(self._scope), late)(self._scope, self._receive, self._send)
        finally:
            if self._serving is not None and not self._served:
                self._serving.cancel()
