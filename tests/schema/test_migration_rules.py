"""New migrations only expand: the code before them goes on running, and no large table is held for long.

What a migration would send to PostgreSQL is read, not its Python. One that takes something away says why it may, in a
module attribute `contract`: what it drops has been used by no release since the one before.
"""

import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "alembic" / "versions").glob("*.py"))[1:]  # the first one makes everything
LARGE = (
    "tasks", "task_events", "assignments", "outbox", "idempotency_keys", "audit_log", "trail_frames",
    "executor_days", "class_hours", "kpi_hours", "fairness_hours", "refresh_tokens",
)  # fmt: skip
KNOWN = {
    "0002": {
        "drops",
        "large index",
    },  # before the first release: no table was large, no release used the index
    "0004": {"large index"},
}
"""What was let in before these rules were. Never add to it."""

_LARGE = "|".join(LARGE)
RULES = {
    "drops": r"^(DROP|TRUNCATE)\b|\bDROP (COLUMN|CONSTRAINT|DEFAULT)\b",
    "renames": r"\bRENAME\b",
    "changes a type": r"\bALTER COLUMN \S+ (SET DATA )?TYPE\b",
    "requires what the code before does not write": r"\bSET NOT NULL\b|\bADD COLUMN (?!.*\bDEFAULT\b).*\bNOT NULL\b",
    "large index": rf"^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY).* ON (public\.)?({_LARGE})\b",
    "checks a large table at once": rf"^ALTER TABLE (public\.)?({_LARGE}) ADD CONSTRAINT (?!.*NOT VALID)",
}


def broken(statements: str) -> set[str]:
    """The rules that these statements break."""
    plain = re.sub(r"--[^\n]*", "", statements)
    each = [" ".join(one.split()) for one in plain.split(";")]
    return {name for name, pattern in RULES.items() for one in each if re.search(pattern, one, re.IGNORECASE)}


_TABLE_OF = re.compile(
    r"^(?:ALTER TABLE|UPDATE|DELETE FROM|INSERT INTO|LOCK TABLE|TRUNCATE|DROP TABLE)(?: IF EXISTS)? (?:ONLY )?(\w+)"
    r"|^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*? ON (\w+)"
    r"|^CREATE (?:OR REPLACE |CONSTRAINT )*TRIGGER .*? ON (\w+)"
)
_TABLE_LOCKS = re.compile(r"^(ALTER TABLE|LOCK|TRUNCATE|CREATE (UNIQUE )?INDEX|CREATE .*TRIGGER|DROP)")
_MADE = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)")
_REFERRED = re.compile(r"REFERENCES (\w+)")


def locked_together(statements: str) -> list[set[str]]:
    """Tables that code is at work on, of each transaction that locks one of them as a whole and touches another."""
    plain = re.sub(r"--[^\n]*", "", re.sub(r"\$\$.*?\$\$", "", statements, flags=re.DOTALL))
    made: set[str] = {"alembic_version"}
    found: list[set[str]] = []
    touched: set[str] = set()
    is_apart, locks = False, False
    for one in (" ".join(each.split()) for each in plain.split(";")):
        if one in ("BEGIN", "COMMIT") or is_apart:
            found += [touched] if locks and len(touched) > 1 else []
            touched, locks = set(), False
            is_apart = one == "COMMIT" or (is_apart and one != "BEGIN")
        if new := _MADE.match(one):
            made.add(new[1])
        table = _TABLE_OF.match(one)
        names = {each for each in (table.groups() if table else ()) if each} | set(_REFERRED.findall(one))
        touched |= names - made
        locks |= bool(names - made) and bool(_TABLE_LOCKS.match(one) or new)
    return found


def module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"migration_{file.stem}", file)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@cache
def statements() -> dict[str, str]:
    """What `alembic upgrade` would send, by revision."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "0001:head", "--sql"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"},
        capture_output=True,
        text=True,
        check=True,
    )
    parts = re.split(r"^-- Running upgrade \w+ -> (\w+)$", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_migration_expands_and_holds_no_large_table(file: Path) -> None:
    migration = module(file)
    if reason := getattr(migration, "contract", ""):
        assert len(reason) > 20, "say which release stopped using it"
        return
    found = broken(statements()[migration.revision]) - KNOWN.get(migration.revision, set())
    assert not found, f"{file.name} {', '.join(found)}: see docs/production.md, upgrade without downtime"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_migration_locks_one_table_at_a_time(file: Path) -> None:
    """Or a request that holds another table and waits for this one is ended by the database: a deadlock."""
    assert locked_together(statements()[module(file).revision]) == []


def test_tables_locked_together_are_found() -> None:
    both = "ALTER TABLE tasks ADD COLUMN a TEXT;\nALTER TABLE pools ADD COLUMN a TEXT;\n"
    assert locked_together(f"BEGIN;\n{both}COMMIT;") == [{"tasks", "pools"}]
    assert locked_together(f"BEGIN;\nCOMMIT;\n{both}BEGIN;\nCOMMIT;") == []
    new = "CREATE TABLE a (id BIGINT);\nALTER TABLE a ADD b TEXT;\nALTER TABLE tasks ADD COLUMN a TEXT;\n"
    assert locked_together(f"BEGIN;\n{new}COMMIT;") == []
    referring = "CREATE TABLE a (id BIGINT REFERENCES pools (id));\nCREATE INDEX b ON tasks (id);\n"
    assert locked_together(f"BEGIN;\n{referring}COMMIT;") == [{"tasks", "pools"}]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DROP INDEX ix_tasks_to_place", "drops"),
        ("ALTER TABLE users DROP COLUMN role", "drops"),
        ("ALTER TABLE users RENAME name TO title", "renames"),
        ("ALTER TABLE tasks ALTER COLUMN weight TYPE float8", "changes a type"),
        ("ALTER TABLE tasks ADD COLUMN a TEXT NOT NULL", "requires what the code before does not write"),
        ("ALTER TABLE tasks ALTER COLUMN a SET NOT NULL", "requires what the code before does not write"),
        ("CREATE UNIQUE INDEX a ON tasks (id)", "large index"),
        ("ALTER TABLE tasks ADD CONSTRAINT a CHECK (weight > 0)", "checks a large table at once"),
    ],
)
def test_what_would_stop_the_code_before_is_found(statement: str, rule: str) -> None:
    assert broken(f"BEGIN;\n{statement};\nCOMMIT;") == {rule}


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE tasks ADD COLUMN a TEXT",
        "ALTER TABLE tasks ADD COLUMN a BIGINT DEFAULT 0 NOT NULL",
        "CREATE INDEX CONCURRENTLY a ON tasks (id)",
        "ALTER TABLE tasks ADD CONSTRAINT a CHECK (weight > 0) NOT VALID",
        "CREATE TABLE a (id BIGINT NOT NULL)",
    ],
)
def test_what_only_expands_is_let_in(statement: str) -> None:
    assert broken(statement) == set()
