"""Every route of the OpenAPI, with every role: decided on, refused where not granted, blind to another pool."""

import re
from typing import Any

import pytest

from app.access.roles import GRANTS, ROLES, Role
from app.api.edge.guard import routes_of
from app.api.edge.permissions import ALL_POOLS, NARROWED, OWNED, PUBLIC, ROUTES, THINGS
from app.config import Settings
from app.main import ROUTERS, create_app
from tests.access.conftest import House, Team

APP = create_app(Settings(_env_file=None))
FOUND = [
    (route.name, method, route.path)
    for route in routes_of(APP, [module.router for module in ROUTERS])
    for method in sorted((route.methods or set()) - {"HEAD"})
]
GUARDED = [route for route in FOUND if ROUTES.get(route[0], PUBLIC) != PUBLIC]
ENDLESS = {"watch_events"}
"""What goes on for as long as somebody listens: the guard's refusals are asked for, the stream itself elsewhere."""
WHERE = "app/api/edge/permissions.py"


@pytest.mark.parametrize(("name", "method", "path"), FOUND)
def test_somebody_decided_who_may_use_it(name: str, method: str, path: str) -> None:
    assert name in ROUTES, f'{method} {path}: add the line "{name}": "<action>" to ROUTES in {WHERE}'


@pytest.mark.parametrize(("name", "method", "path"), FOUND)
def test_somebody_decided_whose_thing_it_names(name: str, method: str, path: str) -> None:
    for key in re.findall(r"{(\w+)}", path):
        assert key in THINGS, f'{method} {path}: add the line "{key}": Thing(...) to THINGS in {WHERE}'


def test_no_line_is_about_a_route_that_is_gone() -> None:
    assert ROUTES.keys() - {name for name, _, _ in FOUND} == set()


def test_names_tell_routes_apart() -> None:
    names = [name for name, _, _ in FOUND]
    assert {name for name in names if names.count(name) > 1} == set()


def test_openapi_lists_no_route_that_the_guard_does_not_know() -> None:
    listed = {
        (method.upper(), path) for path, operations in APP.openapi()["paths"].items() for method in operations
    }
    assert listed <= {(method, path) for _, method, path in FOUND}


async def ask(house: House, method: str, path: str, team: Team, headers: dict[str, str]) -> Any:
    """The answer to a request with a team's ids in its path, and a body that means nothing."""
    filled = re.sub(r"{(\w+)}", lambda found: str(team.ids.get(found[1], 999_999_999)), path)
    body = {} if method in {"POST", "PUT", "PATCH"} else None
    return await house.client.request(method, filled, json=body, headers=headers)


async def test_without_credentials_nothing_but_the_public_answers(house: House) -> None:
    for name, method, path in FOUND:
        answer = await ask(house, method, path, house.mine, {})
        if ROUTES[name] == PUBLIC:
            assert answer.status_code not in {401, 403}, path
        else:
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ROLES)
async def test_role_may_do_what_it_was_granted_and_nothing_else(house: House, role: Role) -> None:
    headers = await house.as_role(role)
    for name, method, path in GUARDED:
        if name in ENDLESS and ROUTES[name] in GRANTS[role] and role != "executor":
            continue
        answer = await ask(house, method, path, house.mine, headers)
        granted = ROUTES[name] in GRANTS[role]
        if role == "executor" and not any(f"{{{key}}}" in path for key in OWNED) and name not in NARROWED:
            granted = False
        if name in ALL_POOLS and role != "admin":  # the callers of these tests see one pool
            granted = False
        said = f"{role}: {method} {path} answered {answer.status_code} {answer.text[:200]}"
        assert (answer.status_code not in {401, 403}) == granted, said
        assert answer.status_code < 500, said


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
async def test_another_pools_things_do_not_exist(house: House, role: Role) -> None:
    headers = await house.as_role(role)
    for name, method, path in GUARDED:
        if ROUTES[name] not in GRANTS[role] or "{" not in path:
            continue
        answer = await ask(house, method, path, house.other, headers)
        if role == "executor" and answer.status_code == 403:
            continue
        assert answer.status_code == 404, f"{role}: {method} {path} answered {answer.status_code}"
        nobodys = Team(house.other.pool_id, dict.fromkeys(THINGS, 999_999_999))
        missing = await ask(house, method, path, nobodys, headers)
        theirs = answer.json()["detail"]
        for key in THINGS:
            if f"{{{key}}}" in path:
                theirs = theirs.replace(str(house.other.ids.get(key, 999_999_999)), "N")
        assert theirs == missing.json()["detail"].replace("999999999", "N"), path


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
async def test_lists_show_nothing_of_another_pool(house: House, role: Role) -> None:
    headers = await house.as_role(role)
    shown = 0
    for name, method, path in GUARDED:
        if method != "GET" or ROUTES[name] not in GRANTS[role] or "{" in path:
            continue
        named = await house.client.get(path, headers=headers, params={"pool_id": house.other.pool_id})
        assert "of other" not in named.text, f"{role}: GET {path}?pool_id= shows another pool"
        if name in ENDLESS:
            continue
        answer = await house.client.get(path, headers=headers)
        shown += "of mine" in answer.text
        assert "of other" not in answer.text, f"{role}: GET {path} shows another pool"
    assert shown


async def test_another_pool_in_a_body_does_not_exist(house: House) -> None:
    headers = await house.as_role("lead")
    other = house.other.pool_id
    for path, body in {
        "/v1/tasks": {"pool_id": other},
        "/v1/tasks/batch": {"tasks": [{"pool_id": other}]},
        "/v1/tasks/preview": {"pool_id": other},
        "/v1/executors": {"pool_id": other, "name": "A"},
        "/v1/executors/batch": {"pool_id": other, "executors": [{"name": "A", "external_id": "A"}]},
        "/v1/parameters": {"pool_id": other, "owner": "task", "key": "z", "type": "string"},
        "/v1/rules": {"pool_id": other, "name": "r", "rules": {}},
        "/v1/rules/validate": {"pool_id": other, "rules": {}},
    }.items():
        answer = await house.client.post(path, json=body, headers=headers)
        assert answer.status_code == 404, f"{path} answered {answer.status_code} {answer.text}"


async def test_an_executor_sees_their_own_tasks_only(house: House) -> None:
    headers = await house.as_role("executor")
    colleague = await house.database.hot.fetchval(
        "INSERT INTO tasks (pool_id, external_id, parameters) VALUES ($1, 'of a colleague', '{}') RETURNING id",
        house.mine.pool_id,
    )
    listed = (await house.client.get("/v1/tasks", headers=headers)).json()["items"]
    assert [task["task_id"] for task in listed] == [house.mine.ids["task_id"]]
    assert (await house.client.get(f"/v1/tasks/{colleague}", headers=headers)).status_code == 404
    own = await house.client.get(f"/v1/tasks/{house.mine.ids['task_id']}", headers=headers)
    assert own.status_code == 200
