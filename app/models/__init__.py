"""The tables, and nothing that decides.

Conventions: ids are bigint identities; instants are `timestamptz` in UTC; weights are `numeric(14, 3)`
in task units; states are text with a CHECK, so that a new state is a cheap migration. Locks are always
taken in one order: pool (`pool_states`), executors by id, tasks by id.

Rows that a batch writes by the hundred (assignments, outbox, tasks' executors) carry no foreign keys: checking them
was a third of the batch's time. They are written from rows that the same statement reads under the pool's lock,
executors and decided tasks are never deleted while anything names them, and `doctor` looks for strays.
"""

from app.models.access import ApiKey, AuditEntry, ProviderSignIn, RefreshToken, User
from app.models.base import Base
from app.models.delivery import DeliveryBreaker, OutboxMessage, Webhook
from app.models.evidence import ClassHour, ClassSnapshotRow, RosterRow, TrailFrame
from app.models.fairness import FairnessAlert, FairnessHour, Replay
from app.models.figures import ArchivedDay, KpiDay, KpiHour
from app.models.people import ErasedPerson, ExecutorAbsence, ExecutorDay, ExecutorLoad, ExecutorRow
from app.models.pools import ParameterRow, Pool, PoolAttempt, PoolStateRow, RuleSetRow
from app.models.upkeep import Lease, LoopReportRow
from app.models.work import TASK_STATUSES, Assignment, IdempotencyKey, MoveKey, TaskEvent, TaskRow

__all__ = [
    "TASK_STATUSES",
    "ApiKey",
    "ArchivedDay",
    "Assignment",
    "AuditEntry",
    "Base",
    "ClassHour",
    "ClassSnapshotRow",
    "DeliveryBreaker",
    "ErasedPerson",
    "ExecutorAbsence",
    "ExecutorDay",
    "ExecutorLoad",
    "ExecutorRow",
    "FairnessAlert",
    "FairnessHour",
    "IdempotencyKey",
    "KpiDay",
    "KpiHour",
    "Lease",
    "LoopReportRow",
    "MoveKey",
    "OutboxMessage",
    "ParameterRow",
    "Pool",
    "PoolAttempt",
    "PoolStateRow",
    "ProviderSignIn",
    "RefreshToken",
    "Replay",
    "RosterRow",
    "RuleSetRow",
    "TaskEvent",
    "TaskRow",
    "TrailFrame",
    "User",
    "Webhook",
]
