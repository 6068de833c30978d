"""What a running system is asked when something seems wrong: whether all parts answer, and all invariants hold.

Each symptom says what was looked at, what was found, and what to do. Nothing is changed but counters, and these only
where that is asked for.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

import asyncpg
from redis.exceptions import NoPermissionError, RedisError

from app.database import HotConnection, HotPool
from app.doorbell.doorbell import STREAM
from app.engine.types import PoolId
from app.integrations.redis_address import open_redis
from app.services.audit.audit_anchors import Anchors
from app.services.audit.audit_log import verify
from app.services.audit.invariants import Violation, find_violations, repair_counters
from app.services.common.loop_reports import read_reports
from app.services.common.unreadable import find_unreadable
from app.services.common.worker_reports import PROBE, read_workers
from app.services.tasks.misplaced import find_misplaced
from app.utils.trouble import says, trouble_of

PATIENCE = 3.0
"""Seconds a server may take to answer."""
_OLDEST_POSTGRES = 150_000
_OLDEST_REDIS = (6, 2)
_LONG_WAIT = 5.0
_LONG_QUEUE = 100
_MOST_LISTED = 5
_COUNTERS = {"day_counters", "load_counters", "window_counters"}


class State(StrEnum):
    """How bad it is."""

    WELL = "well"
    WORTH_KNOWING = "worth knowing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    remedy: str = ""


async def examine(
    pool: HotPool, redis_url: str | None, *, schema: str, repair: bool, anchors: Anchors | None = None
) -> list[Symptom]:
    """Look at everything; `schema` is the newest migration. With `repair`, counters that are wrong are set right.

    With `anchors`, the audit log must be the one that was anchored.
    """
    try:
        async with pool.acquire(timeout=PATIENCE) as connection:
            symptoms = [symptom async for symptom in _database(connection, schema)]
    except Exception as error:
        if trouble_of(error) is None:
            raise
        said = says(error)
        return [
            Symptom(
                "PostgreSQL",
                State.BROKEN,
                f"does not answer: {said}",
                "Start it, or correct DATABASE_URL; nothing is lost meanwhile, requests get 503.",
            )
        ]
    symptoms.append(await _doorbell(redis_url))
    if not any(symptom.name == "Schema" and symptom.state is State.BROKEN for symptom in symptoms):
        symptoms += await _work(pool)
        symptoms += [await _workers(pool), await _loops(pool), await _stored(pool), await _misplaced(pool)]
        symptoms += await _invariants(pool, repair)
        symptoms.append(await _audit_log(pool, anchors))
    return symptoms


async def _database(connection: HotConnection, schema: str) -> AsyncIterator[Symptom]:
    number = int(await connection.fetchval("SHOW server_version_num", timeout=PATIENCE))
    version = f"PostgreSQL {number // 10000}.{number % 10000}"
    old = number < _OLDEST_POSTGRES
    yield Symptom(
        "PostgreSQL", State.BROKEN if old else State.WELL, version, "Use 15 or later." if old else ""
    )
    try:
        found = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        found = None
    right = found == schema
    yield Symptom(
        "Schema",
        State.WELL if right else State.BROKEN,
        str(found or "none") if right else f"{found or 'none'}, this program has {schema}",
        "" if right else "Run: python init_db.py",
    )
    used, most = await connection.fetchrow(
        "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity"
    ) or (0, 1)
    near = used > 0.9 * most
    yield Symptom(
        "Connections",
        State.WORTH_KNOWING if near else State.WELL,
        f"{used} of {most}",
        "Raise max_connections, or lower DATABASE_POOL_SIZE and HOT_POOL_SIZE." if near else "",
    )
    yield await _writes(connection)
    durable = await connection.fetchval(
        "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'"
    )
    yield Symptom(
        "Durability",
        State.WELL if durable else State.BROKEN,
        "commits survive a loss of power" if durable else "a loss of power may take back answered tasks",
        "" if durable else "Set fsync = on and synchronous_commit = on.",
    )
    if right:
        yield await _role(connection)
    timed = await connection.fetchval("SELECT current_setting('track_commit_timestamp') = 'on'")
    yield Symptom(
        "Commit times",
        State.WELL if timed else State.WORTH_KNOWING,
        (
            "latency is measured from a task's commit"
            if timed
            else "latency is measured from a task's statement"
        ),
        "" if timed else "Set track_commit_timestamp = on and restart PostgreSQL.",
    )


async def _writes(connection: HotConnection) -> Symptom:
    """Whether the database takes writes: not a standby, not read-only, room on its disk."""
    try:
        await connection.execute(PROBE, timeout=PATIENCE)
    except asyncpg.PostgresError as error:
        remedy = "Point DATABASE_URL at the primary, make it writable, or make room on its disk."
        return Symptom("Writes", State.BROKEN, f"refused: {says(error)}", remedy)
    return Symptom("Writes", State.WELL, "are taken")


_ROLE = """
SELECT session_user AS login, current_user AS role, login.rolsuper AS login_super, narrow.rolsuper AS super,
    pg_has_role(narrow.oid, relowner, 'MEMBER') AS owns
FROM pg_roles login, pg_roles narrow, pg_class
WHERE login.rolname = session_user AND narrow.rolname = current_user AND pg_class.oid = 'audit_log'::regclass
"""
_OWN_LOGIN = (
    "Name a login of its own in DATABASE_URL and this one in DATABASE_OWNER_URL, then run: python init_db.py"
)


async def _role(connection: HotConnection) -> Symptom:
    """Which database role works here, and whether a holder of its password could rewrite the audit log."""
    [who] = await connection.fetch(_ROLE)
    login, role = who["login"], who["role"]
    if who["super"]:
        found = f"{login} is a superuser and works as one: the audit log can be rewritten past its triggers"
        return Symptom("Database role", State.BROKEN, found, "Run: python init_db.py")
    if who["owns"]:
        found = f"{login} owns the tables: whoever has its password can switch off the audit log's triggers"
        return Symptom("Database role", State.WORTH_KNOWING, found, _OWN_LOGIN)
    if who["login_super"]:
        found = f"works as {role}; signs in as {login}, a superuser"
        return Symptom("Database role", State.WELL, found, f"For production: {_OWN_LOGIN}")
    return Symptom("Database role", State.WELL, f"{role} reads and writes rows, and owns nothing")


async def _doorbell(redis_url: str | None) -> Symptom:
    if not redis_url:
        return Symptom(
            "Redis",
            State.WORTH_KNOWING,
            "none: workers look for work every 200 ms",
            "Set REDIS_URL to be told.",
        )
    redis = open_redis(redis_url, key=STREAM, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    try:
        told: Any = await redis.info()
    except NoPermissionError:
        found = "answers; its version and policy are not known, as this user may not INFO"
        return Symptom("Redis", State.WELL, found)
    except (RedisError, OSError) as error:
        found = f"does not answer ({error}): workers look for work every second"
        return Symptom("Redis", State.WORTH_KNOWING, found, "Start it; nothing is lost meanwhile.")
    finally:
        await redis.aclose()
    version = str(told["redis_version"])
    policy = str(told.get("maxmemory_policy", "noeviction"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        return Symptom("Redis", State.BROKEN, f"Redis {version}", "Use 6.2 or later.")
    safe = policy == "noeviction"
    return Symptom(
        "Redis",
        State.WELL if safe else State.WORTH_KNOWING,
        f"Redis {version}, {policy}",
        "" if safe else "An evicted ring costs a second, never a task; noeviction avoids even that.",
    )


_LAG = """
SELECT count(*) AS unseen, coalesce(max(extract(epoch FROM now() - updated_at)), 0)::float8 AS oldest
FROM tasks WHERE status = 'pending' AND wait_reason IS NULL
"""
_PARKED = """
SELECT wait_reason AS reason, count(*) AS tasks FROM tasks
WHERE status = 'pending' AND wait_reason IS NOT NULL GROUP BY wait_reason ORDER BY wait_reason
"""
_OUTBOX = """
SELECT count(*) FILTER (WHERE delivered_at IS NULL AND dead_at IS NULL AND created_at < now() - interval '2 minutes')
       AS late,
       count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
       (SELECT string_agg(destination || ' (' || last_error || ')', ', ' ORDER BY destination) FROM delivery_breakers
        WHERE destination = 'ais' OR destination IN (SELECT 'webhook:' || id FROM webhooks WHERE active)) AS alone
FROM outbox
"""


async def _work(pool: HotPool) -> list[Symptom]:
    async with pool.acquire() as connection:
        [lag] = await connection.fetch(_LAG)
        parked = {row["reason"]: row["tasks"] for row in await connection.fetch(_PARKED)}
        [outbox] = await connection.fetch(_OUTBOX)
    return [_of_lag(lag), _of_parked(parked), _of_outbox(outbox)]


def _of_lag(lag: Any) -> Symptom:
    slow = lag["oldest"] > _LONG_WAIT
    found = f"{lag['unseen']} tasks wait for a worker's look, the oldest for {lag['oldest']:.1f} s"
    remedy = "Is a worker running? Start one: executor-balancer worker" if slow else ""
    return Symptom("Lag", State.WORTH_KNOWING if slow else State.WELL, found, remedy)


def _of_parked(parked: dict[str, int]) -> Symptom:
    listed = ", ".join(f"{reason} {count}" for reason, count in parked.items()) or "nobody waits"
    aside = parked.get("set_aside", 0)
    remedy = (
        "Tasks that ended a worker each time are set aside: see wait_explanation, correct or cancel them."
    )
    return Symptom("Waiting", State.WORTH_KNOWING if aside else State.WELL, listed, remedy if aside else "")


def _of_outbox(outbox: Any) -> Symptom:
    bad = outbox["dead"] or outbox["late"] > _LONG_QUEUE or outbox["alone"]
    found = f"{outbox['late']} messages late, {outbox['dead']} given up"
    if outbox["alone"]:
        found += f"; receivers that do not answer: {outbox['alone']}"
    remedy = "Does the external system answer? See last_error in the table outbox." if bad else ""
    return Symptom("Delivery", State.WORTH_KNOWING if bad else State.WELL, found, remedy)


async def _workers(pool: HotPool) -> Symptom:
    """Whether workers run and can write."""
    async with pool.acquire() as connection:
        workers = await read_workers(connection)
    if not workers.fault:
        found = (
            f"{workers.well} run and can write"
            if workers.well
            else "none has run yet, and no task waits for one"
        )
        return Symptom("Workers", State.WELL, found)
    state = State.BROKEN if workers.stands_still else State.WORTH_KNOWING
    remedy = "Start one: executor-balancer worker. One that runs and cannot write: see its log (worker.cannot_write)."
    return Symptom("Workers", state, workers.fault, remedy)


async def _loops(pool: HotPool) -> Symptom:
    """Loops that keep failing or are late, in any process that lives, each with its last failure."""
    async with pool.acquire() as connection:
        reports = await read_reports(connection)
    if not reports:
        return Symptom("Background", State.WELL, "all loops get round")
    listed = "; ".join(
        f"{each.message}{f': {each.error}' if each.error else ''}" for each in reports[:_MOST_LISTED]
    )
    more = f"; {len(reports) - _MOST_LISTED} more" if len(reports) > _MOST_LISTED else ""
    remedy = "The log has each failure with its traceback (loop.failed); everything else goes on meanwhile."
    return Symptom("Background", State.BROKEN, listed + more, remedy)


async def _stored(pool: HotPool) -> Symptom:
    """Values that a worker cannot read set a person or a pool aside; others are not what was meant."""
    async with pool.acquire() as connection:
        found = await find_unreadable(connection)
    if not found:
        return Symptom("Stored values", State.WELL, "all can be read")
    stops = any(each.stops for each in found)
    listed = "; ".join(str(each) for each in found[:_MOST_LISTED])
    more = f"; {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    remedy = "Send them anew: PATCH /v1/executors/{id}, PATCH /v1/pools/{id}, or activate other rules."
    return Symptom("Stored values", State.BROKEN if stops else State.WORTH_KNOWING, listed + more, remedy)


async def _misplaced(pool: HotPool) -> Symptom:
    """Whether open work is with executors who may not have it any more."""
    counts: dict[str, int] = {}
    for row in await pool.fetch("SELECT id, code FROM pools WHERE active ORDER BY id"):
        try:
            found = await find_misplaced(pool, pool_id=PoolId(row["id"]))
        except Exception as error:  # values that cannot be read are told by `_stored`
            if trouble_of(error) is not None:
                raise
            continue
        counts |= {row["code"]: len(found)} if found else {}
    if not counts:
        return Symptom("Misplaced work", State.WELL, "none: whoever has work may have it")
    listed = ", ".join(f"{code} {count}" for code, count in islice(counts.items(), _MOST_LISTED))
    more = f" and {len(counts) - _MOST_LISTED} more pools" if len(counts) > _MOST_LISTED else ""
    return Symptom(
        "Misplaced work",
        State.WORTH_KNOWING,
        f"open tasks with executors who left or no longer pass the rules: {listed}{more}",
        "See them on the page Tasks, or GET /v1/distribution/misplaced; move them there by one click.",
    )


async def _invariants(pool: HotPool, repair: bool) -> list[Symptom]:
    findings = await _look(pool)
    if repair and any(finding.check.name in _COUNTERS for finding in findings):
        await repair_counters(pool)
        mended = {finding.check.name for finding in findings} & _COUNTERS
        left = await _look(pool)
        mended -= {finding.check.name for finding in left}
        return [_well_again(sorted(mended)), *map(_of_finding, left)]
    if not findings:
        return [Symptom("Invariants", State.WELL, "all hold")]
    return [_of_finding(finding) for finding in findings]


async def _look(pool: HotPool) -> Sequence[Violation]:
    async with pool.acquire() as connection:
        return await find_violations(connection)


async def _audit_log(pool: HotPool, anchors: Anchors | None) -> Symptom:
    proof = await verify(pool)
    rewritten = await anchors.fault(pool) if anchors is not None else ""
    if proof.holds and rewritten:
        remedy = (
            "Compare with an export or a backup. If a restore or a failover lost the end of the log: "
            "executor-balancer audit acknowledge --reason ..."
        )
        return Symptom("Audit log", State.BROKEN, rewritten, remedy)
    if proof.holds:
        return Symptom(
            "Audit log", State.WELL, f"{proof.entries} entries, chain whole; head {proof.head[:16]}"
        )
    found = f"entry {proof.broken_at} does not fit: {proof.reason}" if proof.broken_at else proof.reason
    remedy = "Somebody changed the database past its triggers: compare with an export or a backup."
    return Symptom("Audit log", State.BROKEN, found, remedy)


def _well_again(names: Sequence[str]) -> Symptom:
    return Symptom("Invariants", State.WELL, f"repaired: {', '.join(names) or 'nothing could be'}")


def _of_finding(finding: Violation) -> Symptom:
    waits = finding.check.name in {"nobody_waits_unseen", "nobody_waits_in_vain"}
    remedy = "Report it with this output; nothing was changed."
    if finding.check.name in _COUNTERS:
        remedy = "Run: executor-balancer doctor --repair"
    elif waits:
        remedy = "Is a worker running? Start one: executor-balancer worker"
    found = f"broken {finding.count} times: {finding.check.promise}; first: {finding.examples[0]}"
    return Symptom(finding.check.name, State.BROKEN, found, remedy)
