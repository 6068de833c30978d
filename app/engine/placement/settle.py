"""Settling: after people came or went, or a window began, levels start again from what is still owed.

A level only tells who received less *while the same people were there*. Carried past a change of roster it makes
somebody catch up, or pay, for hours that were not theirs; set to zero it forgets what rounding left owing, the same
people again and again. So it is set to the remainder: received beyond the fair share of all spans so far, solved by
`fair`. Measured (benchmarks/fairness.py, shifts, 100 people, 20 changes of roster a day): mean gap 3.7 % joining in
level, 1.7 % from zero, 0.7 % settled; on a log of 141 short days 42 %, 42 % and 0.2 %.

Between two settlements an executor who comes joins in level with those present (`PoolState.join_levels`).
"""

from collections.abc import Iterable, Mapping

from app.engine.placement.state import PoolState
from app.engine.types import ExecutorId

MOST_CARRIED = 5.0
"""Mean task weights that anybody may owe or be owed: who could not take their share is not flooded with it later."""


def levels_to_settle(
    people: Iterable[tuple[ExecutorId, float]], remainders: Mapping[ExecutorId, float], task_weight: float
) -> dict[ExecutorId, float]:
    """The level of each executor, in task units, never negative: the remainder plus an equal lift per qualification.

    `people` are ids with their qualifications, `remainders` received minus fair share (absent: 0), `task_weight` that
    of a usual task.
    """
    most = MOST_CARRIED * task_weight
    owed = {i: (min(most, max(-most, remainders.get(i, 0.0))), q) for i, q in people}
    lift = max((-remainder / q for remainder, q in owed.values()), default=0.0)
    return {i: round(remainder + max(0.0, lift) * q, 3) for i, (remainder, q) in owed.items()}


def settle(state: PoolState, remainders: Mapping[ExecutorId, float], task_weight: float) -> None:
    """Set everybody's level so; all else they carry stays."""
    people = [(one.id, one.qualification) for one in state.executors]
    for executor_id, level in levels_to_settle(people, remainders, task_weight).items():
        state.set_level(executor_id, level)
