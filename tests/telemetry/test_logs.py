"""Logs and traces: one request's id from its answer to the decision, nothing private, one trace to the end."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import SilentDoorbell
from app.engine.types import PoolId
from app.telemetry import tracing
from app.telemetry.logs import mask
from app.worker import Worker
from benchmarks.chaos.external import external_system
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool
from tests.lifecycle.conftest import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 2)
    return pool_id


async def test_the_workers_log_names_the_requests_behind_a_batch(
    settings: Settings, database: Database, pool_id: PoolId, tmp_path: Path
):
    async with client_of(settings) as client:
        await client.post("/v1/tasks", json={}, headers={"X-Request-ID": "from-a-client"})
        batch = {"tasks": [{}, {}]}
        answer = await client.post("/v1/tasks/batch", json=batch)
    written = tmp_path / "worker.log"
    environment = {"DATABASE_URL": settings.database_url, "METRICS_PORT": "0", "LOG_FORMAT": "json"}
    with (
        written.open("wb") as file,
        subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "app/worker.py"], cwd=ROOT, env=os.environ | environment, stderr=file
        ) as worker,
    ):
        try:
            await until(lambda: says(written, "assignment.committed"))
        finally:
            worker.terminate()
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    [committed] = [line for line in lines if line["event"] == "assignment.committed"]
    assert committed["requests"] == ["from-a-client", answer.headers["x-request-id"]]
    assert committed["assigned"] == 3 and committed["level"] == "info" and committed["timestamp"]


async def says(file: Path, words: str) -> bool:
    return words in file.read_text()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "hunter2"),
        ("metrics_token", "hunter2"),
        ("parameters", {"phone": "hunter2"}),
        ("error", "cannot reach postgresql://balancer:hunter2@db:5432/x"),
        ("error", "duplicate key\nDETAIL:  Key (name)=(hunter2) already exists."),
        ("path", "Authorization: Bearer hunter2-and-more"),
        ("line", "token eyJhbGciOi.eyJzdWIhunter2.c2ln was refused"),
        ("line", "key ebk_hunter2"),
    ],
)
def test_nothing_private_is_logged(field: str, value: object):
    event = mask(None, "info", {"event": "something", field: value})
    assert "hunter2" not in json.dumps(event)
    assert event["event"] == "something"


def test_what_is_not_private_stays():
    event = {"event": "assignment.committed", "pool": 1, "error": "TimeoutError", "url": "http://ais:8090/x"}
    assert mask(None, "info", dict(event)) == event


def test_the_json_log_masks_exceptions_too():
    code = """
import structlog
from app.config import Settings
from app.telemetry.logs import configure_logging
configure_logging(Settings(_env_file=None, log_format="json"))
try:
    raise ValueError("postgresql://balancer:hunter2@db")
except ValueError:
    structlog.get_logger().exception("it.failed")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert "Traceback" in line["exception"] and "hunter2" not in done.stderr


async def test_one_trace_leads_from_the_request_to_the_delivery(
    settings: Settings, database: Database, pool_id: PoolId
):
    spans = InMemorySpanExporter()
    tracing.start_tracing("test", spans)
    try:
        with external_system(seed=1) as external:
            there = settings.model_copy(
                update={"redis_url": None, "ais_url": external.url, "ais_sync_seconds": 0}
            )
            async with client_of(there) as client:
                answer = await client.post("/v1/tasks", json={})
            worker = Worker(there, database, SilentDoorbell())
            running = asyncio.create_task(worker.run())
            await until(lambda: finished(spans, "deliver"))
            worker.stop()
            await running
    finally:
        tracing.stop_tracing()
    by_name = {span.name: span for span in spans.get_finished_spans()}
    request, assign, deliver = by_name["request"], by_name["assign"], by_name["deliver"]
    assert request.attributes["request_id"] == answer.headers["x-request-id"]
    for later in (assign, deliver):
        assert later.context.trace_id == request.context.trace_id
        assert later.parent.span_id == request.context.span_id
    assert assign.attributes["pool"] == pool_id
    assert deliver.attributes["destination"] == "ais"


async def finished(spans: InMemorySpanExporter, name: str) -> bool:
    return any(span.name == name for span in spans.get_finished_spans())


def test_tracing_is_imported_only_where_it_is_wanted():
    code = "import app.telemetry.tracing, sys; sys.exit('opentelemetry' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
