"""Replays of this system's own history: asked for, watched, and carried out by a process of their own.

A replay computes for seconds or minutes; in the API's process it would hold up every request. So it has a process with
a lower priority (`app/commands/replay_job.py`), which writes down how far it is and looks whether it is still wanted.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.config import Settings
from app.database import Database
from app.engine.placement.state import PoolSettings, PoolState, expected_day_load
from app.engine.replay import PlayedStream, Window, recount, replay
from app.engine.types import Policy, PoolId, Rules, RuleSetId
from app.errors import Conflict, Invalid, NotFound, Overloaded
from app.messages.message import say, say_count
from app.models import Pool, Replay, RuleSetRow
from app.replay_report.comparison import ACTUAL, FORECAST, Run, RunComparison, Source, as_json, moved
from app.replay_report.page import page
from app.rule_engine import Catalogue, compile_rules, parse_rule_set
from app.services.common.pool_options import pool_zone
from app.services.pools.parameters import read_catalogue
from app.services.replays.history import History, Limits, TooMuchHistory, read_history
from app.services.rules.rules import find_faults, get_rule_set

log = structlog.get_logger()

MOST_AT_ONCE = 2
MOST_DAYS = 92
_SILENT = timedelta(seconds=120)
"""A job that has not been heard of for so long has died."""


class Unwanted(Exception):
    """The replay was cancelled while it ran."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be played: a period, and what is to be otherwise in it. None: as the pool is now."""

    since: datetime
    until: datetime
    policies: Sequence[Policy]
    theta: float | None = None
    daily_limit: float | None = None
    max_open: int | None = None
    forecast: bool = False

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "policies": [policy.value for policy in self.policies],
            "theta": self.theta,
            "daily_limit": self.daily_limit,
            "max_open": self.max_open,
            "forecast": self.forecast,
        }

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Wish":
        """From what was stored."""
        return cls(
            datetime.fromisoformat(stored["since"]),
            datetime.fromisoformat(stored["until"]),
            [Policy(each) for each in stored["policies"]],
            stored["theta"],
            stored["daily_limit"],
            stored["max_open"],
            stored.get("forecast", False),
        )


async def start_replay(
    session: AsyncSession, *, rule_set_id: RuleSetId, wish: Wish, caller: str, now: datetime
) -> Replay:
    """Write down what is wanted. Raises NotFound, Invalid (period, or rules out of date), Overloaded."""
    rule_set = await get_rule_set(session, rule_set_id=rule_set_id)
    if not wish.since < wish.until <= wish.since + timedelta(days=MOST_DAYS):
        raise Invalid(
            say(
                "until: not after since, or more than {most} days after it; choose a shorter period.",
                most=MOST_DAYS,
            )
        )
    pool_id = PoolId(rule_set.pool_id)
    if faults := await find_faults(session, pool_id=pool_id, document=rule_set.document):
        raise Invalid(
            say(
                "rules{path}: {reason}; {remedy}",
                path=faults[0].path[1:],
                reason=faults[0].reason,
                remedy=faults[0].remedy,
            )
        )
    running = select(func.count()).where(
        Replay.state.in_(("queued", "running")), Replay.seen_at > now - _SILENT
    )
    if int(await session.scalar(running) or 0) >= MOST_AT_ONCE:
        raise Overloaded(
            say_count(
                "{count} replay is running: wait for it to end.",
                "{count} replays are running: wait for one to end.",
                MOST_AT_ONCE,
            ),
            retry_after=5,
        )
    asked = Replay(
        pool_id=pool_id, rule_set_id=rule_set.id, request=wish.as_json(), created_by=caller, seen_at=now
    )
    session.add(asked)
    await session.commit()
    return asked


async def launch(settings: Settings, replay_id: int) -> None:
    """Start the process that carries a replay out; it outlives this one and reports to the database."""
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "app.commands.replay_job", str(replay_id)]
    # A process of asyncio's belongs to the loop, which fails over its end where the loop has ended before it.
    process = await asyncio.to_thread(
        subprocess.Popen,
        command,
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    threading.Thread(target=process.wait, daemon=True, name=f"replay-{replay_id}").start()


_ROOT = Path(__file__).resolve().parents[3]


async def get_replay(session: AsyncSession, *, replay_id: int, now: datetime) -> Replay:
    """How far a replay is; one whose process died has failed. Raises NotFound."""
    asked = await session.get(Replay, replay_id)
    if asked is None:
        raise NotFound(say("There is no replay {replay_id}.", replay_id=replay_id), replay_id=replay_id)
    if asked.state in ("queued", "running") and (asked.seen_at is None or asked.seen_at < now - _SILENT):
        asked.state, asked.error, asked.finished_at = "failed", "its process ended; start it again", now
        await session.commit()
    return asked


async def cancel_replay(session: AsyncSession, *, replay_id: int, now: datetime) -> Replay:
    """Want it no longer; it ends with its next step. Raises NotFound, Conflict where it has ended."""
    asked = await get_replay(session, replay_id=replay_id, now=now)
    if asked.state not in ("queued", "running"):
        raise Conflict(
            say(
                "Replay {replay_id} has ended already: it is {state}.", replay_id=replay_id, state=asked.state
            )
        )
    asked.state, asked.finished_at = "cancelled", now
    await session.commit()
    return asked


class ReplayJob:
    """One replay, carried out."""

    def __init__(self, database: Database, replay_id: int) -> None:
        self._database = database
        self._id = replay_id
        self._done = 0

    async def run(self) -> None:
        """Play it and keep the result; a failure is kept as such."""
        try:
            await self._run()
        except Unwanted:
            log.info("replay.cancelled", replay=self._id)
        except (TooMuchHistory, ValueError) as error:
            log.warning("replay.failed", replay=self._id, error=str(error))
            await self._keep(state="failed", error=str(error), finished_at=func.now())

    async def _run(self) -> None:
        if not await self._keep(state="running", seen_at=func.now()):
            raise Unwanted
        async with self._database.session() as session:
            asked = await session.get_one(Replay, self._id)
            pool = await session.get_one(Pool, asked.pool_id)
            rule_set = await session.get_one(RuleSetRow, asked.rule_set_id)
            catalogue = await read_catalogue(session, pool_id=PoolId(pool.id))
        wish = Wish.of(asked.request)
        history = await _history(self._database, pool, wish)
        rules = _Draft(f"{rule_set.name} v{rule_set.version}", rule_set.document, catalogue)
        comparison = await self._play(_Stage(history, pool, rules, wish))
        pages = {"ru": page(comparison, "ru"), "en": page(comparison, "en")}
        result = {"comparison": as_json(comparison), "pages": pages}
        if comparison.verdict is not None:
            result["forecast"] = comparison.verdict.as_json()
        await self._keep(state="done", result=result, seen_at=func.now(), finished_at=func.now())

    async def _play(self, stage: "_Stage") -> RunComparison:
        total = len(stage.history.stream.arrivals) * (len(stage.wish.policies) + stage.wish.forecast)
        await self._keep(total=total)
        work = asyncio.create_task(asyncio.to_thread(stage.play, self._step))
        while not work.done():
            await asyncio.wait([work], timeout=1.0)
            if not await self._keep(done=min(self._done, total), seen_at=func.now()):
                stage.wanted = False
        return await work

    def _step(self, done: int) -> None:
        self._done = done

    async def _keep(self, **values: Any) -> bool:
        """Write down; False where nobody wants it any more."""
        async with self._database.session() as session:
            statement = update(Replay).where(Replay.id == self._id, Replay.state.in_(("queued", "running")))
            found = await session.scalar(statement.values(**values).returning(Replay.id))
            await session.commit()
        return found is not None


async def play_history(
    database: Database, *, pool_code: str, wish: Wish, document: Mapping[str, Any] | None, name: str
) -> RunComparison:
    """Play a period here and now, under this document or the active rule set (`name` is then its name).

    Raises NotFound, TooMuch, RuleSetInvalid.
    """
    async with database.session() as session:
        pool = await session.scalar(select(Pool).where(Pool.code == pool_code))
        if pool is None:
            raise NotFound(say("There is no pool '{code}'.", code=pool_code))
        active = await session.scalar(
            select(RuleSetRow).where(RuleSetRow.pool_id == pool.id, RuleSetRow.state == "active")
        )
        catalogue = await read_catalogue(session, pool_id=PoolId(pool.id))
    if document is None:
        document, name = (active.document, f"{active.name} v{active.version}") if active else ({}, "")
    stage = _Stage(await _history(database, pool, wish), pool, _Draft(name, document, catalogue), wish)
    return await asyncio.to_thread(stage.play, lambda _done: None)


async def _history(database: Database, pool: Pool, wish: Wish) -> History:
    async with database.hot.acquire() as connection:
        return await read_history(
            connection,
            pool_id=PoolId(pool.id),
            since=wish.since,
            until=wish.until,
            zone=pool_zone(pool.timezone),
            window=_window(pool.fairness_window),
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """Rules that need not be in force."""

    name: str
    document: Mapping[str, Any]
    catalogue: Catalogue


class _Stage:
    """Everything one replay needs, and the playing of it; knows no database."""

    def __init__(self, history: History, pool: Pool, draft: _Draft, wish: Wish) -> None:
        self.history = history
        self.wish = wish
        self.wanted = True
        self._pool = pool
        self._draft = draft

    def play(self, step: Any) -> RunComparison:
        """What really happened, then each policy. Raises Unwanted."""
        wish, changed = self.wish, self.history.under(Limits(self.wish.daily_limit, self.wish.max_open))
        actual = recount(self._state(self.history, PoolSettings()), self.history.stream)
        runs = [Run(ACTUAL, actual.figures())]
        theta = self._pool.theta if wish.theta is None else wish.theta
        count = len(self.history.stream.arrivals)
        for number, policy in enumerate(wish.policies):
            state = self._state(changed, PoolSettings(policy, theta, self._day_load()))
            played: PlayedStream = replay(state, changed.stream, _Told(self, step, number * count))
            runs.append(Run(policy.value, played.figures(), moved(actual, played)))
        if wish.forecast:
            state = self._state(changed, PoolSettings(Policy.FAIR, theta, self._day_load()))
            ahead = replace(changed.stream, forecasts=True)
            played = replay(state, ahead, _Told(self, step, len(wish.policies) * count))
            runs.append(Run(FORECAST, played.figures(), moved(actual, played)))
        names = {one.id: one.name for one in self.history.people}
        return RunComparison(self._source(theta), runs, names)

    def _rules(self) -> Rules:
        return compile_rules(parse_rule_set(self._draft.document, self._draft.catalogue))

    def _state(self, history: History, settings: PoolSettings) -> PoolState:
        state = PoolState(self._rules(), settings)
        state.upsert(history.people)
        return state

    def _day_load(self) -> float:
        days = max(1.0, (self.wish.until - self.wish.since).total_seconds() / 86400)
        weight = sum(arrival.task.weight for arrival in self.history.stream.arrivals) / days
        return expected_day_load(weight, [one.qualification for one in self.history.people if one.active])

    def _source(self, theta: float) -> Source:
        wish, arrivals = self.wish, self.history.stream.arrivals
        return Source(
            name=self._pool.name,
            items=len(arrivals),
            people=len(self.history.people),
            activities=0,
            first=wish.since,
            last=wish.until,
            timezone=self._pool.timezone,
            dropped={},
            notes=self.history.notes,
            settings={
                "presence": "trail" if self.history.stream.turns else "always",
                "window": self.history.stream.window,
                "rules": self._draft.name or None,
                "theta": theta,
                "daily_limit": wish.daily_limit,
                "max_open": wish.max_open,
            },
        )


def _window(name: str) -> Window:
    windows: dict[str, Window] = {"day": "day", "week": "week", "month": "month"}
    return windows[name]


@dataclass(frozen=True, slots=True)
class _Told:
    """Passes progress on, and stops what nobody wants any more."""

    stage: _Stage
    step: Any
    before: int

    def __call__(self, done: int) -> None:
        if not self.stage.wanted:
            raise Unwanted
        self.step(self.before + done)
