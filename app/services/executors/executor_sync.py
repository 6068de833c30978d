"""People pulled from the external system: who is new, and who changed there; availability and work stay ours.

Only what differs is written, so that a pull that finds nothing new disturbs nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import among
from app.engine.types import PoolId
from app.errors import Conflict, DomainError
from app.messages.message import Message, as_is, say
from app.messages.type_faults import fault_message
from app.models import ErasedPerson, ExecutorRow
from app.services.executors.executors import put_executors
from app.services.executors.person_fields import NumberedPerson, differs, values_of
from app.services.executors.privacy import digest_of
from app.utils.trouble import Trouble, says, trouble_of


@dataclass(frozen=True, slots=True)
class Synced:
    """What a pull changed; `refused` names people whose values cannot be kept, with the reason."""

    seen: int
    added: int
    changed: int
    refused: Sequence[Message]


_FEW = 5
_MANY = 0.5
"""Of a pool's active people: when more are to be switched off at once, it is more likely a fault of the list."""


async def sync_executors(
    session: AsyncSession,
    said: Sequence[Any],
    *,
    pool_id: PoolId,
    now: datetime,
    allow_many: bool = False,
) -> Synced:
    """Put everybody whom the external system told of into a pool; what one person has wrong refuses that person only.

    What it says is fetched before the session begins: it takes 2 to 10 s, longer than a transaction may idle.
    Raises Conflict, and changes nothing, where it would switch off most of the pool, unless `allow_many`.
    """
    people, refused = _readable(said)
    known = await known_people(session, pool_id, [person.external_id for person in people])
    wanted = {person.external_id: values_of(person, known.get(person.external_id)) for person in people}
    erased = await _erased(session, pool_id, wanted.keys() - known.keys())
    for number in erased:
        del wanted[number]
        refused.append(
            say(
                "{person}: erased here on request; POST /v1/executors adds them again, if that is meant",
                person=number,
            )
        )
    for number, values in wanted.items():
        if values.get("active") and number in known and known[number].removed_here:
            del values["active"]
            refused.append(
                say(
                    "{person}: removed here; PATCH /v1/executors/{executor_id} with active true brings back",
                    person=number,
                    executor_id=known[number].id,
                )
            )
    leaving = sum(
        values.get("active") is False and number in known and known[number].active
        for number, values in wanted.items()
    )
    if not allow_many and leaving > _FEW:
        await _check_not_most(session, pool_id, leaving)
    differing = {number: values for number, values in wanted.items() if differs(values, known.get(number))}
    await session.rollback()
    written = await _put(session, pool_id, list(differing.values()), now, refused)
    added = sum(number not in known for number in written)
    return Synced(len(said), added, len(written) - added, refused)


async def _check_not_most(session: AsyncSession, pool_id: PoolId, leaving: int) -> None:
    """Raise Conflict where so many are most of the pool's active people."""
    counted = select(func.count()).where(ExecutorRow.pool_id == pool_id, ExecutorRow.active)
    active = int(await session.scalar(counted) or 0)
    if leaving > _MANY * active:
        raise Conflict(
            say(
                "The external system would switch off {leaving} of {active} active people, and nothing was changed."
                " If that is meant, pull with allow_many=true.",
                leaving=leaving,
                active=active,
            )
        )


async def _erased(session: AsyncSession, pool_id: PoolId, external_ids: Collection[str]) -> list[str]:
    """Those of these ids whose people were erased."""
    digests = {digest_of(pool_id, number): number for number in external_ids}
    rows = await session.scalars(
        select(ErasedPerson.digest).where(
            ErasedPerson.pool_id == pool_id, among(ErasedPerson.digest, digests)
        )
    )
    return sorted(digests[digest] for digest in rows)


def _readable(said: Sequence[Any]) -> tuple[list[NumberedPerson], list[Message]]:
    people, refused = [], []
    for item in said:
        try:
            people.append(NumberedPerson.model_validate(item))
        except ValidationError as error:
            fault = error.errors()[0]
            named = item.get("external_id") if isinstance(item, Mapping) else item
            refused.append(
                say(
                    "{person}: {field} {reason}",
                    person=str(named)[:200],
                    field=fault["loc"][0] if fault["loc"] else "",
                    reason=fault_message(fault),
                )
            )
    return people, refused


async def known_people(
    session: AsyncSession, pool_id: PoolId, external_ids: Sequence[str]
) -> dict[str, ExecutorRow]:
    """Those of a pool who carry these external ids."""
    rows = await session.scalars(
        select(ExecutorRow).where(
            ExecutorRow.pool_id == pool_id, among(ExecutorRow.external_id, external_ids)
        )
    )
    return {str(executor.external_id): executor for executor in rows}


async def _put(
    session: AsyncSession,
    pool_id: PoolId,
    people: Sequence[dict[str, Any]],
    now: datetime,
    refused: list[Message],
) -> list[str]:
    """Write them together, or one by one where one of them is refused."""
    if not people:
        return []
    try:
        await put_executors(session, pool_id=pool_id, people=people, now=now)
        return [person["external_id"] for person in people]
    except Exception as error:
        if not isinstance(error, DomainError) and trouble_of(error) is not Trouble.REFUSED:
            raise
        await session.rollback()
        if len(people) == 1:
            refused.append(as_is(f"{people[0]['external_id']}: {says(error)}"))
            return []
    return [number for person in people for number in await _put(session, pool_id, [person], now, refused)]
