"""Passwords are checked beside the event loop, few at a time: each takes 64 MiB and a tenth of a second on purpose.

A flood of sign-ins therefore costs two checks' memory and not more; what would wait too long is told to come back.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from app.access.keys import hash_password, verify_password
from app.errors import FieldError, Invalid, Overloaded
from app.messages.message import say

SHORTEST: Final = 12
LONGEST: Final = 200
_AT_ONCE: Final = 2
_MOST_WAITING: Final = 50
_KNOWN_TO_ALL = ("password", "123456", "qwerty", "letmein", "administrator", "пароль", "йцукен", "executor")
T = TypeVar("T")
_NOBODYS = hash_password("the password of nobody")


class Passwords:
    """Checks and hashes for one process."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def check(self, password: str, kept: str | None) -> bool:
        """Whether this is the password; as slow where there is none to compare with. Raises Overloaded."""
        right = await self._run(verify_password, password[:LONGEST], kept or _NOBODYS)
        return right and kept is not None

    async def hash(self, password: str) -> str:
        """The form in which it is kept. Raises Overloaded."""
        return await self._run(hash_password, password)

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _MOST_WAITING:
            raise Overloaded(say("Too many sign-ins at once; come back in a moment."), retry_after=2)
        self._waiting += 1
        try:
            async with self._gate:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1


def check_choice(password: str, username: str) -> None:
    """Refuse a password that is short, known to everybody or the name itself. Raises Invalid."""
    simple = password.casefold()
    for reason, wrong in {
        say("shorter than {least} characters", least=SHORTEST): len(password) < SHORTEST,
        say("longer than {most} characters", most=LONGEST): len(password) > LONGEST,
        say("the name itself"): username.casefold() in simple,
        say("known to everybody"): any(simple.strip("0123456789!.-_ ") == known for known in _KNOWN_TO_ALL),
        say("one character again and again"): len(set(simple)) < 4,
    }.items():
        if wrong:
            remedy = say(
                "choose {shortest} to {longest} characters that only you know",
                shortest=SHORTEST,
                longest=LONGEST,
            )
            raise Invalid(
                say("password: it is {reason}; {remedy}.", reason=reason, remedy=remedy),
                [FieldError("password", reason, remedy)],
            )
