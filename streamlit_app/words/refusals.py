"""What the API says of wrong values and refused moves, in Russian: its sentences are English, a page's are not."""

import re
from collections.abc import Sequence

from streamlit_app.words.refusal_values import FILLED, OF_TYPES, PLACES
from streamlit_app.words.refusal_words import OF_THE_API

_LINE = re.compile(r"line (\d+), (.+)", re.DOTALL)


def _literal(sentence: str) -> int:
    return len(sentence.replace("{}", ""))


_KNOWN = [
    (re.compile("(.*)".join(map(re.escape, english.split("{}"))), re.DOTALL), russian)
    # What says most by itself is tried first: "{} is a {}" fits many another sentence.
    for english, russian in sorted((OF_THE_API | OF_TYPES).items(), key=lambda pair: -_literal(pair[0]))
]


def in_russian(sentence: str) -> str | None:
    """The sentence in Russian; None for one that is not known here."""
    for pattern, russian in _KNOWN:
        if found := pattern.fullmatch(sentence):
            return _fill(russian, [_filled(group) for group in found.groups()])
    return None


def _fill(russian: str, told: Sequence[str]) -> str:
    """Not by `format`: sentences show JSON too."""
    return re.sub(r"{(\d)}", lambda place: told[int(place[1])], russian)


def _filled(text: str) -> str:
    """What is filled in: words of the API by their Russian ones, anything else as it is."""
    if text in FILLED or text in OF_THE_API:
        return FILLED.get(text) or OF_THE_API[text]
    parts = re.split(r"(, | or )", text)
    if all(part.strip("'") in FILLED for part in parts[::2]):
        return "".join({" or ": " или "}.get(part, FILLED.get(part.strip("'"), part)) for part in parts)
    return text.replace(" or ", " или ") if text.startswith("'") else text


def place_in_russian(field: str) -> str:
    """Where a wrong value is: `line 3, daily_limit`, `parameters.grade`, `tasks[2].weight`."""
    if found := _LINE.fullmatch(field):
        return f"строка {found[1]}, {place_in_russian(found[2])}"
    parts = (re.fullmatch(r"([^\[]*)((?:\[\d+\])*)", part) for part in field.split("."))
    return " · ".join(PLACES.get(part[1], part[1]) + part[2] if part else field for part in parts)
