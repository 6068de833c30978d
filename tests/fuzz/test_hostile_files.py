"""Files that mean harm: tables and event logs that would fill the memory, never end, or break the parser.

Each is refused in words that name the file and the remedy, or read; nothing else ever comes out, in bounded memory.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings as bounds, strategies as st

from app.errors import Invalid, TooLarge
from app.eventlog import EventLogError, read_event_log
from app.services.executors.spreadsheets import read_table
from tests.access.conftest import House
from tests.conftest import Figure
from tests.fuzz.hostile import LARGE, LOGS, MAKERS, a_good_book

ROOT = Path(__file__).resolve().parents[2]
LONG = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = 20 * int(os.environ["FUZZ_EXAMPLES"]) if LONG else 150
MOST_MB = {"table": 400, "log": 1500}
"""What reading may add to a process: a table's bound is 5 MB packed, a log's 512 MB."""
XES = b"""<?xml version="1.0" encoding="UTF-8"?><log><trace><string key="concept:name" value="1"/><event>
<string key="concept:name" value="check"/><string key="org:resource" value="Anna"/>
<date key="time:timestamp" value="2026-03-02T09:20:00+03:00"/></event></trace></log>"""
LOG = b"case,activity,resource,time,weight\n1,check,Anna,2026-03-02 09:00,2\n2,send,Boris,2026-03-02T10:00:00Z,1\n"
BOOK = a_good_book()
TABLE = "external_id;name;daily_limit;grade\nE-1;Анна;20;3,5\nE-2;Борис;;\n".encode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "log"])
def test_no_file_breaks_the_reader_or_fills_the_memory(tmp_path: Path, kind: str, figure: Figure) -> None:
    makers = {"table": MAKERS, "log": LOGS}[kind]
    for name, make in makers.items():
        if LONG or name not in LARGE:
            (tmp_path / name).write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.victim", kind, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["file"] for each in told} == {path.name for path in tmp_path.iterdir()}, done.stderr
    assert [each for each in told if each["became"] not in {"refused", "read"}] == []
    grown = max(each["peak_mb"] for each in told) - told[0]["start_mb"]
    figure(f"hostile {kind}s refused or read", len(told))
    figure(f"memory that hostile {kind}s cost, MB", grown)
    figure(f"seconds that a hostile {kind} took", max(each["seconds"] for each in told))
    assert grown < MOST_MB[kind]


def mutations(good: bytes) -> st.SearchStrategy[bytes]:
    """The file with bytes changed, cut out and put in."""
    place = st.integers(0, len(good))
    return st.lists(st.tuples(place, st.integers(0, 30), st.binary(max_size=30)), max_size=8).map(
        lambda cuts: _cut(good, cuts)
    )


def _cut(good: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, instead in cuts:
        good = good[:place] + instead + good[place + length :]
    return good


@given(st.one_of(mutations(BOOK), mutations(TABLE), st.binary(max_size=300)))
@example(b"\x0b")
@example(b" \n")
@bounds(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
def test_a_damaged_table_is_read_or_refused_in_words(content: bytes) -> None:
    with contextlib.suppress(Invalid, TooLarge):
        table = read_table(content)
        assert table.columns


@given(st.one_of(mutations(XES), mutations(LOG), st.binary(max_size=300)))
@bounds(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
def test_a_damaged_log_is_read_or_refused_in_words(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(EventLogError):
        path = Path(folder) / "log"
        path.write_bytes(content)
        read_event_log(path)


CELLS = (
    "nan", "inf", "-inf", "1e400", "-1e400", "1e308", "9" * 400, "0x10", "1_000", "=1+1", "@SUM(A1)",
    "+cmd|' /C calc'!A0", "-2+3", "\t=1", "'; DROP TABLE executors; --", "\u202e", "\ufeff", "\U0001f600" * 100,
    "x" * 9_999, "\x01", "\x7f", "null", "true", "[1]", '{"a": 1}', "1|2|3", "|" * 100, "01.02.2026",
)  # fmt: skip


@pytest.mark.slow
async def test_no_cell_makes_the_import_fail_or_leaves_half_of_it(house: House, figure: Figure) -> None:
    admin, pool_id = await house.as_role("admin"), house.mine.pool_id
    for kind in ("number", "boolean", "datetime", "enum", "list", "string"):
        options = {"options": [{"value": "a"}]} if kind == "enum" else {}
        body = {"pool_id": pool_id, "owner": "executor", "key": f"a_{kind}", "type": kind} | options
        made = await house.client.post("/v1/parameters", json=body, headers=admin)
        assert made.status_code == 201, made.text
    columns = [*(f"a_{kind}" for kind in ("number", "boolean", "datetime", "enum", "list", "string"))]
    columns += [
        "daily_limit",
        "max_open",
        "qualification",
        "active",
        "name",
        "external_id",
        "unknown",
        "=new",
        "x" * 300,
    ]
    answers: dict[int, int] = {}
    for column in columns:
        for cell in CELLS:
            answer = await send(house, admin, column, cell)
            assert answer.status_code in {200, 413, 422}, f"{column} {cell[:30]!r}: {answer.text[:300]}"
            if answer.status_code == 422:
                problem = answer.json()
                assert problem["errors"][0]["field"] and problem["errors"][0]["reason"], problem
            answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
    assert {200, 422} <= answers.keys()
    figure("cells imported over HTTP without a server error", sum(answers.values()))
    listed = await house.client.get(
        "/v1/executors", params={"pool_id": pool_id, "limit": 1000}, headers=admin
    )
    assert listed.status_code == 200


async def send(house: House, headers: dict[str, str], column: str, cell: str) -> httpx.Response:
    row = {"external_id": "E-1", "name": "Anna"} | {column: cell}
    text = io.StringIO()
    text.write(";".join(f'"{key}"' for key in row) + "\n")
    text.write(";".join('"{}"'.format(value.replace('"', '""')) for value in row.values()) + "\n")
    return await house.client.post(
        "/v1/executors/import",
        params={"pool_id": house.mine.pool_id},
        files={"file": ("people.csv", text.getvalue().encode())},
        headers=headers,
    )
