"""Rules as a plain table: which activity each executor may do.

The second implementation of the `Rules` protocol, for pools without a rule set: replay of an event log
(who has ever done that activity), the simulator and the tests.
"""

from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet

import numpy as np

from app.engine.types import BoolArray, ClassKey, Executor, ExecutorId, FloatArray, IntArray, Task

Activity = str
"""The value of a task's parameter `activity`; a task without one has the empty activity."""


def activity_of(task: Task) -> Activity:
    """The task's class: its parameter `activity`."""
    return str(task.parameters.get("activity", ""))


class MatrixRules:
    """Eligibility, preference and task factor looked up by activity and executor.

    Parameters
    ----------
    allowed
        Who may do each activity. An activity that is absent is open to everybody when `open_by_default`, to
        nobody otherwise.
    preferred
        Preference (> 0) per activity and executor; 1.0 where absent.
    factors
        By how much an activity multiplies the weight of its tasks; 1.0 where absent.
    key_of
        Reads the activity off a task.
    """

    def __init__(
        self,
        allowed: Mapping[Activity, AbstractSet[ExecutorId]],
        *,
        preferred: Mapping[Activity, Mapping[ExecutorId, float]] | None = None,
        factors: Mapping[Activity, float] | None = None,
        open_by_default: bool = False,
        key_of: Callable[[Task], Activity] = activity_of,
    ) -> None:
        self._allowed = allowed
        self._preferred = preferred or {}
        self._factors = factors or {}
        self._open_by_default = open_by_default
        self._ids: list[ExecutorId] = []
        self._eligible: dict[ClassKey, BoolArray] = {}
        self._preference: dict[ClassKey, FloatArray | None] = {}
        self.task_key: Callable[[Task], ClassKey] = key_of

    @property
    def condition_labels(self) -> Sequence[str]:
        """One condition: the executor is listed for the activity."""
        return ("activity",)

    def update(self, positions: Sequence[int], executors: Sequence[Executor]) -> None:
        """Put executors in these positions, replacing or appending."""
        for position, executor in zip(positions, executors, strict=True):
            if position == len(self._ids):
                self._ids.append(executor.id)
            else:
                self._ids[position] = executor.id
        self._eligible.clear()
        self._preference.clear()

    def task_factor(self, key: ClassKey) -> float:
        """The factor of the activity."""
        return self._factors.get(str(key), 1.0)

    def eligible(self, key: ClassKey) -> BoolArray:
        """The executors listed for the activity."""
        found = self._eligible.get(key)
        if found is None:
            found = self._eligible[key] = self._listed(str(key))
        return found

    def _listed(self, activity: Activity) -> BoolArray:
        allowed = self._allowed.get(activity)
        if allowed is None:
            return np.full(len(self._ids), self._open_by_default)
        return np.fromiter((i in allowed for i in self._ids), dtype=np.bool_, count=len(self._ids))

    def preference(self, key: ClassKey) -> FloatArray | None:
        """The listed preferences; None when the activity has none."""
        if key not in self._preference:
            listed = self._preferred.get(str(key))
            self._preference[key] = (
                None if not listed else np.array([listed.get(i, 1.0) for i in self._ids], dtype=np.float64)
            )
        return self._preference[key]

    def excluded_by(self, key: ClassKey) -> IntArray:
        """0 for an executor who is not listed, -1 for one who is."""
        return np.where(self.eligible(key), -1, 0).astype(np.int64)

    def preference_terms(self, key: ClassKey, position: int) -> Sequence[tuple[str, float]]:
        """The listed preference as the only term."""
        weight = self._preferred.get(str(key), {}).get(self._ids[position])
        return () if weight is None else ((f"activity {key}", weight),)
