"""Eligibility classes: what the rules say once for all tasks that they cannot tell apart.

A class is asked of the rules when its first task is placed, and again after people changed. `flex` counts
the different sets of executors that each one is in: at equal scores the work goes to the executor who can do little
else. Both follow from the order of decisions alone, never from how these were cut into batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from app.engine.types import BoolArray, ClassKey, FloatArray, IntArray, Rules

MAX_CLASSES = 10_000
"""Classes kept at once: rules that read an amount make a class of every task."""
MAX_BYTES = 128 << 20
"""Bytes of their arrays kept at once: with many people these weigh more than the number of classes."""
MAX_SETS = 1_024
"""Different sets of executors that count for `flex`: later ones are placed as well, but break no ties."""


@dataclass(frozen=True, slots=True)
class EligibilityClass:
    """One class.

    Attributes
    ----------
    factor
        By which the rules multiply the weight of its tasks.
    eligible
        Shape (n,): who passes the rules.
    preference
        Shape (n,), or None when nobody is preferred.
    content
        Equal for classes that are eligible and preferred alike.
    """

    key: ClassKey
    factor: float
    eligible: BoolArray
    preference: FloatArray | None
    content: bytes


class Classes:
    """The classes met so far under one rule set, and the order in which they break ties.

    `version` grows with every change of that order or of the people: whatever is kept in that order is then
    out of date.
    """

    def __init__(self, rules: Rules) -> None:
        self.version = 0
        self.flex: IntArray = np.empty(0, dtype=np.int64)
        self._rules = rules
        self._known: dict[ClassKey, EligibilityClass] = {}
        self._sets: dict[bytes, EligibilityClass] = {}
        self._ids: IntArray = np.empty(0, dtype=np.int64)
        self._order: IntArray | None = None
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[EligibilityClass]:
        return iter(self._known.values())

    def copy(self) -> "Classes":
        """The same classes, to go another way from here."""
        twin = Classes(self._rules)
        twin.version, twin.flex, twin._ids, twin._order = self.version, self.flex, self._ids, self._order
        twin._known, twin._sets, twin._bytes = self._known.copy(), self._sets.copy(), self._bytes
        return twin

    def known(self, key: ClassKey) -> EligibilityClass | None:
        """The class with this key if it was met before."""
        return self._known.get(key)

    def meet(self, key: ClassKey) -> EligibilityClass:
        """The class with this key, asked of the rules where it was not met before."""
        found = self._known.get(key)
        if found is None:
            found = self._ask(key)
            if len(self._known) >= MAX_CLASSES or self._bytes >= MAX_BYTES:
                self._known.clear()
                self._bytes = 0
            self._known[key] = found
            self._bytes += _bytes_of(found)
            self._count(found)
        return found

    def refresh(self, ids: IntArray) -> None:
        """Forget what was known of people; `ids`, shape (n,), are everybody's.

        One class of each set is asked again at once, since `flex` counts them; the others when next met.
        """
        asked = [known.key for known in self._sets.values()]
        self._ids = ids
        self._known.clear()
        self._sets.clear()
        self._bytes = 0
        self._reorder(np.zeros(len(ids), dtype=np.int64))
        for key in asked:
            self.meet(key)

    @property
    def order(self) -> IntArray:
        """Positions by flex, then by id: of equal scores the first one here wins."""
        if self._order is None:
            self._order = np.lexsort((self._ids, self.flex))
        return self._order

    def levels_to_join(self, positions: IntArray, relative: FloatArray) -> FloatArray:
        """Per position the highest, over the sets it is in, of the lowest `relative` within the set.

        `relative`, shape (n,), is infinite for an executor who does not count; so is a result without support.
        """
        lows = np.full(len(positions), -np.inf)
        for known in self._sets.values():
            low = relative[known.eligible].min(initial=np.inf)
            if low < np.inf:
                lows = np.where(known.eligible[positions], np.maximum(lows, low), lows)
        return np.where(np.isneginf(lows), relative.min(initial=np.inf), lows)

    def _ask(self, key: ClassKey) -> EligibilityClass:
        eligible, preference = self._rules.eligible(key), self._rules.preference(key)
        content = blake2b(eligible.tobytes(), digest_size=16)
        if preference is not None:
            content.update(preference.tobytes())
        return EligibilityClass(key, self._rules.task_factor(key), eligible, preference, content.digest())

    def _count(self, found: EligibilityClass) -> None:
        name = blake2b(found.eligible.tobytes(), digest_size=16).digest()
        if name not in self._sets and len(self._sets) < MAX_SETS:
            self._sets[name] = found
            self._reorder(self.flex + found.eligible)

    def _reorder(self, flex: IntArray) -> None:
        self.flex = flex
        self._order = None
        self.version += 1


def _bytes_of(found: EligibilityClass) -> int:
    return found.eligible.nbytes + (0 if found.preference is None else found.preference.nbytes)
