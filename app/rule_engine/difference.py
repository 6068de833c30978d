"""The differences between two documents, by the names of conditions where they have any."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Change: TypeAlias = Literal["added", "removed", "changed", "moved"]
_PARTS = ("conditions", "weights", "task_weights", "tests")


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that is in one document and not, or not so, in the other; its path is in the one it stands in."""

    change: Change
    path: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """From one document to another; equal conditions in another order have moved, which changes no decision."""
    found = []
    for part in _PARTS:
        found += _of_lists(part, before.get(part, []), after.get(part, []))
    for key in sorted((before.keys() | after.keys()) - set(_PARTS)):
        if before.get(key) != after.get(key):
            found.append(Difference("changed", f"$.{key}", before.get(key), after.get(key)))
    return found


def _of_lists(part: str, before: Sequence[Any], after: Sequence[Any]) -> list[Difference]:
    gone = {index: _text(each) for index, each in enumerate(before)}
    kept, fresh = [], []
    for index, each in enumerate(after):
        place = _same(_text(each), index, gone)
        if place is None:
            fresh.append(index)
        else:
            del gone[place]
            kept.append(place)
    found = []
    if kept != sorted(kept):
        found.append(Difference("moved", f"$.{part}", kept, sorted(kept)))
    for index in fresh:
        place = _counterpart(after[index], index, before, gone)
        if place is None:
            found.append(Difference("added", f"$.{part}[{index}]", None, after[index]))
        else:
            del gone[place]
            found.append(Difference("changed", f"$.{part}[{index}]", before[place], after[index]))
    found += [Difference("removed", f"$.{part}[{index}]", before[index], None) for index in gone]
    return found


def _same(text: str, index: int, gone: Mapping[int, str]) -> int | None:
    """Where the same stood: at the same place, or else anywhere."""
    if gone.get(index) == text:
        return index
    return next((at for at, old in gone.items() if old == text), None)


def _counterpart(fresh: Any, index: int, before: Sequence[Any], gone: Mapping[int, str]) -> int | None:
    """The one of the same name; without names the one at the same place."""
    name = _name(fresh)
    if name:
        return next((at for at in gone if _name(before[at]) == name), None)
    return index if index in gone and not _name(before[index]) else None


def _name(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("condition")
    return value.get("name") or (_name(inner) if isinstance(inner, Mapping) and "weight" in value else None)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
