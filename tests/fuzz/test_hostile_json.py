"""Any JSON, and what is almost JSON: in every route's body, and as a rule document."""

import contextlib
import json
import os
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings as bounds, strategies as st

from app.config import Settings
from app.main import create_app
from app.rule_engine import Catalogue, RuleSetInvalid, parse_rule_set
from app.rule_engine.language import OPERATORS
from tests.access.conftest import House
from tests.access.test_every_route import FOUND
from tests.conftest import Figure

EXAMPLES = 20 * int(os.environ["FUZZ_EXAMPLES"]) if "FUZZ_EXAMPLES" in os.environ else 200
DOCUMENT = create_app(Settings(_env_file=None)).openapi()
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "deep lists": b"[" * 50_000,
    "deep lists, closed": b"[" * 20_000 + b"]" * 20_000,
    "deep objects": b'{"conditions":' * 20_000 + b"1" + b"}" * 20_000,
    "deep in a known key": b'{"name": "a", "rules": ' + b'{"conditions": [' * 5_000 + b"]}" * 5_000 + b"}",
    "deep parameters": b'{"name": "a", "parameters": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
    "NaN": b'{"weight": NaN, "priority": NaN, "name": "a", "daily_limit": Infinity}',
    "a huge number": b'{"weight": 1e999, "priority": ' + b"9" * 6_000 + b', "name": "a"}',
    "a huge exponent": b'{"weight": 1e-999999999999, "daily_limit": 1E+99999999, "name": "a"}',
    "a key twice": b'{"name": "a", "name": "b"}',
    "a very long key": b'{"' + b"k" * 60_000 + b'": 1}',
    "thousands of keys": json.dumps({f"k{number}": number for number in range(4_000)}).encode(),
    "half a character": b'{"name": "\\ud800", "external_id": "\\udfff", "username": "\\ud800"}',
    "NUL": b'{"name": "a\\u0000b", "external_id": "\\u0000", "username": "\\u0000"}',
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "UTF-32": '{"name": "a"}'.encode("utf-32"),
    "a mark first": b'\xef\xbb\xbf{"name": "a"}',
    "a list": b"[1, 2]",
    "null": b"null",
    "a text": b'"text"',
    "cut short": b'{"name": "a',
    "more after it": b'{"name": "a"} {"name": "b"}',
    "control characters": b'{"name": "\x01\x02"}',
    "turned text": '{"name": "\u202e\u2066\U000e0001", "external_id": "\u202e"}'.encode(),
}


@pytest.mark.slow
async def test_no_body_makes_any_route_fail(house: House, figure: Figure) -> None:
    admin = await house.as_role("admin") | {"Content-Type": "application/json"}
    asked = 0
    for _, method, path in FOUND:
        if "requestBody" not in DOCUMENT["paths"].get(path, {}).get(method.lower(), {}):
            continue
        filled = re.sub(r"{(\w+)}", lambda found: str(house.mine.ids.get(found[1], 1)), path)
        for name, body in BODIES.items():
            answer = await house.client.request(method, filled, content=body, headers=admin)
            asked += 1
            where = f"{method} {path}: {name}"
            assert answer.status_code < 500 or answer.status_code == 503, f"{where}: {answer.text[:300]}"
            if answer.is_error:
                assert answer.json()["detail"], where
    figure("hostile JSON bodies, one by one to every route", asked)


KEYS = st.sampled_from(
    ["conditions", "weights", "task_weights", "tests", "comment", "operator", "field", "value", "condition", "weight",
     "on_missing", "name", "task", "executor", "expected", "parameters"]
)  # fmt: skip
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=10**300, max_value=10**301),
        st.floats(),
        st.text(max_size=20),
        st.text("ab.\u202e\x00\ud800\U0001f600", max_size=200),
        st.sampled_from(
            ["task.priority", "executor.parameters.x", "task.parameters." + "k" * 500, *OPERATORS]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.text(max_size=10), KEYS), inner, max_size=4)
    ),
    max_leaves=25,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        key: st.one_of(JSON, st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=3))
        for key in ("conditions", "weights", "task_weights", "tests", "comment")
    },
)


@given(st.one_of(JSON, NEARLY))
@bounds(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
def test_any_json_is_a_rule_set_or_refused_with_path_and_remedy(document: Any) -> None:
    faults = []
    with contextlib.suppress(RuleSetInvalid):
        try:
            parse_rule_set(document, Catalogue(()))
        except RuleSetInvalid as error:
            faults = [*error.issues]
            raise
    for fault in faults:
        assert fault.path.startswith("$")
        assert fault.reason
        assert fault.remedy


@pytest.mark.parametrize("depth", [19, 20, 21, 1_000, 100_000])
def test_conditions_nested_beyond_the_bound_are_refused_however_deep(depth: int) -> None:
    condition: Any = {"operator": "gt", "field": "task.priority", "value": 1}
    for _ in range(depth):
        condition = {"operator": "not", "condition": condition}
    if depth < 20:
        parse_rule_set({"conditions": [condition]}, Catalogue(()))
        return
    with pytest.raises(RuleSetInvalid, match="deep"):
        parse_rule_set({"conditions": [condition]}, Catalogue(()))
    while (
        isinstance(condition, dict) and "condition" in condition
    ):  # taken apart by hand: freeing it recurses too
        condition = condition.pop("condition")
