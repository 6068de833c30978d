"""Texts in Unicode's normal form: "й" of one character and "й" of two are one name, one id, one value of a rule.

From this release on texts are normalised where they come in; here the stored ones follow, so that rules, filters and
unique ids find them. Where two rows would get the same unique value, or an object two equal keys, both are left as they
are and listed in the log (`LEFT`; the statements can be repeated by hand after one was renamed). The audit log is not
touched. The code before runs on it unchanged.

Revision ID: 0012
Revises: 0011
"""

import logging

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

log = logging.getLogger("alembic")

_UNIQUE = (  # table, column, what it is unique in
    ("executors", "external_id", "pool_id"),
    ("tasks", "external_id", "coalesce(home_pool_id, pool_id)"),
    ("rule_sets", "name", "jsonb_build_array(pool_id, version)"),
    ("users", "username", "0"),
)
_TEXTS = (
    ("executors", "name"),
    ("pools", "name"),
    ("api_keys", "name"),
    ("parameters", "label_ru"),
    ("parameters", "label_en"),
)
_DOCUMENTS = (
    ("executors", "parameters"),
    ("tasks", "parameters"),
    ("parameters", "options"),
    ("parameters", '"default"'),
    ("pools", "settings"),
    ("rule_sets", "document"),
)
_LARGE = ("tasks",)


# Reads the table once; the few rows that are odd are then looked up by their unique index.
_UNIQUE_TEXT = """
WITH odd AS MATERIALIZED (
    SELECT id, {scope} AS scope, normalize({column}, NFC) AS form FROM {table} WHERE {column} IS NOT NFC NORMALIZED
), alone AS (
    SELECT scope, form FROM odd GROUP BY scope, form HAVING count(*) = 1
)
UPDATE {table} AS changed SET {column} = odd.form
FROM odd JOIN alone USING (scope, form)
WHERE changed.id = odd.id
  AND NOT EXISTS (SELECT FROM {table} other WHERE {scope} = odd.scope AND other.{column} = odd.form)
"""
_TEXT = "UPDATE {table} SET {column} = normalize({column}, NFC) WHERE {column} IS NOT NFC NORMALIZED"

# An object whose keys would become equal is left: one of the values would be lost.
_DOCUMENT = """
UPDATE {table} SET {column} = normalize({column}::text, NFC)::jsonb
WHERE {column}::text IS NOT NFC NORMALIZED
  AND CASE WHEN jsonb_typeof({column}) = 'object' THEN
      (SELECT count(*) = count(DISTINCT normalize(key, NFC)) FROM jsonb_object_keys({column}) key) ELSE true END
"""
_LEFT = "SELECT id FROM {table} WHERE {column} IS NOT NFC NORMALIZED ORDER BY id LIMIT 100"


def _filled(template: str, table: str, column: str, scope: str = "") -> str:
    return template.replace("{table}", table).replace("{column}", column).replace("{scope}", scope)


def _statements(*, large: bool) -> list[str]:
    return [
        *(_filled(_UNIQUE_TEXT, *each) for each in _UNIQUE if (each[0] in _LARGE) is large),
        *(_filled(_TEXT, *each) for each in _TEXTS if (each[0] in _LARGE) is large),
        *(_filled(_DOCUMENT, *each) for each in _DOCUMENTS if (each[0] in _LARGE) is large),
    ]


LEFT = {
    **{f"{table}.{column}": _filled(_LEFT, table, column) for table, column, _ in _UNIQUE},
    **{f"{table}.{column}": _filled(_LEFT, table, f"{column}::text") for table, column in _DOCUMENTS},
}

# Workers read people and rules anew.
_RELOAD = "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1"
_PEOPLE = """
UPDATE executors SET epoch = state.epoch FROM pool_states state
WHERE state.pool_id = executors.pool_id AND (name IS NOT NFC NORMALIZED OR external_id IS NOT NFC NORMALIZED
                                             OR parameters::text IS NOT NFC NORMALIZED)
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():  # no pool is held while the large tables are read
        for statement in _statements(large=True):
            op.execute(statement)
    op.execute("SELECT FROM pool_states ORDER BY pool_id FOR UPDATE")
    op.execute(_RELOAD)
    op.execute(_PEOPLE)
    for statement in _statements(large=False):
        op.execute(statement)
    if not op.get_context().as_sql:
        for place, query in LEFT.items():
            ids = [row.id for row in op.get_bind().execute(text(query))]
            if ids:
                log.warning(
                    "%s: not in normal form, another one is like it; rename one of each pair: ids %s",
                    place,
                    ids,
                )


def downgrade() -> None:
    pass
