"""Eligibility classes: what the rules say once for all tasks that they cannot tell apart.

A class is asked of the rules when its first task is placed, and again when a person changes. `flex`
counts the classes each executor is in: who can do little else gets the work when levels tie.
"""

from dataclasses import dataclass

import numpy as np

from app.engine.types import BoolArray, ClassKey, FloatArray, IntArray, Rules


@dataclass(slots=True)
class EligibilityClass:
    """One class: who passes the rules, by position, and how much they are preferred (None: nobody more)."""

    key: ClassKey
    factor: float
    eligible: BoolArray
    preference: FloatArray | None
    digest: str = ""


class Classes:
    """The classes met so far, their flex counts, and the order in which ties are broken."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[ClassKey, EligibilityClass] = {}
        self._ids: IntArray = np.empty(0, dtype=np.int64)
        self._order: IntArray | None = None
        self.flex: IntArray = np.empty(0, dtype=np.int64)
        self.version = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: ClassKey) -> EligibilityClass:
        """The class with this key, asked of the rules when met for the first time."""
        found = self._known.get(key)
        if found is None:
            found = self._ask(key)
            self._known[key] = found
            self.flex += found.eligible
            self._reorder()
        return found

    def refresh(self, ids: IntArray) -> None:
        """Ask the rules again after people changed; `ids` are everybody's, by position."""
        self._ids = ids
        self.flex = np.zeros(len(ids), dtype=np.int64)
        for key in self._known:
            self._known[key] = self._ask(key)
            self.flex += self._known[key].eligible
        self._reorder()

    @property
    def order(self) -> IntArray:
        """Positions by flex, then by id: of equal scores the first one here wins."""
        if self._order is None:
            self._order = np.lexsort((self._ids, self.flex))
        return self._order

    def lowest_for(self, position: int, relative: FloatArray) -> list[float]:
        """Per class that the executor is in, the lowest finite value of `relative` among its members."""
        lows = (
            float(relative[known.eligible].min())
            for known in self._known.values()
            if known.eligible[position]
        )
        return [low for low in lows if low < np.inf]

    def _ask(self, key: ClassKey) -> EligibilityClass:
        return EligibilityClass(
            key, self._rules.task_factor(key), self._rules.eligible(key), self._rules.preference(key)
        )

    def _reorder(self) -> None:
        self._order = None
        self.version += 1
