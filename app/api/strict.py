"""Bodies in which nothing may be lost: no key twice, no NaN, no bottomless nesting, no more than a megabyte.

JSON parsers keep the last of two equal keys and say nothing; in a rule that could drop a condition. So a body is read
once more here, before the route sees it.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.errors import FieldError, Invalid, TooLarge

MOST_BYTES = 1024 * 1024
_LONGEST_NUMBER = 400


class StrictRoute(APIRoute):
    """A route that refuses such bodies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler after the check."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if request.method in ("POST", "PUT", "PATCH"):
                check_body(await _read(request))
            return await handle(request)

        return strict


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        raise _too_large()
    body = await request.body()  # the application's own bound holds for what was not announced
    if len(body) > MOST_BYTES:
        raise _too_large()
    return body


def check_body(body: bytes) -> None:
    """Raise Invalid where something would be lost; what is no JSON at all is left to the route to tell."""
    if b"\\u0000" in body:
        raise _invalid("the character NUL, which the database cannot keep", "leave it out")
    try:
        read = json.loads(body, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole)
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _invalid("half a character (a lone surrogate)", "send text in UTF-8") from None
    except RecursionError:
        raise _invalid("nested too deep", "nest at most 20 conditions") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        return


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _invalid(f"the key {key[:100]!r} stands twice in one object", "keep one of them")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise _invalid(f"{name} is no number in JSON", "send a finite number")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _invalid(f"a number of {len(digits)} digits", "send a smaller number")
    return int(digits)


def _invalid(reason: str, remedy: str) -> Invalid:
    return Invalid(f"body: {reason}; {remedy}.", [FieldError("body", reason, remedy)])


def _too_large() -> TooLarge:
    return TooLarge(f"body: larger than {MOST_BYTES} bytes, which no rule set needs; use fewer conditions.")
