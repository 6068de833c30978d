"""Idempotency keys with fingerprints of what was sent, by which a repetition is told from a mistake."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

PREFIX = "sent:"
"""Begins each fingerprint of what was sent; those of before were made of what it had been understood as."""


@dataclass(frozen=True, slots=True)
class SentKey:
    """A key with the fingerprint of the request that it came with."""

    key: str
    fingerprint: str

    def of_item(self, index: int) -> "SentKey":
        """The key of one item of a batch; no header can hold the character that parts the two."""
        return SentKey(f"{self.key}\x1f{index}", self.fingerprint)


def sent_key(key: str, *sent: Any) -> SentKey:
    """A key with the JSON values that were sent: members in any order, and nothing that the service would add.

    A default that changes between two releases does not make another request of the same body.
    """
    text = json.dumps(sent, sort_keys=True, separators=(",", ":"))
    return SentKey(key, PREFIX + sha256(text.encode()).hexdigest())
