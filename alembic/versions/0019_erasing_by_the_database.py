"""Erasing is the database's own work, and who acted can be erased; triggers look for the log in its own schema alone.

Any session could have its changes noted without contents by setting `app.erasing`, and could hide the log behind a
temporary table of the same name. Now functions with the owner's rights erase, and write an entry of their own. Who
acted, from where, in which request is hashed with a salt of its own. The code before runs on it unchanged. A
downgrade keeps the two columns and the text that hashes cover, so that the entries made meanwhile still hold.

Revision ID: 0019
Revises: 0018
"""

import importlib.util
from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ERASING = Path(__file__).with_name("0019_erasing.sql")
BEFORE = Path(__file__).with_name("0001_audit.sql")
_RESTORED = ("audit_chain()", "audit_refuse()", "audit_change()")
_NEW = (
    "erase_task(bigint)", "erase_executor(bigint, bigint, timestamptz)", "absences_of_executor(bigint)",
    "names_of_accounts(bigint[])", "accounts_of_executor(bigint)", "is_erasing()", "audit_identity(text, text, text)",
)  # fmt: skip


def upgrade() -> None:
    for statement in ERASING.read_text(encoding="utf-8").split("\n--next")[1:]:
        op.execute(statement.partition("\n")[2])  # the rest of its first line is a comment


def downgrade() -> None:
    for statement in BEFORE.read_text(encoding="utf-8").split("\n--next")[1:]:
        made = statement.partition("\n")[2]
        if any(made.startswith(f"CREATE FUNCTION {name}") for name in _RESTORED):
            op.execute(made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    op.execute(_history_guard().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1))
    for name in _NEW:
        op.execute(f"DROP FUNCTION {name}")


def _history_guard() -> str:
    """The trigger function that revision 0007 made."""
    place = Path(__file__).with_name("0007_evidence_kept_whole.py")
    spec = importlib.util.spec_from_file_location("evidence_kept_whole", place)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module._REFUSE)
