"""The evidence stored once per eligibility class, rule set and roster: it makes decisions explainable for good.

The content of a snapshot is plain JSON::

    key         the class: values of the task fields that the rules read
    factor      by which the rules multiply the weight of its tasks
    labels      names of the top-level conditions
    eligible    ids of the executors who pass them all: a list or, of many, text (see `pack`); SQL reads both by
                `ids_have` and `ids_of`
    excluded    [[label index, ids], ...]: the first condition that each of the others fails, ids folded or, of many,
                as text
    left        the ids of those who are not active, in the same form
    preferred   whether preferences count in this class at all
    preferences [[preference, [[label, weight], ...], ids], ...]: who is preferred, by which terms

Availability, limits and open work change by the minute and are not here: see `trail`.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

import numpy as np

from app.engine.placement.eligibility import EligibilityClass
from app.engine.types import BoolArray, IntArray, Rules

_MANY = 500
_MOST_SPREAD = 16
"""A bit for each id is no longer than the ids where one in so many is meant."""


@dataclass(frozen=True, slots=True)
class ClassSnapshot:
    """One class as the rules saw it; `content` is plain JSON and belongs to `digest` for good."""

    digest: str
    content: dict[str, Any]


def _excluded(failed: IntArray, others: BoolArray, ids: IntArray) -> list[list[Any]]:
    """The ids of the others by the first condition that each fails."""
    positions = np.flatnonzero(others)
    if not len(positions):
        return []
    labels = failed[positions].astype(np.int16)  # sorted by digits: several times quicker than 64 bits
    order = np.argsort(labels, kind="stable")
    positions, labels = positions[order], labels[order]
    starts = np.flatnonzero(np.diff(labels, prepend=np.iinfo(np.int16).min))
    parts = np.split(ids[positions], starts[1:])
    return [[label, pack(part)] for label, part in zip(labels[starts].tolist(), parts, strict=True)]


def people_digest(ids: IntArray, active: BoolArray) -> bytes:
    """Equal for the same people; it is the same for all classes of a roster."""
    return blake2b(ids.tobytes() + active.tobytes(), digest_size=16).digest()


def class_digest(rules: Rules, found: EligibilityClass, people: bytes, version: str) -> str:
    """Equal for equal content under the same rule set: 32 hexadecimal digits. `people` is of `people_digest`."""
    words = repr((version, found.key, found.factor, tuple(rules.condition_labels)))
    digest = blake2b(words.encode() + people + found.content, digest_size=16)
    digest.update(rules.excluded_by(found.key).astype(np.int16).tobytes())
    return digest.hexdigest()


def class_snapshot(
    rules: Rules, found: EligibilityClass, ids: IntArray, active: BoolArray, digest: str
) -> ClassSnapshot:
    """The content to store under the class's digest."""
    content = {
        "key": plain(found.key),
        "factor": found.factor,
        "labels": list(rules.condition_labels),
        "eligible": list_or_pack(ids[found.eligible & active]),
        "excluded": _excluded(rules.excluded_by(found.key), ~found.eligible & active, ids),
        "left": pack(ids[~active]),
        "preferred": found.preference is not None,
        "preferences": _preferences(rules, found, ids),
    }
    return ClassSnapshot(digest, content)


def pack(ids: IntArray) -> list[int | list[int]] | str:
    """Ids folded; of many that lie close the first and a bit for each id from there on: "1:4A==" is 1, 2, 3.

    PostgreSQL takes a number of JSON for ten bytes and for as much work, and compresses long lists: with 10,000 people
    a class is stored in 0.2 ms that took 4 ms as lists.
    """
    return _packed(ids) or fold(ids)


def list_or_pack(ids: IntArray) -> list[int] | str:
    """Ids as they are; of many packed."""
    return _packed(ids) or ids.tolist()


def _packed(ids: IntArray) -> str | None:
    if len(ids) < _MANY or (span := int(ids.max() - ids.min()) + 1) > _MOST_SPREAD * len(ids):
        return None
    first = int(ids.min())
    members = np.zeros(span, dtype=np.uint8)
    members[ids - first] = 1
    return f"{first}:{b64encode(np.packbits(members).tobytes()).decode()}"


def fold(ids: IntArray | Collection[int]) -> list[int | list[int]]:
    """Ids with each run of three or more as [first, last]: 1, 2, 3, 7 becomes [[1, 3], 7]."""
    if not len(ids):
        return []
    ascending = np.sort(ids) if isinstance(ids, np.ndarray) else np.array(sorted(ids), dtype=np.int64)
    breaks = np.flatnonzero(np.diff(ascending) != 1) + 1
    starts, stops = np.concatenate(([0], breaks)), np.concatenate((breaks, [len(ascending)]))
    long = stops - starts > 2
    members: list[int] = ascending.tolist()
    folded: list[int | list[int]] = []
    done = 0
    for start, stop in zip(starts[long].tolist(), stops[long].tolist(), strict=True):
        folded += members[done:start]
        folded.append([members[start], members[stop - 1]])
        done = stop
    return folded + members[done:]


def unfold(folded: Iterable[int | Sequence[int]] | str) -> list[int]:
    """The ids that were folded or packed, ascending."""
    if isinstance(folded, str):
        ids: list[int] = unpack(folded).tolist()
        return ids
    runs = ((part, part) if isinstance(part, int) else part for part in folded)
    return [member for first, last in runs for member in range(first, last + 1)]


def unpack(kept: Sequence[int] | str) -> IntArray:
    """The ids of `list_or_pack` as an array."""
    if not isinstance(kept, str):
        return np.array(kept, dtype=np.int64)
    first, _, bits = kept.partition(":")
    members = np.unpackbits(np.frombuffer(b64decode(bits), dtype=np.uint8))
    return np.flatnonzero(members) + int(first)


def _preferences(rules: Rules, found: EligibilityClass, ids: IntArray) -> list[list[Any]]:
    if found.preference is None:
        return []
    groups: dict[tuple[tuple[str, float], ...], list[int]] = {}
    for position in np.flatnonzero(found.eligible).tolist():
        terms = tuple(
            (str(label), float(weight)) for label, weight in rules.preference_terms(found.key, position)
        )
        groups.setdefault(terms, []).append(position)
    return [
        [float(found.preference[members[0]]), [list(term) for term in terms], list_or_pack(ids[members])]
        for terms, members in groups.items()
        if terms
    ]


def key_text(key: object) -> str:
    """A class key as text, equal for equal keys on any day."""
    return json.dumps(plain(key), ensure_ascii=False)


def plain(value: object) -> Any:
    """A class key as JSON: sequences and sets become lists, instants ISO 8601, what is unknown its text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, frozenset | set):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value)
