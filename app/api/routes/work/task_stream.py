"""Tasks as a stream: lines of JSON come in, and what became of them goes out while more is coming.

Piece by piece, each in a transaction of its own: a piece is read only after the one before is committed, so memory is
bounded whatever the length, and a sender is slowed down to the pace at which tasks are written. What was answered is
durable; whoever is cut off sends the rest again, or everything: known external ids are answered with the first result.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response, status
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.api.deps import DirectoryDep, PartsDep
from app.api.problems import field_errors, language_for, problem_of, problems
from app.api.routes.work.tasks import new_task
from app.api.strict import read_json
from app.engine.types import PoolId
from app.errors import DomainError, Invalid, Overloaded, TooLarge
from app.messages.catalogue import Language
from app.messages.message import say
from app.messages.type_faults import no_json
from app.schemas.common import Identifier
from app.schemas.tasks import TaskIn
from app.services.intake.intake import Intake, NewTask, Outcome, Receipt
from app.services.pools.directory import PoolDirectory

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

MEDIA_TYPE = "application/x-ndjson"
_PIECE = 500
_LONGEST_LINE = 256 * 1024
_PAUSE = 0.05

EXAMPLE = '{"external_id": "INC-2001", "parameters": {}}\n{"external_id": "INC-2002", "weight": 2}\n'
_BODY = {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}}}
_ANSWER = {
    "description": "A line for each piece, as soon as it is durable.",
    "content": {
        MEDIA_TYPE: {
            "schema": {"type": "string"},
            "example": '{"from":0,"to":2,"task_ids":[71,72],"duplicates":[],"problems":[]}\n',
        }
    },
}


@router.post(
    "/stream",
    status_code=status.HTTP_202_ACCEPTED,
    responses={202: _ANSWER, **problems(404, 413, 422, 429, 503)},
    openapi_extra={"requestBody": _BODY},
    response_class=Response,
)
async def stream_tasks(
    request: Request,
    parts: PartsDep,
    directory: DirectoryDep,
    pool_id: Annotated[Identifier | None, Query(description="The pool of those that name none.")] = None,
) -> Response:
    """Take in any number of tasks, a line of JSON each, as POST /v1/tasks takes one.

    Each piece of up to 500 lines is answered by a line once it is committed: `task_ids` in the order of the lines
    `from` up to but without `to` (null where one was refused), `duplicates` and `problems` by the number of their line.
    A last line with `problem` says why the rest was not taken in. Read answers while you send.
    """
    default = None if pool_id is None else PoolId(pool_id)
    taking = _Taking(parts.intake, directory, default, language_for(request))
    pieces = _pieces(request)
    first = await anext(pieces, None)
    if not first:
        raise Invalid(say("body: there is no line; send a task as JSON on each."))
    return _Answers(taking, await taking.take(first), pieces)


class _Taking:
    """Takes pieces in, one after the other."""

    def __init__(
        self, intake: Intake, directory: PoolDirectory, pool_id: PoolId | None, language: Language
    ) -> None:
        self._intake, self._directory, self._pool_id = intake, directory, pool_id
        self.language = language
        self._taken = 0

    async def take(self, lines: Sequence[bytes]) -> bytes:
        """Commit a piece and say what became of it; waits as long as others are to be written first."""
        checked = [await self._checked(line) for line in lines]
        tasks = [each for each in checked if isinstance(each, NewTask)]
        outcomes = iter(await self._written(tasks) if tasks else [])
        became = [next(outcomes) if isinstance(each, NewTask) else each for each in checked]
        first, self._taken = self._taken, self._taken + len(lines)
        return _line(
            {
                "from": first,
                "to": self._taken,
                "task_ids": [each.task_id if isinstance(each, Receipt) else None for each in became],
                "duplicates": [
                    first + at
                    for at, each in enumerate(became)
                    if isinstance(each, Receipt) and each.duplicate
                ],
                "problems": [
                    {**problem_of(each, self.language), "line": first + at}
                    for at, each in enumerate(became)
                    if isinstance(each, DomainError)
                ],
            }
        )

    async def _checked(self, line: bytes) -> NewTask | DomainError:
        try:
            body = TaskIn.model_validate(read_json(line))
            chosen = self._pool_id if body.pool_id is None else PoolId(body.pool_id)
            return new_task(await self._directory.get(chosen), body, None)[0]
        except json.JSONDecodeError as error:
            return Invalid(say("body: {reason}", reason=no_json(error.pos, error.msg)))
        except ValidationError as error:
            faults = field_errors(error.errors())
            return Invalid(say("{field}: {reason}", field=faults[0].field, reason=faults[0].reason), faults)
        except DomainError as error:
            return error

    async def _written(self, tasks: Sequence[NewTask]) -> list[Outcome]:
        while True:
            try:
                return await self._intake.submit_batch(tasks, whole=False)
            except Overloaded:  # the sender waits, which is what a refusal would ask for
                await asyncio.sleep(_PAUSE)


class _Answers(Response):
    """Goes on taking in while it answers; Starlette's own streams would read the body away from it."""

    def __init__(self, taking: _Taking, first: bytes, pieces: AsyncIterator[list[bytes]]) -> None:
        super().__init__(status_code=status.HTTP_202_ACCEPTED, media_type=MEDIA_TYPE)
        self._taking, self._first, self._pieces = taking, first, pieces
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer piece after piece; a sender that went away is answered no more."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        try:
            async for piece in self._pieces:
                answer = await self._taking.take(piece)
                await send({"type": "http.response.body", "body": answer, "more_body": True})
        except DomainError as error:
            await send(
                {
                    "type": "http.response.body",
                    "body": _line({"problem": problem_of(error, self._taking.language)}),
                    "more_body": True,
                }
            )
        except ClientDisconnect:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(request: Request) -> AsyncIterator[list[bytes]]:
    """The body's lines as they come, at most 500 at once; what follows is not read before these are taken in."""
    left = b""
    async for chunk in request.stream():
        *lines, left = (left + chunk).split(b"\n")
        if len(left) > _LONGEST_LINE:
            raise TooLarge(
                say(
                    "body: a line is longer than {longest} bytes; send a task on each.",
                    longest=_LONGEST_LINE,
                )
            )
        whole = [line for line in lines if line.strip()]
        for at in range(0, len(whole), _PIECE):
            yield whole[at : at + _PIECE]
    if left.strip():
        yield [left]


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value) + b"\n"
