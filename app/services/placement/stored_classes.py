"""What decisions refer to, kept once: eligibility classes and rosters, whatever the number of tasks decided on them."""

import json
from collections.abc import Mapping
from hashlib import sha256

from app.database import HotConnection
from app.engine.placement.allocate import BatchOutcome
from app.engine.placement.state import PoolState
from app.services.placement import sql as statements
from app.services.placement.pool_snapshot import PoolSnapshot
from app.utils import fast_json


async def keep_classes(
    connection: HotConnection, picture: PoolSnapshot, state: PoolState, outcome: BatchOutcome
) -> Mapping[str, int]:
    """The stored ids of the eligibility classes by digest; classes not seen before are stored first."""
    missing = sorted(outcome.digests() - picture.class_ids.keys())
    if missing:
        contents = [fast_json.encode(state.snapshot(digest).content) for digest in missing]
        rows = await connection.fetch(
            statements.KEEP_CLASSES, picture.pool_id, picture.rule_set_id, missing, contents
        )
        picture.class_ids.update({row["digest"]: row["id"] for row in rows})
    return picture.class_ids


async def keep_roster(connection: HotConnection, picture: PoolSnapshot) -> int:
    """The stored id of who is present now; asked of the database only after somebody came, went or changed."""
    if picture.roster_id is None:
        members = json.dumps(picture.members())
        digest = sha256(members.encode()).hexdigest()
        picture.roster_id = await connection.fetchval(
            statements.KEEP_ROSTER, picture.pool_id, digest, members
        )
    return int(picture.roster_id or 0)
