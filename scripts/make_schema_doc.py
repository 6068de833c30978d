"""Draws the tables of app/models as docs/schema.md; a test holds the drawing to the models."""

import re
from pathlib import Path

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from app.models import Base

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "schema.md"
HEAD = """\
# The schema

Drawn from `app/models` by `python scripts/make_schema_doc.py`; a test holds it in step. PK: primary key, FK: foreign
key, UK: unique by itself. Rows that a batch writes by the hundred carry no foreign keys (`app/models/__init__.py` says
why); lines of such references are dotted.
"""
# References without a foreign key: column, what it names.
LOOSE = {
    "task_id": "tasks",
    "executor_id": "executors",
    "class_id": "class_snapshots",
    "pool_id": "pools",
    "user_id": "users",
}


def schema_document() -> str:
    """The page: one diagram for each module of models, then what every table holds."""
    groups: dict[str, list[Table]] = {}
    for mapper in sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__tablename__):
        groups.setdefault(mapper.class_.__module__.rpartition(".")[2], []).append(mapper.local_table)
    about = {mapper.local_table.name: _first_line(mapper.class_.__doc__) for mapper in Base.registry.mappers}
    parts = [HEAD]
    for name in sorted(groups):
        tables = groups[name]
        parts.append(f"\n## {name.capitalize()}\n\n")
        parts += [f"- **{table.name}**: {about[table.name]}\n" for table in tables]
        parts.append("\n```mermaid\nerDiagram\n")
        parts += [_entity(table) for table in tables]
        parts += [line for table in tables for line in _lines(table)]
        parts.append("```\n")
    return "".join(parts)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _entity(table: Table) -> str:
    rows = "".join(f"        {_type(column)} {column.name}{_marks(column)}\n" for column in table.columns)
    return f"    {table.name} {{\n{rows}    }}\n"


def _type(column: "Column[object]") -> str:
    """PostgreSQL's name of the type, as the one word that Mermaid wants."""
    name = column.type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return re.sub(
        r"[^a-z0-9]+", "_", name.replace("timestamp with time zone", "timestamptz").replace("[]", " array")
    ).strip("_")


def _marks(column: "Column[object]") -> str:
    marks = ["PK"] if column.primary_key else []
    marks += ["FK"] if column.foreign_keys else []
    marks += ["UK"] if column.unique else []
    nullable = ' "nullable"' if column.nullable else ""
    return (" " + ", ".join(marks) if marks else "") + nullable


def _lines(table: Table) -> list[str]:
    lines = []
    for column in table.columns:
        named = sorted(key.column.table.name for key in column.foreign_keys)
        lines += [f'    {each} ||--o{{ {table.name} : "{column.name}"\n' for each in named]
        target = LOOSE.get(column.name)
        if target and target != table.name and not column.foreign_keys:
            lines.append(f'    {target} ||..o{{ {table.name} : "{column.name}"\n')
    return lines


if __name__ == "__main__":
    DOCUMENT.write_text(schema_document())
