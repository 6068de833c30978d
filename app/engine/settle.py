"""Settling: after people came or went, or a window began, levels start again from what is still owed.

A level only tells who received less *while the same people were there*. Carried past a change of roster it makes
somebody catch up, or pay, for hours that were not theirs; set to zero it forgets what rounding left owing, the same
people again and again. So it is set to the remainder: received beyond the fair share of all spans so far, solved by
`fair`. Measured (benchmarks/fairness.py, shifts, 100 people, 20 changes of roster a day): mean gap 3.7 % joining in
level, 1.7 % from zero, 0.7 % settled; on a log of 141 short days 42 %, 42 % and 0.2 %.

Between two settlements whoever comes joins in level with those present (`PoolState.join_levels`).
"""

from collections.abc import Mapping

from app.engine.state import PoolState
from app.engine.types import ExecutorId

MOST_CARRIED = 5.0
"""Mean task weights that anybody may owe or be owed: who could not take their share is not flooded with it later."""


def settled_levels(
    state: PoolState, remainders: Mapping[ExecutorId, float], task_weight: float
) -> dict[ExecutorId, float]:
    """Everybody's level, in task units, never negative: the remainder, and what lifts all alike per qualification.

    `remainders` are received minus fair share (absent: 0), `task_weight` that of a usual task.
    """
    most = MOST_CARRIED * task_weight
    owed = {one.id: min(most, max(-most, remainders.get(one.id, 0.0))) for one in state.executors}
    lift = max((-owed[one.id] / one.qualification for one in state.executors), default=0.0)
    return {one.id: round(owed[one.id] + max(0.0, lift) * one.qualification, 3) for one in state.executors}


def settle(state: PoolState, remainders: Mapping[ExecutorId, float], task_weight: float) -> None:
    """Set everybody's level so; all else they carry stays."""
    for executor_id, level in settled_levels(state, remainders, task_weight).items():
        state.set_level(executor_id, level)
