"""Rule sets: drafted, checked, activated, archived, brought back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId, RuleSetId
from app.errors import Conflict, NotFound
from app.messages.message import say
from app.models import RuleSetRow
from app.rule_engine import Fault, RuleSetInvalid, parse_rule_set, run_examples
from app.rule_engine.difference import Difference, differences
from app.services.common.pool_lock import raise_epoch
from app.services.pools.parameters import read_catalogue
from app.services.pools.relaxed_names import keep_relaxed_names
from app.services.rules.rule_checks import find_active, refuse, refuse_surprises, refuse_too_heavy
from app.services.waking.waking import wake_for_rules


async def find_faults(
    session: AsyncSession, *, pool_id: PoolId, document: Mapping[str, Any]
) -> Sequence[Fault]:
    """Everything that is wrong with a document under the pool's catalogue; empty where it may be saved."""
    try:
        parse_rule_set(document, await read_catalogue(session, pool_id=pool_id))
    except RuleSetInvalid as error:
        return error.issues
    return ()


async def create_rule_set(
    session: AsyncSession, *, pool_id: PoolId, name: str, document: Mapping[str, Any], author: str
) -> RuleSetRow:
    """Save a checked document as the next version of its name. Raises Invalid."""
    refuse(await find_faults(session, pool_id=pool_id, document=document))
    await raise_epoch(session, pool_id)  # the pool's lock: versions of one name count without gaps
    rule_set = await add_version(session, pool_id=pool_id, name=name, document=document, author=author)
    await session.commit()
    await session.refresh(rule_set)
    return rule_set


async def add_version(
    session: AsyncSession, *, pool_id: PoolId, name: str, document: Mapping[str, Any], author: str
) -> RuleSetRow:
    """The next version of a name, as a draft, not committed; the caller holds the pool."""
    version = await session.scalar(
        select(func.coalesce(func.max(RuleSetRow.version), 0) + 1).where(
            RuleSetRow.pool_id == pool_id, RuleSetRow.name == name
        )
    )
    rule_set = RuleSetRow(pool_id=pool_id, name=name, version=version, document=dict(document), author=author)
    session.add(rule_set)
    await session.flush()
    return rule_set


async def activate_rule_set(session: AsyncSession, *, rule_set_id: RuleSetId, now: datetime) -> RuleSetRow:
    """Put a rule set in force and archive the one before, at once; what waits is looked at again.

    Raises NotFound, Conflict (archived), Invalid (the catalogue changed since it was saved; its tests do not pass).
    """
    found = await get_rule_set(session, rule_set_id=rule_set_id)
    pool_id = PoolId(found.pool_id)
    if found.state == "draft":
        await refuse_too_heavy(session, pool_id=pool_id, document=found.document, now=now)
    await raise_epoch(session, pool_id, configuration=True)
    rule_set = await session.get_one(RuleSetRow, rule_set_id, populate_existing=True)
    if rule_set.state == "active":
        return rule_set
    if rule_set.state == "archived":
        raise Conflict(
            say(
                "Rule set {rule_set_id} is archived: roll back to it, which makes a new version.",
                rule_set_id=rule_set_id,
            )
        )
    await _put_in_force(session, rule_set, now)
    await session.commit()
    return rule_set


async def roll_back(
    session: AsyncSession, *, rule_set_id: RuleSetId, author: str, now: datetime
) -> RuleSetRow:
    """Put an archived rule set in force again, as a new version of its name: history keeps both.

    Raises NotFound, Conflict (it is not archived), Invalid (the catalogue no longer has what it reads).
    """
    found = await get_rule_set(session, rule_set_id=rule_set_id)
    pool_id = PoolId(found.pool_id)
    if found.state == "archived":
        await refuse_too_heavy(session, pool_id=pool_id, document=found.document, now=now)
    await raise_epoch(session, pool_id, configuration=True)
    former = await session.get_one(RuleSetRow, rule_set_id, populate_existing=True)
    if former.state != "archived":
        raise Conflict(
            say(
                "Rule set {rule_set_id} is {state}: only an archived one can be rolled back to.",
                rule_set_id=rule_set_id,
                state=former.state,
            )
        )
    again = await add_version(
        session, pool_id=pool_id, name=former.name, document=former.document, author=author
    )
    await _put_in_force(session, again, now)
    await session.commit()
    await session.refresh(again)
    return again


async def _put_in_force(session: AsyncSession, rule_set: RuleSetRow, now: datetime) -> None:
    pool_id = PoolId(rule_set.pool_id)
    refuse(await find_faults(session, pool_id=pool_id, document=rule_set.document))
    catalogue = await read_catalogue(session, pool_id=pool_id)
    refuse_surprises(run_examples(parse_rule_set(rule_set.document, catalogue)))
    before = await find_active(session, pool_id=pool_id)
    was = before.document if before is not None else {}
    await keep_relaxed_names(session, pool_id=pool_id, before=was, after=rule_set.document)
    if before is not None:
        before.state, before.archived_at = "archived", now
        await session.flush()  # the unique index allows one active rule set at any moment
    rule_set.state, rule_set.activated_at = "active", now
    await wake_for_rules(session, pool_id=pool_id, before=was, after=rule_set.document)


async def archive_rule_set(session: AsyncSession, *, rule_set_id: RuleSetId, now: datetime) -> RuleSetRow:
    """Put a draft away. Raises NotFound, Conflict (active: without rules everybody may take everything)."""
    pool_id = PoolId((await get_rule_set(session, rule_set_id=rule_set_id)).pool_id)
    await raise_epoch(session, pool_id)
    rule_set = await session.get_one(RuleSetRow, rule_set_id, populate_existing=True)
    if rule_set.state == "active":
        raise Conflict(
            say(
                "Rule set {rule_set_id} is in force: activate another one instead, which archives it. "
                "Without rules everybody would be eligible for everything.",
                rule_set_id=rule_set_id,
            )
        )
    if rule_set.state == "draft":
        rule_set.state, rule_set.archived_at = "archived", now
        await session.commit()
    return rule_set


async def compare_rule_sets(
    session: AsyncSession, *, rule_set_id: RuleSetId, against: RuleSetId | None
) -> tuple[RuleSetRow | None, RuleSetRow, list[Difference]]:
    """From another rule set of the pool (the active one where left out) to this one. Raises NotFound."""
    after = await get_rule_set(session, rule_set_id=rule_set_id)
    if against is None:
        before = await find_active(session, pool_id=PoolId(after.pool_id))
    else:
        before = await get_rule_set(session, rule_set_id=against)
        if before.pool_id != after.pool_id:
            raise NotFound(
                say("There is no rule set {against} in this pool.", against=against), rule_set_id=against
            )
    return before, after, differences(before.document if before else {}, after.document)


async def get_rule_set(session: AsyncSession, *, rule_set_id: RuleSetId) -> RuleSetRow:
    """One rule set. Raises NotFound."""
    rule_set = await session.get(RuleSetRow, rule_set_id)
    if rule_set is None:
        raise NotFound(
            say("There is no rule set {rule_set_id}.", rule_set_id=rule_set_id), rule_set_id=rule_set_id
        )
    return rule_set


async def list_rule_sets(
    session: AsyncSession, *, pool_id: PoolId, state: str | None, before: int | None, limit: int
) -> tuple[Sequence[RuleSetRow], int | None]:
    """A page of rule sets, newest first, and the id to go on before (None on the last page)."""
    query = select(RuleSetRow).where(RuleSetRow.pool_id == pool_id)
    if state is not None:
        query = query.where(RuleSetRow.state == state)
    if before is not None:
        query = query.where(RuleSetRow.id < before)
    rows = (await session.scalars(query.order_by(RuleSetRow.id.desc()).limit(limit + 1))).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
