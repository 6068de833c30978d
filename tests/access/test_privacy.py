"""A person's data are handed out whole and erased without a trace, while everything still adds up."""

from app.services.audit.audit_log import verify
from tests.access.conftest import House
from tests.builders import add_tasks
from tests.conftest import Figure

NAME = "Аделаида Вермишелева"
USERNAME = "adelaida.vermisheleva"


async def everything(house: House) -> str:
    """All that the database holds, as text."""
    tables = await house.database.hot.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    parts = [
        await house.database.hot.fetchval(
            f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {row['relname']} t"
        )
        for row in tables
    ]
    return " ".join(parts)


async def a_known_person(house: House, headers: dict[str, str]) -> int:
    executor_id = house.mine.ids["executor_id"]
    person = {"name": NAME, "external_id": f"x {NAME}", "parameters": {"phone": NAME}}
    assert (await house.client.patch(f"/v1/executors/{executor_id}", json=person, headers=headers)).is_success
    await house.database.hot.execute(
        "INSERT INTO executor_absences (executor_id, starts_at, ends_at, reason)"
        " VALUES ($1, now(), now() + interval '1 day', $2)",
        executor_id,
        f"{NAME} is ill",
    )
    user = {
        "username": USERNAME,
        "password": "a password nobody has",
        "role": "executor",
        "executor_id": executor_id,
    }
    assert (await house.client.post("/v1/users", json=user, headers=headers)).status_code == 201
    return executor_id


async def test_a_person_is_handed_out_whole_and_erased_without_a_trace(house: House) -> None:
    admin = await house.as_role("admin")
    executor_id = await a_known_person(house, admin)
    whole = (await house.client.get(f"/v1/privacy/executors/{executor_id}", headers=admin)).json()
    assert whole["executor"][0]["name"] == NAME
    assert whole["accounts"][0]["username"] == USERNAME
    assert whole["absences"][0]["reason"] == f"{NAME} is ill"
    assert any(entry["after"] and entry["after"].get("name") == NAME for entry in whole["audit"])
    assert "argon2" not in str(whole)
    before = (await verify(house.database.hot)).entries
    for _ in range(2):
        erased = await house.client.post(f"/v1/privacy/executors/{executor_id}/erase", headers=admin)
        assert erased.status_code == 200
    left = await everything(house)
    assert NAME not in left
    assert USERNAME not in left
    log = (await house.client.get("/v1/audit", params={"limit": 1000}, headers=admin)).json()["items"]
    assert NAME not in str(log)
    assert USERNAME not in str(log)
    of_person = [
        each for each in log if (each["entity"], each["entity_id"]) == ("executors", str(executor_id))
    ]
    assert {each["name"] for each in of_person} == {f"erased {executor_id}"}
    proof = await verify(house.database.hot)
    assert (proof.holds, proof.erased > 0, proof.entries > before) == (True, True, True)
    task = await house.client.get(f"/v1/tasks/{house.mine.ids['task_id']}", headers=admin)
    assert task.json()["executor_id"] == executor_id


async def test_whoever_has_open_work_is_not_erased(house: House) -> None:
    admin = await house.as_role("admin")
    executor_id = house.mine.ids["executor_id"]
    await house.database.hot.execute(
        "UPDATE executor_loads SET open_count = 1 WHERE executor_id = $1", executor_id
    )
    refused = await house.client.post(f"/v1/privacy/executors/{executor_id}/erase", headers=admin)
    assert (refused.status_code, refused.json()["open_count"]) == (409, 1)
    assert (await house.client.post("/v1/privacy/executors/999999/erase", headers=admin)).status_code == 404


MARK = "Вермишелева-7731"
"""Part of whatever says who the person is; nothing else in the database holds it."""

# Columns that hold text of others or of programs: what the person is called cannot come there by the API.
ELSEWHERE = {
    "alembic_version": {"version_num"},
    "api_keys": {"name", "prefix", "key_hash", "role", "scopes"},
    "assignments": {"kind", "explanation", "release_reason", "delivery_state"},
    "audit_log": {"action", "entity", "entity_id", "salt", "content_hash", "previous_hash", "hash", "identity_salt",
                  "identity_hash"},
    "class_snapshots": {"digest", "content"},
    "delivery_breakers": {"destination", "last_error"},
    "erased_people": {"digest"},
    "executor_absences": {"open_tasks"},
    "executors": {"availability", "working_hours"},
    "fairness_alerts": {"kind", "facts"},
    "fairness_hours": {"shares"},
    "idempotency_keys": {"key", "fingerprint"},
    "kpi_days": {"shares"},
    "leases": {"name", "holder"},
    "loop_reports": {"process", "loop", "part", "error"},
    "move_keys": {"key", "fingerprint", "answer"},
    "outbox": {"destination", "event", "last_error"},
    "parameters": {"owner", "key", "type", "label_ru", "label_en", "options", "default"},
    "pool_states": {"settled_for"},
    "pools": {"code", "name", "timezone", "policy", "fairness_window", "defaults", "settings", "timezone_before"},
    "provider_sign_ins": {"state_hash", "challenge", "redirect_uri", "nonce", "code_verifier"},
    "refresh_tokens": {"family", "token_hash", "device_hash"},
    "replays": {"state", "request", "error"},
    "rosters": {"digest", "members"},
    "rule_sets": {"name", "document", "state"},
    "task_events": {"event", "from_status", "to_status"},
    "tasks": {"external_id", "parameters", "status", "wait_reason", "wait_explanation", "route", "origin"},
    "trail_frames": {"content"},
    "users": {"password_hash", "role", "oidc_issuer"},
    "webhooks": {"url", "secret"},
    "worker_reports": {"process", "trouble"},
}  # fmt: skip
PLANTED = {
    "api_keys.created_by", "assignments.decided_by", "audit_log.actor", "audit_log.address", "audit_log.after",
    "audit_log.before", "audit_log.request_id", "executor_absences.reason", "executors.external_id", "executors.name",
    "executors.parameters", "outbox.payload", "replays.created_by", "replays.result", "rule_sets.author",
    "task_events.actor", "task_events.reason", "users.oidc_subject", "users.username", "webhooks.created_by",
}  # fmt: skip
_COLUMNS = """
SELECT class.relname AS table, attname AS column FROM pg_attribute
JOIN pg_class class ON class.oid = attrelid
WHERE class.relkind IN ('r', 'p', 'm') AND class.relnamespace = 'public'::regnamespace AND attnum > 0
  AND NOT attisdropped AND format_type(atttypid, NULL) NOT IN (
    'bigint', 'integer', 'smallint', 'boolean', 'double precision', 'numeric', 'date', 'timestamp with time zone',
    'bigint[]', 'integer[]'
  )
"""
# What the API writes under the caller's name, in few words; the name has no quote in it.
_BY_NAME = """
INSERT INTO rule_sets (pool_id, name, version, document, state, author)
VALUES ({pool_id}, 'by them', 1, '{{}}', 'draft', '{name}');
INSERT INTO api_keys (name, prefix, key_hash, created_by) VALUES ('by them', 'by them', '', '{name}');
INSERT INTO webhooks (pool_id, url, secret, created_by) VALUES ({pool_id}, 'https://example.org', 's', '{name}');
INSERT INTO outbox (pool_id, task_id, sequence, event, delivered_at, payload)
VALUES ({pool_id}, {task_id}, 900, 'complete', now(), '{{"actor": "{name}", "reason": "{name}"}}');
INSERT INTO replays (pool_id, state, request, created_by) VALUES ({pool_id}, 'done', '{{}}', '{name}');
INSERT INTO replays (pool_id, state, request, result) VALUES ({pool_id}, 'done', '{{}}', '{{
    "comparison": {{"runs": [{{"executors": [{{"executor_id": {executor_id}, "name": "{name}"}}]}}]}},
    "pages": {{"ru": "<b>{name}</b>"}}
}}');
INSERT INTO assignments (task_id, pool_id, executor_id, kind, weight, score, business_day, decided_at, decided_by)
VALUES ({task_id}, {pool_id}, {executor_id}, 'manual', 1, 0, now(), now(), '{name}');
"""


async def columns_with(house: House, text: str) -> set[str]:
    """Every column of every table that holds a text, by the catalogue; also packed into bytes."""
    found = set()
    for row in await house.database.hot.fetch(_COLUMNS):
        table, column = row["table"], row["column"]
        query = f'SELECT EXISTS (SELECT FROM "{table}" t WHERE t."{column}"::text ILIKE ANY($1::text[]))'
        if await house.database.hot.fetchval(query, [f"%{text}%", f"%{text.encode().hex()}%"]):
            found.add(f"{table}.{column}")
    return found


async def a_person_everywhere(house: House, admin: dict[str, str]) -> int:
    """The person's name wherever the API can bring it: as what they are, did, wrote, and once were."""
    executor_id, task_id = house.mine.ids["executor_id"], house.mine.ids["task_id"]
    call = house.client.request
    person = {"name": f"Аделаида {MARK}", "external_id": f"x {MARK}", "parameters": {"phone": MARK}}
    assert (await call("PATCH", f"/v1/executors/{executor_id}", json=person, headers=admin)).is_success
    for number in (1, 2):  # one absence stays, one was removed long ago
        absence = {"starts_at": f"2031-0{number}-01T00:00:00Z", "ends_at": f"2031-0{number}-02T00:00:00Z",
                   "reason": f"{MARK} is ill"}  # fmt: skip
        made = await call("POST", f"/v1/executors/{executor_id}/absences", json=absence, headers=admin)
        assert made.status_code == 201, made.text
    assert (
        await call(
            "DELETE", f"/v1/executors/{executor_id}/absences/{made.json()['absence_id']}", headers=admin
        )
    ).is_success
    for name in (f"former {MARK}", f"now {MARK}"):
        user = {
            "username": name,
            "password": "a password nobody has",
            "role": "executor",
            "executor_id": executor_id,
        }
        known = await call("POST", "/v1/users", json=user, headers=admin)
        assert known.status_code == 201, known.text
        if name.startswith("former"):
            former = f"/v1/users/{known.json()['user_id']}"
            assert (await call("PATCH", former, json={"active": False}, headers=admin)).is_success
            await house.database.hot.execute(
                "UPDATE users SET executor_id = NULL WHERE username = $1", f"former {MARK}"
            )
    await house.database.hot.execute("UPDATE users SET oidc_subject = $1 WHERE username = $1", f"now {MARK}")
    signed_in = await call(
        "POST", "/v1/auth/token", json={"username": f"now {MARK}", "password": "a password nobody has"},
        headers={"X-Request-ID": "by-7731"},
    )  # fmt: skip
    assert signed_in.status_code == 200, signed_in.text
    own = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    for move in ("start", "complete"):
        body = {"reason": f"because {MARK} says so"}
        moved = await call("POST", f"/v1/tasks/{task_id}/{move}", json=body, headers=own)
        assert moved.is_success, moved.text
    written = _BY_NAME.format(
        pool_id=house.mine.pool_id, task_id=task_id, executor_id=executor_id, name=f"now {MARK}"
    )
    async with house.database.hot.acquire() as connection, connection.transaction():
        for setting, value in (
            ("actor", f"now {MARK}"),
            ("address", f"at {MARK}"),
            ("request_id", f"in {MARK}"),
        ):
            await connection.execute("SELECT set_config('app.' || $1, $2, true)", setting, value)
        await connection.execute(written)
    return executor_id


async def test_an_erased_person_is_found_in_no_column_of_any_table(house: House, figure: Figure) -> None:
    admin = await house.as_role("admin")
    executor_id = await a_person_everywhere(house, admin)
    known = {(row["table"], row["column"]) for row in await house.database.hot.fetch(_COLUMNS)}
    decided = {(table, column) for table, columns in ELSEWHERE.items() for column in columns}
    decided |= {tuple(name.split(".")) for name in PLANTED}
    assert known - decided == set(), "decide whether it can say who a person is: PLANTED or ELSEWHERE"
    assert decided - known == set()
    assert await columns_with(house, MARK) == PLANTED
    handed_out = (await house.client.get(f"/v1/privacy/executors/{executor_id}", headers=admin)).json()
    for kind in ("executor", "absences", "accounts", "audit", "deeds", "messages", "replays", "events"):
        assert handed_out[kind], kind
    assert f"{MARK} is ill" in str([each for each in handed_out["audit"] if each["action"] == "deleted"])
    assert f"former {MARK}" in str(handed_out["audit"])

    erased = await house.client.post(f"/v1/privacy/executors/{executor_id}/erase", headers=admin)
    assert (erased.status_code, erased.json()["tasks"]) == (200, 1), erased.text
    assert any("tasks/{task_id}/erase" in line for line in erased.json()["kept"])
    assert await columns_with(house, MARK) == set()
    assert MARK not in await everything(house)
    proof = await verify(house.database.hot)
    assert (proof.holds, proof.reason) == (True, "")
    last = await house.database.hot.fetchrow(
        "SELECT action, entity, entity_id FROM audit_log ORDER BY id DESC LIMIT 1"
    )
    assert tuple(last) == ("erased", "executors", str(executor_id))
    figure("columns searched for an erased person", len(known))
    figure("columns that held them before", len(PLANTED))


async def test_what_a_client_said_in_a_task_is_erased_by_its_id_or_its_external_id(house: House) -> None:
    admin = await house.as_role("admin")
    task_id, pool_id = house.mine.ids["task_id"], house.mine.pool_id
    await house.database.hot.execute(
        "UPDATE tasks SET parameters = jsonb_build_object('phone', $2::text), external_id = $2 WHERE id = $1",
        task_id,
        MARK,
    )
    for path, body in (
        (f"/v1/privacy/tasks/{task_id}/erase", None),
        ("/v1/privacy/tasks/erase", {"pool_id": pool_id, "external_id": MARK}),
    ):
        refused = await house.client.post(path, json=body, headers=admin)
        assert (refused.status_code, refused.json()["task_status"]) == (409, "assigned"), refused.text
    for move in ("start", "complete"):
        done = await house.client.post(f"/v1/tasks/{task_id}/{move}", json={"reason": MARK}, headers=admin)
        assert done.is_success, done.text
    assert await columns_with(house, MARK) >= {"tasks.parameters", "tasks.external_id", "task_events.reason"}
    missing = {"pool_id": pool_id, "external_id": "none such"}
    assert (
        await house.client.post("/v1/privacy/tasks/erase", json=missing, headers=admin)
    ).status_code == 404
    named = {"pool_id": pool_id, "external_id": MARK}
    assert (await house.client.post("/v1/privacy/tasks/erase", json=named, headers=admin)).status_code == 204
    assert (await house.client.post(f"/v1/privacy/tasks/{task_id}/erase", headers=admin)).status_code == 204
    assert await columns_with(house, MARK) == set()
    assert (await verify(house.database.hot)).holds


async def test_the_values_that_rules_read_of_a_task_are_erased_with_the_last_task_that_had_them(
    house: House,
) -> None:
    """Cross conditions compare a task's values with a person's: they are the key of its class."""
    admin, pool_id, fetch = await house.as_role("admin"), house.mine.pool_id, house.database.hot.fetchval
    executor_id, kinds, tasks = house.mine.ids["executor_id"], [], []
    for digest, key in (("first", MARK), ("later roster", MARK), ("other kind", "another")):
        kinds.append(
            await fetch(
                "INSERT INTO class_snapshots (pool_id, digest, content)"
                " VALUES ($1, $2, jsonb_build_object('key', jsonb_build_array($3::text))) RETURNING id",
                *(pool_id, digest, key),
            )
        )
    for name, kind in (("T-1", kinds[0]), ("T-2", kinds[0]), ("T-3", kinds[2])):
        [task_id] = await add_tasks(house.database, pool_id, 1)
        tasks.append(task_id)
        await fetch("UPDATE tasks SET status = 'completed', external_id = $2 WHERE id = $1", task_id, name)
        await fetch(
            "INSERT INTO assignments"
            " (task_id, pool_id, executor_id, kind, weight, score, business_day, decided_at, class_id)"
            " VALUES ($1, $2, $3, 'primary', 1, 0, now(), now(), $4)",
            *(task_id, pool_id, executor_id, kind),
        )
    epoch = await fetch("SELECT config_epoch FROM pool_states WHERE pool_id = $1", pool_id)
    found = []
    for task_id in tasks[:2]:
        erased = await house.client.post(f"/v1/privacy/tasks/{task_id}/erase", headers=admin)
        assert erased.status_code == 204, erased.text
        found.append(await columns_with(house, MARK))
    assert found == [{"class_snapshots.content"}, set()], "the first is not the last"
    assert await columns_with(house, "another") == {"class_snapshots.content"}
    digests = await house.database.hot.fetch("SELECT digest FROM class_snapshots ORDER BY id")
    assert [row[0] for row in digests] == [f"erased {kinds[0]}", f"erased {kinds[1]}", "other kind"]
    assert await fetch("SELECT config_epoch > $2 FROM pool_states WHERE pool_id = $1", pool_id, epoch)


async def test_no_session_hides_what_it_changes_behind_erasing_or_a_table_of_its_own(house: House) -> None:
    executor_id = house.mine.ids["executor_id"]
    rename = "UPDATE executors SET name = 'renamed ' || clock_timestamp() WHERE id = $1"
    newest = "SELECT after ->> 'name' FROM public.audit_log ORDER BY id DESC LIMIT 1"
    async with house.database.hot.acquire() as connection:
        for hiding in (
            "SELECT set_config('app.erasing', 'on', true)",
            "CREATE TEMP TABLE audit_log (LIKE public.audit_log INCLUDING ALL) ON COMMIT DROP",
            "CREATE TEMP TABLE executors ON COMMIT DROP AS SELECT * FROM public.executors LIMIT 0",
        ):
            async with connection.transaction():
                await connection.execute(hiding)
                await connection.execute(rename.replace("executors", "public.executors", 1), executor_id)
            assert (await connection.fetchval(newest)).startswith("renamed "), hiding
        async with connection.transaction():  # and a change before erasing is noted with its contents
            await connection.execute("UPDATE pools SET name = 'hidden?' WHERE id = $1", house.mine.pool_id)
            await connection.execute("SELECT erase_executor($1, 1, now())", executor_id)
        noted = await connection.fetchval(
            "SELECT after ->> 'name' FROM audit_log WHERE entity = 'pools' ORDER BY id DESC LIMIT 1"
        )
        assert noted == "hidden?"
    assert (await verify(house.database.hot)).holds
