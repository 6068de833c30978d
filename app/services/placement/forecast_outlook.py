"""What the same weekdays before brought, read from class counts, and the outlook that is made of it as a day goes.

Each process makes its own: it follows from what is stored, the clock and the people, and the trail keeps it with every
decision that was made by it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.database import HotConnection
from app.engine.fairness.forecast import WEEKS, Forecast, Outlook, outlook_of
from app.engine.placement.snapshot import key_text, unpack
from app.engine.placement.state import PoolState, present_in
from app.engine.types import PoolId, RuleSetId

LEAST_BATCH = 16
"""Tasks that are decided by one outlook in any case, however few people there are."""

# What was placed of each class in the hours of these days, by key. Reads ix_class_hours_pool_id_hour; locks nothing.
_HOURS = """
SELECT hours.hour, class.content -> 'key' AS key,
       max(hours.class_id) FILTER (WHERE class.rule_set_id IS NOT DISTINCT FROM $4) AS current_id,
       sum(hours.placed_weight)::float8 AS weight
FROM unnest($2::timestamptz[], $3::timestamptz[]) AS span(begins, ends)
JOIN class_hours hours ON hours.pool_id = $1 AND hours.hour >= span.begins AND hours.hour < span.ends
JOIN class_snapshots class ON class.id = hours.class_id
GROUP BY hours.hour, class.content -> 'key'
"""
_ELIGIBLE = "SELECT id, content -> 'eligible' AS eligible FROM class_snapshots WHERE id = ANY($1::bigint[])"


@dataclass(slots=True)
class Foresight:
    """A pool's forecast of the present hour, and what its last outlook was made of."""

    pool_id: PoolId
    zone: ZoneInfo
    rule_set_id: RuleSetId | None
    _hour: datetime | None = None
    _past: list[tuple[datetime, str, float]] = field(default_factory=list)
    _eligible: dict[str, frozenset[int]] = field(default_factory=dict)
    _made_of: tuple[bytes, int] | None = None
    _made_at: int = 0

    async def look_ahead(
        self, connection: HotConnection, state: PoolState, *, now: datetime, until: datetime | None
    ) -> None:
        """Give the state an outlook from `now` until people change (`until`); the last one while it is good."""
        hour = now.astimezone(self.zone).replace(minute=0, second=0, microsecond=0)
        made_of = ((state.here & state.active).tobytes(), state.roster_version)
        young = state.sequence - self._made_at < outlook_lasts(state)
        if self._hour == hour and self._made_of == made_of and young:
            return
        if self._hour != hour:
            await self._read_past(connection, now)
            self._hour = hour
        rows = await self._read(connection, [(hour, hour + timedelta(hours=1))])
        state.outlook = await asyncio.to_thread(self._outlook, state, rows, now, until)
        self._made_of, self._made_at = made_of, state.sequence

    async def _read_past(self, connection: HotConnection, now: datetime) -> None:
        """The same weekdays before; who may do a class that did not come today is as its last snapshot says."""
        today = now.astimezone(self.zone).date()
        days = [today - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
        rows = await self._read(connection, [_span_of(day, self.zone) for day in days])
        self._past = [_noted(row, self.zone) for row in rows]
        newest: dict[str, int] = {}
        for row in rows:
            if row["current_id"] is not None:
                key = _text(row["key"])
                newest[key] = max(newest.get(key, 0), row["current_id"])
        found = await connection.fetch(_ELIGIBLE, list(newest.values()))
        eligible = {row["id"]: frozenset(unpack(row["eligible"]).tolist()) for row in found}
        self._eligible = {key: eligible[class_id] for key, class_id in newest.items()}

    async def _read(
        self, connection: HotConnection, spans: Sequence[tuple[datetime, datetime]]
    ) -> Sequence[Mapping[str, Any]]:
        begins, ends = [begin for begin, _ in spans], [end for _, end in spans]
        rows: Sequence[Any] = await connection.fetch(_HOURS, self.pool_id, begins, ends, self.rule_set_id)
        return rows

    def _outlook(
        self, state: PoolState, rows: Sequence[Mapping[str, Any]], now: datetime, until: datetime | None
    ) -> Outlook | None:
        forecast = Forecast()
        for noted in [*self._past, *(_noted(row, self.zone) for row in rows)]:
            forecast.note(*noted)
        rests = forecast.rests(
            now.astimezone(self.zone), None if until is None else until.astimezone(self.zone)
        )
        met = {key_text(each.key): each.key for each in state.classes}
        keys = {key for rest in rests for key in rest}
        eligible = {
            key: state.eligible_ids(met[key]) if key in met else self._eligible.get(key, frozenset())
            for key in keys
        }
        return outlook_of(rests, eligible, present_in(state))


def outlook_lasts(state: PoolState) -> int:
    """How many tasks an outlook is good for: half a task for everybody who is there."""
    return max(LEAST_BATCH, int((state.here & state.active).sum()) // 2)


def _span_of(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    return datetime.combine(day, time.min, zone), datetime.combine(day + timedelta(days=1), time.min, zone)


def _noted(row: Mapping[str, Any], zone: ZoneInfo) -> tuple[datetime, str, float]:
    return row["hour"].astimezone(zone), _text(row["key"]), row["weight"]


def _text(key: object) -> str:
    return json.dumps(key, ensure_ascii=False)
