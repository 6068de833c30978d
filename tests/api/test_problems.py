"""Errors: one form, a stable code, the field and the remedy named, a request id that the logs know."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.config import Settings
from app.services.pools import pools
from tests.api.conftest import client_of, problem_in


async def test_unknown_place_and_wrong_method_are_problems(client: httpx.AsyncClient) -> None:
    assert problem_in(await client.get("/v1/nothing"))["code"] == "not_found"
    assert problem_in(await client.delete("/v1/tasks"))["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b'{"priority": "high"}', "priority", "integer"),
        (b'{"weight": true}', "weight", "number"),
        (b'{"weight": NaN}', "weight", "finite"),
        (b'{"prioritty": 5}', "prioritty", "not permitted"),
        (b'{"deadline": "2026-01-01T00:00:00"}', "deadline", "timezone"),
        (b'{"parameters": {"a": {"b": 1}}}', "parameters", "a: neither a string"),
        (b'{"parameters": {"a": "\\u0000"}}', "parameters", "a: neither a string"),
        (b'{"parameters": {"a": "\\ud800"}}', "parameters", "a: neither a string"),
        (b'{"parameters": {"a": 1e999}}', "parameters", "a: neither a string"),
        (b'{"parameters": {"a": 99999999999999999999}}', "parameters", "a: neither a string"),
        (b"[]", "body", "dictionary"),
        (b'{"a"', "body", "at character 4"),
    ],
)
async def test_wrong_value_is_named_with_its_place(
    client: httpx.AsyncClient, body: bytes, field: str, reason: str
) -> None:
    answer = await client.post("/v1/tasks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    problem = problem_in(answer)
    assert problem["errors"][0]["field"] == field
    assert reason in problem["errors"][0]["reason"]


async def test_wrong_value_deep_in_a_batch_is_named_by_its_path(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/tasks/batch", json={"tasks": [{}, {"priority": "high"}]})
    assert problem_in(answer)["errors"][0]["field"] == "tasks[1].priority"


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"[" * 100_000])
async def test_body_that_is_no_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/tasks", content=body, headers={"content-type": "application/json"})
    assert problem_in(answer)["code"] == "invalid"


async def test_large_body_is_refused_announced_or_not(settings: Settings, client: httpx.AsyncClient) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    headers = {"content-type": "application/json"}
    async with client_of(settings.model_copy(update={"max_body_bytes": 5000})) as small:
        for body in (b" " * 5001, in_pieces()):
            answer = await small.post("/v1/tasks", content=body, headers=headers)
            assert answer.status_code == 413
            assert "5000" in problem_in(answer)["detail"]
        assert (
            await small.post("/v1/tasks", content=b"{}" + b" " * 4998, headers=headers)
        ).status_code == 202


async def test_request_id_is_the_callers_where_it_is_harmless(client: httpx.AsyncClient) -> None:
    given = await client.get("/v1/health/live", headers={"X-Request-ID": "trace-42"})
    assert given.headers["x-request-id"] == "trace-42"
    for wrong in ("", "a b", "x" * 65, "a\tb"):
        answer = await client.get("/v1/health/live", headers={"X-Request-ID": wrong})
        assert answer.headers["x-request-id"] != wrong


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/pools", None),
        ("GET", "/v1/tasks", None),
        ("POST", "/v1/tasks", {}),
        ("POST", "/v1/tasks/batch", {"tasks": [{}]}),
        ("POST", "/v1/executors", {"name": "A"}),
        ("GET", "/v1/distribution/stats", None),
    ],
)
async def test_database_that_is_down_is_told_with_a_time_to_come_back(
    settings: Settings, method: str, path: str, body: object
) -> None:
    lost = settings.model_copy(update={"database_url": "postgresql+asyncpg://u:secret@127.0.0.1:9/x"})
    async with client_of(lost) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert problem_in(answer)["code"] == "unavailable"
    assert "secret" not in answer.text


async def test_database_that_went_away_and_came_back_needs_no_restart(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    assert (await client.post("/v1/tasks", json={})).status_code == 202
    assert (await client.get("/v1/pools")).status_code == 200
    await end_all_connections(settings)
    for _ in range(20):
        answers = [await client.post("/v1/tasks", json={}), await client.get("/v1/pools")]
        assert {answer.status_code for answer in answers} <= {200, 202, 503}
        if {answer.status_code for answer in answers} == {200, 202}:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the API did not come back")


async def end_all_connections(settings: Settings) -> None:
    import asyncpg

    connection = await asyncpg.connect(settings.dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_database_without_a_schema_says_what_to_do(empty_database_url: str) -> None:
    async with client_of(Settings(database_url=empty_database_url)) as client:
        problem = problem_in(await client.get("/v1/pools"))
    assert (problem["status"], "init_db.py" in problem["detail"]) == (503, True)


async def test_defect_is_a_problem_that_tells_nothing_of_the_inside(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr(pools, "list_pools", fail)
    answer = await client.get("/v1/pools")
    assert answer.status_code == 500
    assert problem_in(answer)["code"] == "internal"
    assert "inside" not in answer.text


@pytest.mark.parametrize("day", ["3.7e-226", "0", "86400", "20260131"])
async def test_a_number_is_no_day(client: httpx.AsyncClient, day: str) -> None:
    answer = await client.get("/v1/distribution/fairness", params={"day": day})
    assert answer.status_code == 422
    assert "2026-01-31" in str(problem_in(answer)["errors"])


@pytest.mark.parametrize("deadline", [86400, 1.5, "86400", "2026-01-31T09:00:00"])
async def test_a_number_is_no_instant_and_a_local_time_neither(
    client: httpx.AsyncClient, deadline: object
) -> None:
    answer = await client.post("/v1/tasks", json={"deadline": deadline})
    assert answer.status_code == 422
    assert "deadline" in str(problem_in(answer)["errors"])


RUSSIAN = {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}


async def test_a_refusal_is_told_in_the_language_that_the_client_reads(client: httpx.AsyncClient) -> None:
    asked = {"weight": -1, "deadline": "2026-01-01T00:00:00"}
    english = await client.post("/v1/tasks", json=asked)
    russian = await client.post("/v1/tasks", json=asked, headers=RUSSIAN)
    assert (english.headers["content-language"], russian.headers["content-language"]) == ("en", "ru")
    assert russian.headers["vary"] == "Accept-Language"
    one, other = problem_in(english), problem_in(russian)
    assert [one[name] for name in ("status", "code", "title")] == [422, "invalid", "Invalid value"]
    assert [other[name] for name in ("status", "code", "title")] == [422, "invalid", "Неверное значение"]
    assert [each["field"] for each in one["errors"]] == [each["field"] for each in other["errors"]]
    assert {each["reason"] for each in other["errors"]} == {"нужно не меньше 0.001", "нет часового пояса"}
    assert {each["remedy"] for each in other["errors"]} == {"", "добавьте смещение от UTC, например Z"}


@pytest.mark.parametrize(
    ("method", "path", "detail"),
    [
        ("GET", "/v1/tasks/999999", "Заявки 999999 нет."),
        ("GET", "/v1/nothing", "Такого адреса нет."),
        ("PUT", "/v1/tasks", "Так к этому адресу обратиться нельзя."),
        ("GET", "/v1/tasks?no_such=1", "no_such: такого условия в запросе нет; есть такие:"),
    ],
)
async def test_every_layer_answers_in_that_language(
    client: httpx.AsyncClient, method: str, path: str, detail: str
) -> None:
    problem = problem_in(await client.request(method, path, headers=RUSSIAN))
    assert problem["detail"].startswith(detail)


async def test_tasks_of_a_batch_and_of_a_stream_are_refused_in_that_language(
    client: httpx.AsyncClient,
) -> None:
    tasks = [{"external_id": "right"}, {"external_id": "wrong", "parent_id": 999999}]
    answer = await client.post("/v1/tasks/batch?partial=true", json={"tasks": tasks}, headers=RUSSIAN)
    [_, refused] = answer.json()["items"]
    assert refused["problem"]["detail"] == "Родительской заявки 999999 в этой команде нет."
    whole = problem_in(await client.post("/v1/tasks/batch", json={"tasks": tasks}, headers=RUSSIAN))
    assert whole["errors"][0]["reason"] == "Родительской заявки 999999 в этой команде нет."
    lines = b'{"parent_id": 999999}\nno JSON\n'
    streamed = (await client.post("/v1/tasks/stream", content=lines, headers=RUSSIAN)).json()["problems"]
    assert {each["line"]: each["detail"] for each in streamed} == {
        0: "Родительской заявки 999999 в этой команде нет.",
        1: "body: это не JSON: ошибка у знака 0 (ожидается значение)",
    }


async def test_the_type_of_a_problem_leads_to_its_entry_in_both_languages(client: httpx.AsyncClient) -> None:
    for path, code in (
        ("/v1/tasks/999999", "not_found"),
        ("/v1/nothing", "not_found"),
        ("/v1/tasks?x=1", "invalid"),
    ):
        assert problem_in(await client.get(path))["type"] == f"/errors#{code}"
    assert problem_in(await client.put("/v1/tasks"))["type"] == "/errors#method_not_allowed"
    for headers, title in (({}, "404 Not found"), (RUSSIAN, "404 Не найдено")):
        answer = await client.get("/errors", headers=headers)
        assert f'<h2 id="not_found">not_found</h2><p>{title}</p>' in answer.text
