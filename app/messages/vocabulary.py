"""Words of the API that stand in sentences as parameters: their contexts in the catalogue, by the parameter's name."""

from typing import Final

_KINDS = ("string", "number", "boolean", "datetime", "enum", "list", "instant")
_STATES = ("draft", "active", "archived", "queued", "running", "done", "failed", "cancelled")
_STATUSES = ("pending", "assigned", "in_progress", "completed", "rejected", "cancelled", "returned")
_MOVES = (
    "start",
    "complete",
    "accept",
    "decline",
    "reject",
    "return",
    "resume",
    "cancel",
    "reassign",
    "expire",
)

VOCABULARY: Final[dict[str, tuple[str, ...]]] = {
    "status": _STATUSES,
    "move": _MOVES,
    "listed": _MOVES,
    "state": _STATES,
    "role": ("admin", "lead", "viewer", "executor", "service"),
    "owner": ("task", "executor"),
    "type": _KINDS,
    "other_kind": _KINDS,
    "kind": (
        *_KINDS,
        *(f"{'an' if kind[0] in 'ei' else 'a'} {kind}" for kind in _KINDS),
        "an option",
        "true or false",
        "a text",
    ),
    "thing": (
        "task",
        "executor",
        "parameter",
        "replay",
        "absence",
        "delivery",
        "webhook",
        "rule set",
        "thing",
        "pool",
    ),
    "word": _KINDS,
    "unknown": ("key", "field", "operator", "parameter"),
    "part": ("database", "doorbell", "external_system", "background"),
    "json_error": (
        "Expecting value",
        "Expecting property name enclosed in double quotes",
        "Expecting ':' delimiter",
        "Expecting ',' delimiter",
        "Illegal trailing comma before end of object",
        "Illegal trailing comma before end of array",
        "Extra data",
        "Unterminated string starting at",
        "Invalid control character at",
        "Invalid \\escape",
        "Invalid \\uXXXX escape",
    ),
}
"""A word that is none of these, a name or a figure, stays as it is."""
