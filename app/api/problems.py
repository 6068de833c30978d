"""Errors as RFC 9457 problem details: one form for every one of them, whoever raised it."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app.api.problem_kinds import code_of, type_of
from app.errors import Conflict, DomainError, FieldError, Invalid, Unavailable
from app.messages.catalogue import Language, all_told, language_of
from app.messages.message import Message, message_of, say
from app.messages.type_faults import fault_message
from app.services.common.pool_options import BrokenSettings
from app.utils.trouble import Trouble, driver_error, says, trouble_of

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One wrong value."""

    field: str = Field(description="Where it is, as a JSON path.", examples=["parameters.grade"])
    reason: str = Field(description="What is wrong.")
    remedy: str = Field("", description="What to do.")


class Problem(BaseModel):
    """What went wrong, in words a user can act on (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Leads to the kind's entry on the page /errors.", examples=["/errors#not_found"]
    )
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status, again.")
    code: str = Field(description="The kind of problem for programs; stable.", examples=["not_found"])
    detail: str = Field(description="This very problem: names the field and the remedy.")
    request_id: str | None = Field(None, description="Names this request in the logs.")
    errors: list[FieldProblem] | None = Field(None, description="Each wrong value, where there are any.")


_DESCRIPTIONS = {
    401: "Credentials are missing or not valid.",
    403: "The role does not allow this.",
    404: "There is no such thing.",
    409: "The state of the thing does not allow this, or a unique value is taken.",
    412: "Changed by somebody else since it was read: read it again and repeat.",
    413: "The body is larger than is taken.",
    422: "One or more values are wrong; `errors` names each, the reason and the remedy.",
    429: "More work waits than can be taken in; come back after Retry-After seconds.",
    500: "A defect; the request id names it in the logs.",
    503: "A part that the request needs is down; come back after Retry-After seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that can answer with these problems."""
    return {status: _response(status) for status in sorted({*statuses})}


def _response(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def language_for(request: Request) -> Language:
    """The language in which a client wants to be answered."""
    return language_of(request.headers.get("accept-language"))


def problem_of(error: DomainError, language: Language = "en") -> dict[str, Any]:
    """The problem details of a domain error, in a language."""
    standard = {"type": type_of(error.code), "title": error.title, "status": error.status, "code": error.code}
    problem: dict[str, Any] = all_told({**error.members, **standard, "detail": error.detail}, language)
    return problem


def problem_response(request: Request, error: DomainError) -> JSONResponse:
    """The whole answer, with the headers that belong to the error."""
    language = language_for(request)
    return _response_of(request, problem_of(error, language), error.headers, language)


def _response_of(
    request: Request, problem: dict[str, Any], headers: Mapping[str, str] | None, language: Language
) -> JSONResponse:
    told = {**(headers or {}), "Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(problem | _request_id(request), problem["status"], told, MEDIA_TYPE)


def _request_id(request: Request) -> dict[str, str]:
    request_id = request.scope.get("request_id")
    return {"request_id": request_id} if request_id else {}


def domain_error_of(error: Exception) -> DomainError | None:
    """What a failure of the database means to the client; None: it is a defect of ours."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, BrokenSettings):
        return Conflict(message_of(error))
    said = says(driver_error(error))
    match trouble_of(error):
        case Trouble.SCHEMA:
            return Unavailable(
                say("The database has no schema, or an old one: run python init_db.py."), retry_after=5
            )
        case Trouble.REFUSED:
            return Invalid(
                say("The database refuses a value: {said}. Correct it and send it again.", said=said)
            )
        case Trouble.GONE:
            return Unavailable(
                say(
                    "The database does not answer ({error}). Repeat.",
                    error=type(driver_error(error)).__name__,
                )
            )
        case Trouble.CONFLICT:
            return Unavailable(
                say("Another request changed the same at once, and nothing was written. Repeat.")
            )
        case Trouble.FULL:
            return Unavailable(
                say("The database has no room left: {said}. Repeat.", said=said), retry_after=5
            )
        case Trouble.DEFECT | None:
            return None


def add_problem_handlers(app: FastAPI) -> None:
    """Let every error leave as a problem; failures of the database are left to the middleware, which sorts them."""
    app.exception_handler(DomainError)(_handle_domain)
    app.exception_handler(RequestValidationError)(_handle_validation)
    app.exception_handler(HTTPException)(_handle_http)


async def _handle_domain(request: Request, error: DomainError) -> JSONResponse:
    return problem_response(request, error)


async def _handle_validation(request: Request, error: RequestValidationError) -> JSONResponse:
    fields = field_errors(error.errors())
    first = fields[0]
    return problem_response(
        request, Invalid(say("{field}: {reason}", field=first.field, reason=first.reason), fields)
    )


def field_errors(faults: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """What a check of types found, field by field."""
    return [
        FieldError(_path(fault), fault_message(fault), _REMEDIES.get(fault["type"], "")) for fault in faults
    ]


_REMEDIES: dict[str, Message] = {
    "missing": say("send it"),
    "extra_forbidden": say("leave it out, or correct its name"),
    "json_invalid": say("send valid JSON"),
    "timezone_aware": say("add the offset from UTC, for instance Z"),
}


def _path(fault: Mapping[str, Any]) -> str:
    """`("body", "tasks", 3, "weight")` becomes `tasks[3].weight`; a body that is no JSON has no inner places."""
    location: Sequence[str | int] = fault["loc"]
    if fault["type"] == "json_invalid":
        return "body"
    parts = location[1:] if location and location[0] in {"body", "query", "path"} else location
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".") or "body"


async def _handle_http(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is no text at all
        return problem_response(request, Invalid(say("body: it cannot be read; send JSON in UTF-8.")))
    phrase = HTTPStatus(error.status_code).phrase
    language = language_for(request)
    body = {
        "type": type_of(code_of(error.status_code)),
        "title": _PHRASES.get(phrase, phrase),
        "status": error.status_code,
        "code": code_of(error.status_code),
        "detail": _PHRASES.get(str(error.detail), error.detail),
    }
    return _response_of(request, all_told(body, language), error.headers, language)


_PHRASES = {
    str(each): each
    for each in (
        say("Not Found"),
        say("Method Not Allowed"),
        say("Request Timeout"),
        say("Request Entity Too Large"),
        say("Service Unavailable"),
        say("There was an error parsing the body"),
    )
}
"""Messages that Starlette and FastAPI raise with their own HTTP errors."""
