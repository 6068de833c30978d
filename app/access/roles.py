"""Roles, actions, and the caller of a request. Routes and their actions: app/api/edge/permissions.py.

Whatever is not granted here is refused. Roles:

viewer       reads the pools they were given
lead         also changes the people, rules, parameters and work of these pools
admin        everything, everywhere
integration  a program: sends tasks, follows them, keeps people up to date; an API key narrows it further
executor     a person who does the work: sees and moves their own tasks only
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from app.database import among
from app.errors import NotFound
from app.messages.message import say

Role = Literal["viewer", "lead", "admin", "integration", "executor"]
Action = Literal[
    "account.use",  # one's own account: who am I, sign out, change my password
    "admin.manage",  # what touches the whole installation
    "audit.read",
    "distribution.read",
    "events.read",
    "executors.list",
    "executors.manage",
    "executors.read",
    "exports.read",
    "keys.manage",
    "metrics.read",
    "parameters.manage",
    "parameters.read",
    "pools.change",
    "pools.create",
    "pools.read",
    "privacy.manage",
    "rules.manage",
    "rules.read",
    "tasks.manage",  # cancel, reassign: decides about other people's work
    "tasks.move",  # start, complete, return, decline: by the executor of the task
    "tasks.preview",
    "tasks.read",
    "tasks.submit",
    "users.manage",
    "webhooks.manage",
]
ROLES: tuple[Role, ...] = get_args(Role)
ACTIONS: frozenset[Action] = frozenset(get_args(Action))

_READS: frozenset[Action] = frozenset(
    {
        "account.use",
        "distribution.read",
        "events.read",
        "executors.list",
        "executors.read",
        "exports.read",
        "metrics.read",
        "parameters.read",
        "pools.read",
        "rules.read",
        "tasks.preview",
        "tasks.read",
    }
)
_CHANGES: frozenset[Action] = frozenset(
    {
        "audit.read",
        "executors.manage",
        "parameters.manage",
        "pools.change",
        "rules.manage",
        "tasks.manage",
        "tasks.move",
        "tasks.submit",
        "webhooks.manage",
    }
)
GRANTS: dict[Role, frozenset[Action]] = {
    "viewer": _READS,
    "lead": _READS | _CHANGES,
    "admin": ACTIONS,
    "integration": _READS | {"executors.manage", "tasks.manage", "tasks.move", "tasks.submit"},
    "executor": frozenset({"account.use", "executors.read", "tasks.move", "tasks.read"}),
}
_POOL_MAKER: frozenset[Action] = frozenset({"pools.create"})
LOCAL_PROGRAM_SCOPES = GRANTS["lead"] | _POOL_MAKER
"""Actions granted to the key of the local programs (setting API_KEY): work in all pools, neither users nor keys."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a request: histories carry `name`; `pool_ids` None is every pool, `scopes` None all of the role."""

    name: str
    role: Role
    pool_ids: frozenset[int] | None = None
    scopes: frozenset[str] | None = None
    executor_id: int | None = None
    user_id: int | None = None
    address: str | None = None
    request_id: str | None = None

    @property
    def own_work_only(self) -> bool:
        """Whether they see nothing but what is theirs."""
        return self.role == "executor"

    @property
    def is_local(self) -> bool:
        """Whether nobody signed in: the administrator at this machine."""
        return self.role == "admin" and self.user_id is None

    def may(self, action: Action) -> bool:
        """Whether role and scopes grant this."""
        return action in GRANTS[self.role] and (self.scopes is None or action in self.scopes)

    def sees(self, pool_id: int) -> bool:
        """Whether this pool is one of theirs."""
        return self.pool_ids is None or pool_id in self.pool_ids

    def sees_person(self, pool_id: int, executor_id: int | None) -> bool:
        """Whether they may know what this person of that pool did; an executor knows of themselves only."""
        if not self.sees(pool_id):
            return False
        return not self.own_work_only or executor_id in (None, self.executor_id)

    def must_see(self, pool_id: int) -> None:
        """Raise NotFound, as for a pool that does not exist, where this pool is not one of theirs."""
        if not self.sees(pool_id):
            raise no_pool(pool_id)


EVERYTHING = Caller("system", "admin")
"""Sees all there is: for what is kept and shown to each caller later, as they may see it."""


def no_pool(pool_id: int) -> NotFound:
    """Error for a pool that does not exist or is out of the caller's reach."""
    return NotFound(
        say("pool_id: there is no pool {pool_id}; see GET /v1/pools.", pool_id=pool_id), pool_id=pool_id
    )


def within_reach(query: Any, pool_column: Any, caller: Caller) -> Any:
    """The same query, of the caller's pools alone. Every list that may span pools goes through here."""
    return query if caller.pool_ids is None else query.where(among(pool_column, caller.pool_ids))
