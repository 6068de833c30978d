"""A sentence for users: its English text, the template it was made from, and its parameters.

A `Message` is a `str` in English, so it can be logged and compared as one. `app.messages.catalogue` translates it by
its template, which is the key (msgid) of `app/messages/ru.po`. `make messages` enters new templates there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

Parameters = Mapping[str, Any]


class Message(str):
    """An English sentence that can be translated."""

    __slots__ = ("parameters", "plural", "template")

    template: str
    """The English template, the key in the catalogue; empty for a text that is not ours (`as_is`)."""
    plural: str
    """The template for numbers other than one; empty where the sentence does not depend on a number."""
    parameters: Parameters

    def __new__(cls, text: str, template: str, parameters: Parameters, plural: str = "") -> Self:
        """A message whose English text is already made; use `say`."""
        message = super().__new__(cls, text)
        message.template = template
        message.parameters = parameters
        message.plural = plural
        return message

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, Parameters, str]]:
        return type(self), (str(self), self.template, self.parameters, self.plural)

    def __deepcopy__(self, memo: object) -> Self:
        return self


def say(template: str, /, **parameters: Any) -> Message:
    """The message of a template: "There is no task {task_id}.", task_id=5.

    Parameters are strings, numbers, other messages, errors, or lists of these. A template without parameters is taken
    as it is, so braces are doubled only beside parameters.
    """
    for name, value in parameters.items():
        if isinstance(value, BaseException):
            parameters[name] = message_of(value)
    return Message(fill(template, parameters), template, parameters)


def say_count(singular: str, plural: str, /, count: int, **parameters: Any) -> Message:
    """The message of a template that depends on a number: "{count} row", "{count} rows", count=5."""
    parameters["count"] = count
    return Message(fill(singular if count == 1 else plural, parameters), singular, parameters, plural)


class Template(str):
    """An English template kept in a table until it is said: the catalogue collects it where it is marked so."""

    __slots__ = ()


def tell(template: Template, /, **parameters: Any) -> Message:
    """The message of a template out of a table."""
    return Message(fill(template, parameters), template, parameters)


def decimal(text: str) -> Message:
    """A number as it is written, whose point is a comma in Russian."""
    return Message(text, DECIMAL, {"decimal": text})


DECIMAL = "{decimal}"


def as_is(text: str) -> Message:
    """A text of a person or another program, which is never translated; a message stays what it is."""
    return text if isinstance(text, Message) else Message(text, "", {})


NOTHING = as_is("")


def message_of(error: BaseException) -> Message:
    """The message that an error was raised with."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Message) else as_is(str(error))


class WrongInput(ValueError):
    """Something given that cannot be read: the reason, and the remedy; its message holds both."""

    def __init__(self, reason: Message, remedy: Message) -> None:
        super().__init__(say("{reason}; {remedy}", reason=reason, remedy=remedy))
        self.reason = reason
        self.remedy = remedy


def parts_of(error: ValueError, remedy: Message) -> tuple[Message, Message]:
    """The reason and the remedy of an error; `remedy` where it names none."""
    if isinstance(error, WrongInput):
        return error.reason, error.remedy
    return message_of(error), remedy


def either(words: Iterable[str]) -> Message:
    """Words joined by "or"."""
    *rest, last = words
    told = last if isinstance(last, Message) else say("{word}", word=last)
    return say("{words} or {last}", words=either(rest), last=told) if rest else told


def joined(parts: Iterable[Message]) -> Message:
    """Sentences one after another, with semicolons."""
    *rest, last = parts
    return say("{sentences}; {last}", sentences=joined(rest), last=last) if rest else last


def fill(template: str, parameters: Parameters) -> str:
    """A template with its parameters in their places, lists joined by commas."""
    if not parameters:
        return template
    return template.format_map({name: _shown(value) for name, value in parameters.items()})


def _shown(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
