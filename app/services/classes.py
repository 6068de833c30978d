"""Eligibility classes as they are kept: once per rule set and roster, whatever the number of tasks decided on them."""

import json
from collections.abc import Sequence
from hashlib import sha256

from app.database import HotConnection
from app.engine.allocate import Decision
from app.engine.state import PoolState
from app.services import statements
from app.services.picture import PoolPicture


async def keep_classes(
    connection: HotConnection, picture: PoolPicture, state: PoolState, decisions: Sequence[Decision]
) -> list[int]:
    """The stored id of each decision's eligibility class; classes not seen before are stored first."""
    keys = [(decision.class_key, state.roster_version) for decision in decisions]
    missing = {key for key in keys if key not in picture.class_ids}
    if missing:
        named = {key: _content(state, key[0]) for key in missing}
        digests = {
            key: sha256(f"{picture.rule_set_id}:{content}".encode()).hexdigest()
            for key, content in named.items()
        }
        rows = await connection.fetch(
            statements.KEEP_CLASSES,
            picture.pool_id,
            picture.rule_set_id,
            list(digests.values()),
            list(named.values()),
        )
        ids = {row["digest"]: row["id"] for row in rows}
        picture.class_ids.update({key: ids[digest] for key, digest in digests.items()})
    return [picture.class_ids[key] for key in keys]


def _content(state: PoolState, key: object) -> str:
    eligible = state.classes.get(key).eligible
    return json.dumps({"key": repr(key), "eligible": state.ids[eligible & state.active].tolist()})
