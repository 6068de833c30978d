"""Which route asks for which action, and whose thing a path names: the one place where that is decided.

A new route is one line in `ROUTES`: the name of its function and an action of app/access/roles.py. A route
without a line is refused to every caller. A new kind of `{..._id}` in a path is one line in `THINGS`: the guard
then answers 404 for another pool's thing before the route runs. Lists that may span pools narrow themselves
(`within_reach`).
"""

from dataclasses import dataclass
from typing import Final, Literal

from app.access.roles import Action

Decision = Action | Literal["public"]

PUBLIC: Final = "public"

ROUTES: dict[str, Decision] = {
    # system
    "get_health": PUBLIC,
    "get_liveness": PUBLIC,
    "get_readiness": PUBLIC,
    "get_metrics": "metrics.read",
    # the documentation of the API, the same for everybody
    "get_errors": PUBLIC,
    "openapi": PUBLIC,
    "swagger_ui_html": PUBLIC,
    "swagger_ui_redirect": PUBLIC,
    # tasks
    "submit_task": "tasks.submit",
    "submit_tasks": "tasks.submit",
    "stream_tasks": "tasks.submit",
    "preview_task": "tasks.preview",
    "list_tasks": "tasks.read",
    "get_task": "tasks.read",
    "get_history": "tasks.read",
    "get_explanation": "tasks.read",
    # the life of a task
    "accept_task": "tasks.move",
    "decline_task": "tasks.move",
    "start_task": "tasks.move",
    "complete_task": "tasks.move",
    "reject_task": "tasks.move",
    "return_task": "tasks.move",
    "resume_task": "tasks.move",
    "cancel_task": "tasks.manage",
    "reassign_task": "tasks.manage",
    "change_task": "tasks.manage",
    # what the outside is told
    "list_deliveries": "tasks.read",
    "replay_delivery": "tasks.manage",
    "list_webhooks": "webhooks.manage",
    "create_webhook": "webhooks.manage",
    "delete_webhook": "webhooks.manage",
    # executors
    "sync_executors": "executors.manage",
    "import_executors": "executors.manage",
    "get_import_template": "executors.list",
    "list_absences": "executors.read",
    "add_absence": "executors.manage",
    "remove_absence": "executors.manage",
    "plan_leaving": "executors.manage",
    "hand_over": "executors.manage",
    "list_executors": "executors.list",
    "get_executor": "executors.read",
    "list_tasks_of_executor": "tasks.read",
    "create_executor": "executors.manage",
    "put_executors": "executors.manage",
    "replace_executor": "executors.manage",
    "change_executor": "executors.manage",
    "deactivate_executor": "executors.manage",
    # pools
    "list_pools": "pools.read",
    "get_pool": "pools.read",
    "create_pool": "pools.create",
    "change_pool": "pools.change",
    "get_forecast": "rules.read",
    "measure_forecast": "rules.manage",
    # parameters
    "list_parameters": "parameters.read",
    "get_parameter": "parameters.read",
    "create_parameter": "parameters.manage",
    "change_parameter": "parameters.manage",
    "delete_parameter": "parameters.manage",
    "add_parameter_option": "parameters.manage",
    # rules
    "list_rule_sets": "rules.read",
    "get_rule_set": "rules.read",
    "validate_rules": "rules.read",
    "create_rule_set": "rules.manage",
    "activate_rule_set": "rules.manage",
    "archive_rule_set": "rules.manage",
    "roll_back_rule_set": "rules.manage",
    "import_rule_set": "rules.manage",
    "export_rule_set": "rules.read",
    "diff_rule_set": "rules.read",
    "get_rules_schema": "rules.read",
    "list_rules_templates": "rules.read",
    "lint_rules": "rules.read",
    "preview_rules": "rules.read",
    "get_rules_funnel": "rules.read",
    # access
    "sign_in": PUBLIC,
    "refresh_sign_in": PUBLIC,
    "sign_out": PUBLIC,
    "get_sign_in_options": PUBLIC,
    "begin_provider_sign_in": PUBLIC,
    "finish_provider_sign_in": PUBLIC,
    "get_me": "account.use",
    "change_own_password": "account.use",
    "list_users": "users.manage",
    "get_user": "users.manage",
    "create_user": "users.manage",
    "change_user": "users.manage",
    "list_api_keys": "keys.manage",
    "create_api_key": "keys.manage",
    "revoke_api_key": "keys.manage",
    "list_audit": "audit.read",
    "export_audit": "audit.read",
    "prove_audit": "admin.manage",
    "reset_daily_counts": "admin.manage",
    # replays
    "start_replay": "rules.manage",
    "cancel_replay": "rules.manage",
    "get_replay": "rules.read",
    "get_replay_report": "rules.read",
    "export_person": "privacy.manage",
    "erase_person": "privacy.manage",
    "erase_task": "privacy.manage",
    "erase_task_by_external_id": "privacy.manage",
    # distribution
    "get_stats": "distribution.read",
    "get_fairness": "distribution.read",
    "get_overview": "distribution.read",
    "list_misplaced": "distribution.read",
    "move_misplaced_tasks": "tasks.manage",
    "get_alerts": "distribution.read",
    "watch_events": "events.read",
    "get_kpi": "distribution.read",
    "export_kpi": "exports.read",
}

NOT_FROM_HOME: frozenset[str] = frozenset({"reassign_task", "get_explanation"})
"""What of a task that went on to another pool is no longer its home's: who of the other people has it, and why."""

ALL_POOLS: frozenset[str] = frozenset({"get_metrics"})
"""Routes whose answer spans all pools: refused to callers who see only some."""

NARROWED: frozenset[str] = frozenset({"list_tasks", "get_me", "change_own_password"})
"""Routes without a task or executor in their path that show an executor nothing but their own."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What an id in a path names. The statement gives its pool, and the executor whose it is (null: nobody's).

    `home_pool_id`, where it gives one, is a second pool whose people have it in reach, but for NOT_FROM_HOME.
    """

    word: str
    whose: str


ADMINS = Thing(
    "thing", "SELECT NULL::bigint AS pool_id, NULL::bigint AS executor_id WHERE $1::bigint IS NULL"
)
"""What belongs to no pool: nobody but admins has it in reach."""

POOL = Thing("pool", "SELECT id AS pool_id, NULL::bigint AS executor_id FROM pools WHERE id = $1")

THINGS: dict[str, Thing] = {
    "pool_id": POOL,
    "task_id": Thing("task", "SELECT pool_id, home_pool_id, executor_id FROM tasks WHERE id = $1"),
    "executor_id": Thing("executor", "SELECT pool_id, id AS executor_id FROM executors WHERE id = $1"),
    "parameter_id": Thing(
        "parameter", "SELECT pool_id, NULL::bigint AS executor_id FROM parameters WHERE id = $1"
    ),
    "user_id": ADMINS,
    "api_key_id": ADMINS,
    "replay_id": Thing("replay", "SELECT pool_id, NULL::bigint AS executor_id FROM replays WHERE id = $1"),
    "absence_id": Thing(
        "absence",
        "SELECT person.pool_id, person.id AS executor_id FROM executor_absences absence"
        " JOIN executors person ON person.id = absence.executor_id WHERE absence.id = $1",
    ),
    "delivery_id": Thing("delivery", "SELECT pool_id, NULL::bigint AS executor_id FROM outbox WHERE id = $1"),
    "webhook_id": Thing("webhook", "SELECT pool_id, NULL::bigint AS executor_id FROM webhooks WHERE id = $1"),
    "rule_set_id": Thing(
        "rule set", "SELECT pool_id, NULL::bigint AS executor_id FROM rule_sets WHERE id = $1"
    ),
}
QUERY_IDS: dict[str, str] = {
    "pool_id": "pool_id",
    "home_pool_id": "pool_id",
    "task_id": "task_id",
    "executor_id": "executor_id",
    "against": "rule_set_id",
}
"""Ids in a query string: the parameter's name, and the key of THINGS that says whose it is.

Every id that a route of the OpenAPI takes in its query stands here: a test holds the two equal.
"""
OWNED: frozenset[str] = frozenset({"task_id", "executor_id"})
"""Ids that name something which belongs to an executor."""
