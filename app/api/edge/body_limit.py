"""How much of bodies is taken, of one request and of all at once, and for how long: no sender fills the memory.

Each body has a bound of its own, and so has their sum: many that are each within it would fill the memory together.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.errors import TooLarge
from app.messages.message import Message as Words, say

_MOST_OF_ANYBODY = 64 * 1024
"""Bytes of a body from whoever did not say who they are: enough to sign in."""
_MOST_OF_OTHERS = 64 * 1024 * 1024
"""Bytes that others' bodies hold while a large one is still taken; for a moment they lie in memory twice."""
_SMALL = 256 * 1024
"""Bytes of a body that is taken however much others hold: single tasks and people's clicks go on."""
_TAKEN_PIECE_BY_PIECE = {"stream_tasks"}
"""Routes that keep no body: of any length, as long as its next piece comes in time."""


class BodyLimit:
    """Refuses bodies over `most` bytes, announced or just sent, more at once than fit, and slow ones (`seconds`)."""

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, counting what comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope.get("decided") in _TAKEN_PIECE_BY_PIECE:
            await self._app(scope, _IncomingBody(receive, self._seconds, by_piece=True).receive, send)
            return
        most = min(self._most, _MOST_OF_ANYBODY) if scope.get("public") else self._most
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > most:
            await problem_response(Request(scope), TooLarge(_too_large(most)))(scope, receive, send)
            return
        body = _IncomingBody(receive, self._seconds)

        async def receive_within() -> Message:
            before = body.came
            message = await body.receive()
            self._held += body.came - before
            # HTTPException is the one kind that the body's reader lets through.
            if body.came > most:
                raise HTTPException(413, _too_large(most))
            if body.came > _SMALL and self._held - body.came > _MOST_OF_OTHERS:
                raise HTTPException(503, _TOO_MANY, headers={"Retry-After": "1"})
            return message

        try:
            await self._app(scope, receive_within, send)
        finally:
            self._held -= body.came


_TOO_MANY = say("body: too many large ones come at once; repeat it soon, or in smaller parts.")


def _too_large(most: int) -> Words:
    return say("body: larger than {most} bytes; send it in parts.", most=most)


class _IncomingBody:
    """One body as it comes: how much of it did, and that it comes in time, as a whole or piece by piece."""

    def __init__(self, receive: Receive, seconds: float, *, by_piece: bool = False) -> None:
        self.came = 0
        self._receive = receive
        self._seconds = seconds
        self._by_piece = by_piece
        self._until: float | None = self._deadline()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._seconds

    async def receive(self) -> Message:
        """The next message; what follows the body is the client's going away, however late. Raises 408."""
        if self._until is None:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, say("body: it did not come within {seconds:g} seconds.", seconds=self._seconds)
            ) from None
        if not message.get("more_body", False):
            self._until = None
        elif self._by_piece:
            self._until = self._deadline()
        self.came += len(message.get("body", b""))
        return message
