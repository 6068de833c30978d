"""The kinds of problems: `type` of each leads to its entry on the page /errors, which docs/errors.md shows too."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Final

from app.errors import DomainError
from app.messages.catalogue import Language, told
from app.messages.message import Message, say


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: its status and stable code, in words, its meaning and what to do."""

    status: int
    code: str
    title: Message
    meaning: Message
    remedy: Message


def _of_errors(error: type[DomainError] = DomainError) -> Iterator[ProblemKind]:
    if "code" in vars(error):
        yield ProblemKind(error.status, error.code, error.title, error.meaning, error.remedy)
    for narrower in error.__subclasses__():
        yield from _of_errors(narrower)


def _of_http(status: int, title: Message, meaning: Message, remedy: Message) -> ProblemKind:
    return ProblemKind(status, code_of(status), title, meaning, remedy)


def code_of(status: int) -> str:
    """The code of a refusal by the framework, which has only a status."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


KINDS: Final[dict[str, ProblemKind]] = {
    kind.code: kind
    for kind in (
        *_of_errors(),
        _of_http(
            405,
            say("Method Not Allowed"),
            say("The address does not take this method."),
            say("Use a method that the header Allow names."),
        ),
        _of_http(
            408,
            say("Request Timeout"),
            say("The body did not come in time."),
            say("Send it again, in smaller parts if the connection is slow."),
        ),
        _of_http(
            413,
            say("Request Entity Too Large"),
            say("The body is larger than is taken."),
            say("Send it in smaller parts."),
        ),
        _of_http(
            503,
            say("Service Unavailable"),
            say("The service is too busy to read the body now."),
            say("Repeat after the seconds of Retry-After."),
        ),
    )
}
"""By code. The one for 404 is that of the domain: an unknown address has the same code."""


def type_of(code: str) -> str:
    """The `type` of a problem, a reference relative to the API's address; about:blank for a kind without an entry."""
    return f"/errors#{code}" if code in KINDS else "about:blank"


def page(language: Language) -> str:
    """The page /errors: every kind in one language."""
    heading = escape(told(say("Errors of the API"), language))
    entries = "".join(_entry(kind, language) for kind in KINDS.values())
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{heading}</title></head>'
        f"<body><h1>{heading}</h1>{entries}</body></html>"
    )


def _entry(kind: ProblemKind, language: Language) -> str:
    title, meaning, remedy = (
        escape(told(each, language)) for each in (kind.title, kind.meaning, kind.remedy)
    )
    return f'<h2 id="{kind.code}">{kind.code}</h2><p>{kind.status} {title}</p><p>{meaning}</p><p>{remedy}</p>'
