"""The reserve of a live pool: today's mix is read from class counts once, counted along, and drawn from.

Where it would cost anything it stands back: batches of a peak are placed without it, and drawing takes a fiftieth of
the time at most. The trail keeps the outlook with every decision that was made by it, and a preview reads it there.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

import numpy as np

from app.database import HotConnection
from app.engine.fairness.forecast import Outlook
from app.engine.placement.allocate import Decision
from app.engine.placement.reserve_draw import MOST_PEOPLE, Mix, Reserve, lasts
from app.engine.placement.snapshot import unpack
from app.engine.placement.state import PoolState
from app.engine.types import Policy, PoolId, RuleSetId

_REST = 50.0
"""How many times longer than a draw took none is made."""
_MOST_SETS = 256
"""Sets of people that a day's work is told apart by, the busiest first."""

# What was placed today for each set of eligible people under the rules in force; who may do a class is as its newest
# snapshot says. Reads ix_class_hours_pool_id_hour; locks nothing.
_TODAY = """
WITH today AS (
    SELECT max(class.id) AS newest, sum(hours.placed_count)::float8 AS count, sum(hours.placed_weight)::float8 AS weight
    FROM class_hours hours JOIN class_snapshots class ON class.id = hours.class_id
    WHERE hours.pool_id = $1 AND hours.hour >= $2 AND hours.placed_count > 0
      AND class.rule_set_id IS NOT DISTINCT FROM $3
    GROUP BY class.content -> 'key'
)
SELECT class.content -> 'eligible' AS eligible, sum(today.count) AS count, sum(today.weight) AS weight
FROM today JOIN class_snapshots class ON class.id = today.newest
GROUP BY class.content -> 'eligible' ORDER BY sum(today.count) DESC, min(today.newest) LIMIT $4
"""
# Of the frames that build on the newest full one, which says it as well: 500 at most (`engine.trail`).
_LAST = """
SELECT content -> 'outlook' AS outlook, (content ->> 'sequence')::bigint AS sequence
FROM trail_frames
WHERE pool_id = $1 AND content ? 'outlook'
  AND start = (SELECT start FROM trail_frames WHERE pool_id = $1 ORDER BY number DESC LIMIT 1)
ORDER BY number DESC LIMIT 1
"""


@dataclass(slots=True)
class PoolReserve:
    """A pool's reserve on one business day under one rule set."""

    pool_id: PoolId
    day_began: datetime
    rule_set_id: RuleSetId | None
    _reserve: Reserve = field(default_factory=Reserve)
    _rests_until: float = 0.0

    async def look_ahead(self, connection: HotConnection, state: PoolState, tasks: int) -> None:
        """Give the state the outlook for a batch of so many tasks; the caller holds the pool."""
        reserve = self._reserve
        if not reserve.serves(state, tasks):
            state.outlook = None
            return
        began = monotonic()
        if reserve.due(state) and began >= self._rests_until:
            if reserve.stale(state):
                reserve.begin(state, await self._read(connection, state))
            await asyncio.to_thread(reserve.draw, state)
            self._rests_until = monotonic() + _REST * (monotonic() - began)
        state.outlook = reserve.outlook(state)

    def note(self, state: PoolState, decisions: Sequence[Decision]) -> None:
        """Count what a batch placed."""
        self._reserve.note(state, decisions)

    async def _read(self, connection: HotConnection, state: PoolState) -> list[Mix]:
        rows = await connection.fetch(_TODAY, self.pool_id, self.day_began, self.rule_set_id, _MOST_SETS)
        return [Mix(np.isin(state.ids, unpack(row["eligible"])), row["count"], row["weight"]) for row in rows]


async def last_outlook(connection: HotConnection, pool_id: PoolId, state: PoolState) -> Outlook | None:
    """What the last decisions were made by, where the next one will be as well: it is young, and of the same people."""
    here = set(state.ids[state.here & state.active].tolist())
    if state.settings.policy is not Policy.FAIR or len(here) > MOST_PEOPLE:
        return None
    row = await connection.fetchrow(_LAST, pool_id)
    if row is None or row["outlook"] is None:
        return None
    outlook = Outlook.of(row["outlook"])
    young = state.sequence - row["sequence"] <= 2 * lasts(len(here))
    return outlook if young and outlook.people.keys() == here else None
