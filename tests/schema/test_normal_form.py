"""What was stored before texts had one form is brought to it; what would become equal is left and listed."""

import importlib.util
from pathlib import Path
from typing import Any

from app.database import Database
from tests.builders import add_executors, add_pool, add_tasks

FILE = next((Path(__file__).resolve().parents[2] / "alembic" / "versions").glob("*_texts_in_normal_form.py"))
TWO, ONE = "и\u0306", "й"


def migration() -> Any:
    spec = importlib.util.spec_from_file_location("normal_form", FILE)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


async def test_stored_texts_are_normalised_and_collisions_are_listed_and_left(database: Database) -> None:
    pool_id = await add_pool(database)
    alone, first, second = await add_executors(database, pool_id, 3)
    task, like = await add_tasks(database, pool_id, 2, parameters={"район": f"Бутырски{TWO}"})
    hot = database.hot
    await hot.execute(
        "UPDATE executors SET name = $2, external_id = $2, parameters = jsonb_build_object('k', $2::text)"
        " WHERE id = $1",
        alone,
        f"Серге{TWO}",
    )
    await hot.execute("UPDATE executors SET external_id = $2 WHERE id = $1", first, f"A{TWO}")
    await hot.execute("UPDATE executors SET external_id = $2 WHERE id = $1", second, f"A{ONE}")
    await hot.execute(
        "UPDATE tasks SET parameters = jsonb_build_object($2::text, 1, $3::text, 2) WHERE id = $1",
        like,
        TWO,
        ONE,
    )
    audited = await hot.fetch("SELECT * FROM audit_log ORDER BY id")
    found = migration()
    for _ in range(2):  # it can be repeated
        for statement in [*found._statements(large=True), *found._statements(large=False)]:
            await hot.execute(statement)
    person = await hot.fetchrow("SELECT name, external_id, parameters FROM executors WHERE id = $1", alone)
    assert tuple(person) == (f"Серге{ONE}", f"Серге{ONE}", {"k": f"Серге{ONE}"})
    assert await hot.fetchval("SELECT parameters FROM tasks WHERE id = $1", task) == {
        "район": f"Бутырски{ONE}"
    }
    assert await hot.fetchval("SELECT external_id FROM executors WHERE id = $1", first) == f"A{TWO}"
    assert await hot.fetchval("SELECT parameters FROM tasks WHERE id = $1", like) == {TWO: 1, ONE: 2}
    left = {place: [row["id"] for row in await hot.fetch(query)] for place, query in found.LEFT.items()}
    assert {place: ids for place, ids in left.items() if ids} == {
        "executors.external_id": [first],
        "tasks.parameters": [like],
    }
    assert (await hot.fetch("SELECT * FROM audit_log ORDER BY id"))[: len(audited)] == audited
