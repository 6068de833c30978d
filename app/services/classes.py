"""Eligibility classes as they are kept: once per rule set and roster, whatever the number of tasks decided on them."""

import json

from app.database import HotConnection
from app.engine.allocate import Outcome
from app.engine.state import PoolState
from app.services import statements
from app.services.picture import PoolPicture


async def keep_classes(
    connection: HotConnection, picture: PoolPicture, state: PoolState, outcome: Outcome
) -> list[int]:
    """The stored id of each decision's eligibility class; classes not seen before are stored first."""
    missing = sorted(outcome.digests() - picture.class_ids.keys())
    if missing:
        contents = [json.dumps(state.snapshot(digest).content, ensure_ascii=False) for digest in missing]
        rows = await connection.fetch(
            statements.KEEP_CLASSES, picture.pool_id, picture.rule_set_id, missing, contents
        )
        picture.class_ids.update({row["digest"]: row["id"] for row in rows})
    return [picture.class_ids[decision.class_digest] for decision in outcome.decisions]
