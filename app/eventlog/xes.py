"""XES (IEEE 1849): traces of events with typed attributes, read as a stream and refused where it is a trap.

No document type, no entities, no external references: a log needs none, and each is a known attack.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from app.eventlog.model import LONGEST_PIECE, MOST_ITEMS, MOST_VALUES, EventLogError, RawEvent

KEYS: Mapping[str, str] = {
    "case": "case:concept:name",
    "activity": "concept:name",
    "resource": "org:resource",
    "time": "time:timestamp",
    "start": "start_timestamp",
    "lifecycle": "lifecycle:transition",
}
_MOST_DEPTH = 30
_MOST_ATTRIBUTES = 500
_MOST_HELD = 10_000
"""Elements between two that can be let go: an event has far fewer."""


def read_xes(path: Path, raw: bytes, mapping: Mapping[str, str]) -> Iterator[RawEvent]:
    """The events of a log; attributes of a trace are those of its events under `case:`. Raises EventLogError."""
    keys = {**KEYS, **mapping}
    _check_tags(path, raw)
    try:
        yield from _events(path, iterparse(io.BytesIO(raw), ("start", "end"), forbid_dtd=True), keys)
    except EventLogError:
        raise
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:  # the last two: odd encodings
        reason = (
            str(error)
            if isinstance(error, ParseError)
            else f"{type(error).__name__}: a log needs no such thing"
        )
        raise EventLogError(f"{path}: not a readable XES document: {reason}") from error


def _check_tags(path: Path, raw: bytes) -> None:
    """Refuse a tag or text that goes on and on: the parser reads it again with each piece that comes."""
    at = 0
    while len(raw) - at > LONGEST_PIECE:
        end = raw.rfind(b">", at, at + LONGEST_PIECE)
        if end < 0:
            raise EventLogError(f"{path}: a tag or text of more than {LONGEST_PIECE:,} bytes; a log has none")
        at = end + 1


def _events(path: Path, steps: Any, keys: Mapping[str, str]) -> Iterator[RawEvent]:
    stack: list[Element] = []
    trace: dict[str, str] = {}
    count = values = held = loose = 0
    for step, element in steps:
        if step == "start":
            stack.append(element)
            held += 1
            if held > _MOST_HELD or len(trace) > _MOST_ATTRIBUTES or values > MOST_VALUES:
                raise EventLogError(f"{path}: too many attributes in one event, trace or log; leave some out")
            if len(stack) > _MOST_DEPTH:
                raise EventLogError(f"{path}: nested more than {_MOST_DEPTH} deep; a log is flat")
            if _tag(element) == "trace":
                trace = {}
            continue
        stack.pop()
        tag, parent = _tag(element), _tag(stack[-1]) if stack else ""
        loose += parent == "log" and tag != "trace"
        if loose > _MOST_HELD:
            raise EventLogError(f"{path}: more than {_MOST_HELD:,} elements beside its traces; a log has few")
        if parent == "trace" and tag != "event":
            trace.update(_attribute(element, "case:"))
        if tag == "event":
            count += 1
            if count > MOST_ITEMS:
                raise EventLogError(f"{path}: more than {MOST_ITEMS:,} events; cut the log into periods")
            event = _event(element, trace, keys)
            values += len(event.attributes)
            yield event
        if _is_read(tag, parent, stack):
            element.clear()
            held = 0
            if stack:
                stack[-1].remove(element)  # what was read is not kept: memory stays that of one event


def _is_read(tag: str, parent: str, stack: list[Element]) -> bool:
    """Whether nothing more is read of an element that ended, such as what stands in an attribute of the log as a whole.

    Those may be nested and large: a log's statistics by resource, for instance.
    """
    of_log = len(stack) > 1 and _tag(stack[1]) != "trace"
    return of_log or tag in ("event", "trace") or parent in ("trace", "log")


def _event(element: Element, trace: Mapping[str, str], keys: Mapping[str, str]) -> RawEvent:
    attributes = dict(trace)
    for child in list(element)[:_MOST_ATTRIBUTES]:
        attributes.update(_attribute(child))
    values = {role: attributes.pop(key, "") for role, key in keys.items()}
    return RawEvent(values, attributes)


def _attribute(element: Element, prefix: str = "") -> dict[str, str]:
    key, value = element.get("key"), element.get("value")
    return {} if key is None or value is None else {prefix + key: value}


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
