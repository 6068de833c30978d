"""Finds stored values that cannot be read, or that say less than was meant: hours, zones, settings, active rules.

The border refuses such values today; rows that an older version or another program wrote may hold them all the same.
Each concerns one person or one pool, which is set aside until it is mended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.database import HotConnection
from app.engine.calendar import UnreadableHours, WorkingHours
from app.errors import Invalid
from app.integrations.public_addresses import check_url, parse_networks
from app.services.common.pool_options import BrokenSettings, fairness_options, flow_options, pool_zone
from app.services.common.rows import availability_of, catalogue_of, rules_of
from app.services.placement import sql as statements
from app.utils.parameter_values import storable_values

_PEOPLE = """
SELECT id, pool_id, active, availability, working_hours, parameters, NULL::timestamptz AS edge, false AS away
FROM executors
WHERE active AND (jsonb_typeof(working_hours) <> 'null' OR jsonb_typeof(parameters) <> 'object'
                  OR parameters @? '$.*[*] ? (@.type() == "object" || @.type() == "array")') ORDER BY id
"""
_POOLS = "SELECT id, timezone, settings FROM pools WHERE active ORDER BY id"
_WEBHOOKS = "SELECT id, pool_id, url FROM webhooks WHERE active ORDER BY id"
_ANYWHERE = parse_networks("0.0.0.0/0, ::/0")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored value: what is wrong with it, and whether it keeps a person or a pool from working."""

    where: str
    fault: str
    stops: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"


async def find_unreadable(connection: HotConnection) -> list[Unreadable]:
    """Read what is stored as a worker does, and report each row that it cannot read. Changes and locks nothing."""
    found: list[Unreadable] = []
    for row in await connection.fetch(_POOLS):
        found += _faults_of_pool(row)
        found += await _faults_of_rules(connection, row["id"])
    for row in await connection.fetch(_PEOPLE):
        found += _faults_of_person(row)
    for row in await connection.fetch(_WEBHOOKS):
        found += _faults_of_webhook(row)
    return found


def _faults_of_pool(row: Any) -> Iterator[Unreadable]:
    for read in (
        lambda: pool_zone(row["timezone"]),
        lambda: fairness_options(row["settings"]),
        lambda: flow_options(row["settings"]),
    ):
        try:
            read()
        except (BrokenSettings, AttributeError, TypeError) as error:
            yield Unreadable(f"pool {row['id']}", str(error))


async def _faults_of_rules(connection: HotConnection, pool_id: int) -> Sequence[Unreadable]:
    [pool] = await connection.fetch(statements.POOL, pool_id)
    parameters = await connection.fetch(statements.PARAMETERS, pool_id)
    try:
        rules_of(pool["document"], catalogue_of(parameters))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return [Unreadable(f"rules of pool {pool_id}", str(error) or type(error).__name__)]
    return []


def _faults_of_person(row: Any) -> Iterator[Unreadable]:
    where = f"executor {row['id']} of pool {row['pool_id']}"
    if not isinstance(row["parameters"], dict):
        yield Unreadable(where, "parameters: no object")
    else:
        try:
            storable_values(row["parameters"])
        except ValueError as error:
            yield Unreadable(where, f"parameters.{error}; rules take it for absent", stops=False)
    seen = availability_of(row, ZoneInfo("UTC"), datetime.now(UTC))
    if seen.fault:
        yield Unreadable(where, seen.fault)
    elif row["working_hours"]:
        try:
            WorkingHours.parse(row["working_hours"], ZoneInfo("UTC"))
        except UnreadableHours as error:
            yield Unreadable(where, f"{error.place}: {error.reason}; it has no effect", stops=False)


def _faults_of_webhook(row: Any) -> Iterator[Unreadable]:
    """An address that no request can be sent to; whether it lies inside this network is asked when it is sent to."""
    try:
        check_url(row["url"], _ANYWHERE)
    except Invalid as error:
        fault = f"{error.detail} Delete it and make another."
        yield Unreadable(f"webhook {row['id']} of pool {row['pool_id']}", fault, stops=False)
