"""Faults of a document, each with its place and remedy."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, Final

from app.messages.message import Message, either, say

MOST_FAULTS: Final = 100
_MOST_GUESSES: Final = 20
"""Faults that are told what was meant: a guess costs a look at every name that there is."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3

# Letters that cannot be told from Latin ones on a screen: the usual reason why a right name is unknown.
_LOOKS_LIKE = str.maketrans(
    "АВЕКМНОРСТУХавекмнорстухіјѕԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABEKMHOPCTYXabekmhopctyxijsdqwABEZHIKMNOPTYXo"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where it is (JSON path), what was found there, why that is wrong, and what to do."""

    path: str
    value: str
    reason: Message
    remedy: Message


class RuleSetInvalid(ValueError):
    """The document is not a rule set; `issues` say why."""

    def __init__(self, issues: list[Fault]) -> None:
        super().__init__("; ".join(f"{issue.path}: {issue.reason}" for issue in issues))
        self.issues = issues


class Faults:
    """The faults of one document, up to a bound."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    @property
    def full(self) -> bool:
        """Whether the search may end."""
        return len(self.found) >= MOST_FAULTS

    def add(self, path: str, value: Any, reason: Message, remedy: Message) -> None:
        """Note one."""
        if not self.full:
            self.found.append(Fault(path, _SHORT.repr(value), reason, remedy))

    def unknown_key(self, path: str, key: str, value: Any, what: str, known: Iterable[str]) -> None:
        """Note a key that nobody knows, with what may have been meant."""
        self.unknown(f"{path}.{key[:100]}", value, what, known, written=key)

    def unknown(
        self, path: str, value: Any, what: str, known: Iterable[str], written: str | None = None
    ) -> None:
        """Note a name that nobody knows, with what may have been meant by what was written, else by the value."""
        if not self.full:
            named = value if written is None else written
            may_guess = len(self.found) < _MOST_GUESSES
            guess = meant(named, list(known)) if may_guess else say("see the documentation")
            reason = (
                say("unknown {unknown}", unknown=what)
                if written is None
                else say("unknown {unknown} {name!r}", unknown=what, name=written[:100])
            )
            self.add(path, value, reason, guess)


def meant(given: Any, known: list[str]) -> Message:
    """A suggestion for an unknown name."""
    text = given[:200] if isinstance(given, str) else ""
    plain = unicodedata.normalize("NFKC", text).translate(_LOOKS_LIKE)
    if plain != text and plain in known:
        return say("did you mean {meant}? Some letters here only look like Latin ones", meant=plain)
    close = get_close_matches(plain, known, 3)
    if close:
        return say("did you mean {meant}?", meant=either(close))
    return say("use one of: {known}", known=known[:20])
