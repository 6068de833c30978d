"""What happens, as it happens: Server-Sent Events.

`curl -N http://127.0.0.1:8000/v1/events` shows them. Events: `began`, `news`, `kpis`, `missed` (read the pool anew)
and `beat`. An event's id is an instant: sent back as Last-Event-ID, the stream goes on from there.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.deps import CallerDep, DirectoryDep, LiveBoardDep
from app.api.problems import problems
from app.api.routes.insight.overview import overview_out
from app.api.strict import StrictRoute
from app.engine.types import PoolId
from app.schemas.common import Identifier
from app.services.live.event_stream import FiguresEvent, LiveBoard, Message, News
from app.services.live.stream_places import Watcher

router = APIRouter(prefix="/v1/events", route_class=StrictRoute, tags=["system"])

_RETRY_MILLISECONDS = 1000
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "An instant, to be sent back as Last-Event-ID."},
        "event": {"type": "string", "enum": ["began", "news", "kpis", "missed", "beat"]},
        "data": {"type": "string", "description": "JSON: see the description of the route."},
    },
}
_ANSWER = {
    "content": {"text/event-stream": {"schema": _EVENT}},
    "description": "Events until the client leaves.",
}


@router.get("", response_class=StreamingResponse, responses={200: _ANSWER, **problems(404, 422, 429, 503)})
async def watch_events(
    request: Request,
    directory: DirectoryDep,
    board: LiveBoardDep,
    caller: CallerDep,
    pool_id: Annotated[Identifier | None, Query(description="The default pool where left out.")] = None,
    period: Annotated[int, Query(ge=1, le=1440, description="Minutes that the key figures cover.")] = 60,
    last_event_id: Annotated[
        str | None, Header(max_length=200, description="Go on after this event; what is none is ignored.")
    ] = None,
) -> StreamingResponse:
    """Assignments, changes of state and key figures of a pool, within a second of their commit.

    It ends within two seconds of the right to it: signed out, key revoked, pool taken away, token expired.
    """
    pool = await directory.get(None if pool_id is None else PoolId(pool_id))
    watcher = board.join(pool.id, caller=caller, credentials=request.scope["credentials"])
    messages = board.watch(watcher, period=timedelta(minutes=period), since=_instant(last_event_id))
    return _Stream(_events(pool.id, period, messages), board, watcher)


class _Stream(StreamingResponse):
    """A stream that gives its place back however it ends."""

    def __init__(self, content: AsyncIterator[str], board: LiveBoard, watcher: Watcher) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._board, self._watcher = board, watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client leaves or the stream ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._board.leave(self._watcher)


async def _events(pool_id: PoolId, period: int, messages: AsyncIterator[Message]) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MILLISECONDS}\n\n"
    async for message in messages:
        yield _event(pool_id, period, message)


def _event(pool_id: PoolId, period: int, message: Message) -> str:
    match message:
        case News(until, counts, placed):
            assignments = [asdict(each) | {"decided_at": each.decided_at.isoformat()} for each in placed]
            data = json.dumps({"counts": counts, "assignments": assignments}, ensure_ascii=False)
            return f"id: {until.timestamp():.6f}\nevent: news\ndata: {data}\n\n"
        case FiguresEvent(picture, minutes):
            figures = overview_out(pool_id, period, picture, minutes).model_dump_json(exclude={"steps"})
            return f"event: kpis\ndata: {figures}\n\n"
        case _:
            at = message.at.timestamp()
            return f'id: {at:.6f}\nevent: {message.kind}\ndata: {{"at": "{message.at.isoformat()}"}}\n\n'


def _instant(event_id: str | None) -> datetime | None:
    """The instant that an id of ours names; None for anything else, so that a client may always come back."""
    try:
        return None if event_id is None else datetime.fromtimestamp(float(event_id), UTC)
    except (ValueError, OverflowError, OSError):
        return None
