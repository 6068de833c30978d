"""Translates messages: English is in the code, Russian in `ru.po` (GNU gettext), read once."""

import gettext
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from app.messages.message import DECIMAL, Message, fill

Language: TypeAlias = Literal["en", "ru"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
RUSSIAN: Final = Path(__file__).with_name("ru.po")
_LONGEST: Final = 500


def language_of(accepted: str | None) -> Language:
    """The language that an Accept-Language header prefers; English without a header, and for any other language."""
    best: Language = "en"
    weight = 0.0
    for entry in (accepted or "")[:_LONGEST].split(","):
        tag, _, parameter = entry.partition(";")
        quality = _quality(parameter)
        for language in LANGUAGES:
            if tag.strip().lower().split("-")[0] == language and quality > weight:
                best, weight = language, quality
    return best


def _quality(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
    except ValueError:
        return 0.0


def told(text: str, language: Language) -> str:
    """A message in a language; a text that is no message as it is."""
    if language == "en" or not isinstance(text, Message) or not text.template:
        return str(text)
    if text.template == DECIMAL:
        return text.replace(".", ",")
    catalogue = _russian()
    if text.plural:
        template = catalogue.ngettext(text.template, text.plural, text.parameters["count"])
    else:
        template = catalogue.gettext(text.template)
    return fill(template, {name: _inner(name, value) for name, value in text.parameters.items()})


def _inner(name: str, value: Any) -> Any:
    """A parameter in Russian: words of a vocabulary are looked up in the context of the parameter's name."""
    if isinstance(value, list | tuple):
        return [_inner(name, each) for each in value]
    if isinstance(value, Message):
        return told(value, "ru")
    return _russian().pgettext(name, value) if isinstance(value, str) else value


def all_told(value: Any, language: Language) -> Any:
    """A JSON value with every message in it in a language, as plain strings."""
    if isinstance(value, Message):
        return told(value, language)
    if isinstance(value, dict):
        return {key: all_told(each, language) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [all_told(each, language) for each in value]
    return value


@cache
def _russian() -> gettext.GNUTranslations:
    compiled = BytesIO()
    with RUSSIAN.open("rb") as source:
        write_mo(compiled, read_po(source))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
