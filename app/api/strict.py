"""Everything that a client sends is understood or refused: keys of JSON, query parameters, Idempotency-Key.

JSON parsers keep the last of two equal keys and say nothing: a condition of a rule, a person's limit or a task's
weight would be lost unseen. Every route that takes a JSON body is a StrictRoute (tests/api/test_strict_input.py holds
it); the shortcut of POST /v1/tasks and the stream of tasks call `read_json` themselves. Frameworks leave unknown query
parameters out: `?dryrun=true` would write. `nothing_ignored` runs before every route and refuses them.
"""

import json
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar
from unicodedata import is_normalized
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.errors import FieldError, Invalid, TooLarge
from app.messages.message import Message, message_of, say
from app.utils.normal_form import DoubledKey, is_nfc_json, nfc, nfc_of

_LONGEST_NUMBER = 400
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def read_json(body: bytes) -> Any:
    """The value of a JSON text in which no key stands twice, its texts in Unicode's normal form NFC.

    NaN and half characters are left to the fields' checks. Raises Invalid, and JSONDecodeError where it is no JSON.
    """
    return _read(body, _decode, normal=True)


def read_exactly(body: bytes) -> Any:
    """The same with texts as they were sent: passwords are compared byte by byte with what was sent before."""
    return _read(body, _decode, normal=False)


def read_document(body: bytes) -> Any:
    """The same for a body whose values no field checks: NaN, NUL, half characters and huge numbers are refused too."""
    read = _read(body, _decode_document, normal=True)
    try:
        text = json.dumps(read, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise _invalid(say("half a character (a lone surrogate)"), say("send text in UTF-8")) from None
    if "\\u0000" in text and _NUL.search(text):
        raise _invalid(say("the character NUL, which the database cannot keep"), say("leave it out"))
    return read


def _read(body: bytes, decode: Callable[[str], Any], *, normal: bool) -> Any:
    try:
        text = body.decode(json.detect_encoding(body))
        read = decode(text)
        return nfc_of(read) if normal and not is_nfc_json(text) else read
    except DoubledKey as error:
        raise _invalid(message_of(error), say("keep one of them")) from None
    except UnicodeDecodeError:
        raise _invalid(say("it cannot be read"), say("send JSON in UTF-8")) from None
    except RecursionError:
        raise _invalid(say("nested too deep"), say("nest at most 20 conditions")) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. It is called for every object of every task: it does no more than it must."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _invalid(
                    say("the key {key!r} stands twice in one object", key=key[:100]), say("keep one of them")
                )
            seen.add(key)
    return found


def _no_constant(name: str) -> Any:
    raise _invalid(say("{name} is no number in JSON", name=name), say("send a finite number"))


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _invalid(say("a number of {count} digits", count=len(digits)), say("send a smaller number"))
    return int(digits)


_decode = json.JSONDecoder(object_pairs_hook=_once, parse_int=_whole).decode
_decode_document = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole
).decode


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`, once."""

    most_bytes: ClassVar[int | None] = None
    """A bound of its own beside the application's."""

    @staticmethod
    def read(body: bytes) -> Any:
        """The value of a body. Raises Invalid, JSONDecodeError."""
        return read_json(body)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler after the check."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            query = request.scope["query_string"]
            if query:
                request.scope["query_string"] = _nfc_query(query)
            if request.method in _SAFE:
                return await handle(request)
            read = _StrictRequest(request.scope, request.receive)
            if not takes_body:
                await read.must_be_empty()
            elif _is_json(request):
                await read.read_strictly(self.read, self.most_bytes)
            return await handle(read)

        return strict


class ExactRoute(StrictRoute):
    """A route that takes a password."""

    @staticmethod
    def read(body: bytes) -> Any:
        """The value of a body with its texts as they were sent. Raises Invalid, JSONDecodeError."""
        return read_exactly(body)


class RuleRoute(StrictRoute):
    """A route that takes a rule set, which needs no more than a megabyte."""

    most_bytes = 1024 * 1024

    @staticmethod
    def read(body: bytes) -> Any:
        """The value of a body whose values no field checks. Raises Invalid, JSONDecodeError."""
        return read_document(body)


class _StrictRequest(Request):
    """Gives the framework the body that was read here, so that it is parsed once."""

    _read: Any = None
    _failed: json.JSONDecodeError | None = None

    async def read_strictly(self, reads: Callable[[bytes], Any], most: int | None) -> None:
        """Read the body. Raises Invalid, TooLarge; what is no JSON at all is left to the framework to tell."""
        announced = self.headers.get("content-length", "0")
        if most is not None and announced.isdigit() and int(announced) > most:
            raise _too_large(most)
        body = await self.body()  # the application's own bound holds for what was not announced
        if most is not None and len(body) > most:
            raise _too_large(most)
        try:
            self._read = reads(body) if body else None
        except json.JSONDecodeError as error:
            self._failed = error

    async def must_be_empty(self) -> None:
        """Raise Invalid where there is a body: `{"pool_id": 2}` must not be taken for the default pool."""
        if (await self.body()).strip() not in _EMPTY:
            raise _invalid(say("this request takes none"), say("leave it out; see its query parameters"))

    async def json(self) -> Any:
        """The body's value. Raises JSONDecodeError."""
        if self._failed is not None:
            raise self._failed
        return self._read


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _nfc_query(query: bytes) -> bytes:
    """A query string with its values in normal form; the same one where they are."""
    if b"%" not in query and query.isascii():
        return query
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if all(is_normalized("NFC", text) for pair in pairs for text in pair):
        return query
    return urlencode([(nfc(name), nfc(value)) for name, value in pairs]).encode()


async def nothing_ignored(request: Request) -> None:
    """Refuse a query parameter that the route does not have or that comes twice, and a key that it would not honour.

    Raises Invalid.
    """
    parameters, headers = _names(request.scope["route"])
    if request.scope["query_string"]:
        faults = _query_faults(request, parameters)
        if faults:
            raise Invalid(
                say(
                    "{field}: {reason}; {remedy}.",
                    field=faults[0].field,
                    reason=faults[0].reason,
                    remedy=faults[0].remedy,
                ),
                faults,
            )
    if _KEY in request.headers and request.method not in _SAFE and _KEY not in headers:
        reason, remedy = say("this request does not honour it"), say("leave the header out")
        raise Invalid.at("Idempotency-Key", reason, remedy)


_KEY = "idempotency-key"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be repeated as they are, and whose body has no meaning."""
_EMPTY = (b"", b"{}", b"null")
"""What clients send that always send JSON."""


def _query_faults(request: Request, known: frozenset[str]) -> list[FieldError]:
    faults, seen = [], set[str]()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            listed = sorted(known) or say("none")
            faults.append(
                FieldError(
                    name[:100],
                    say("not a parameter of this request"),
                    say("it takes {listed}", listed=listed),
                )
            )
        elif name in seen:  # no route takes a list
            faults.append(FieldError(name, say("it stands twice"), say("send it once")))
        seen.add(name)
    return faults


_known_names: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
"""By the names of routes, which are unique: app/api/edge/permissions.py decides by them."""


def _names(route: APIRoute) -> tuple[frozenset[str], frozenset[str]]:
    """The query parameters and the headers that a route reads."""
    if route.name not in _known_names:
        parts = list(_with_inner(route.dependant))
        _known_names[route.name] = (
            frozenset(field.alias for part in parts for field in part.query_params),
            frozenset(field.alias for part in parts for field in part.header_params),
        )
    return _known_names[route.name]


def _with_inner(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _with_inner(inner)


def _invalid(reason: Message, remedy: Message) -> Invalid:
    return Invalid.at("body", reason, remedy)


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        say("body: larger than {most} bytes, which no rule set needs; use fewer conditions.", most=most)
    )
