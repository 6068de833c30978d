"""Where work comes from: the id of the request that brought a task, and, where tracing is on, its trace.

Each task carries its *origin*, `REQUEST_ID` or `REQUEST_ID TRACEPARENT` (W3C), so that the worker and the courier, in
other processes and later, log the same id and go on with the same trace. Traces need the extra `tracing`; without
TRACING every function here does next to nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

ORIGIN: ContextVar[str | None] = ContextVar("origin", default=None)
"""The origin of what is being done now; set for each request."""
MOST_FOLLOWED = 100
"""Traces that one batch goes on with; a batch of thousands says where the others went in its log alone."""

_tracer: "Tracer | None" = None


def start_tracing(process: str, exporter: "SpanExporter | None" = None) -> None:
    """Begin to trace, to an exporter or to OTEL_EXPORTER_OTLP_ENDPOINT. Raises ImportError without the extra."""
    global _tracer  # noqa: PLW0603 - one for the process, as OpenTelemetry has it
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": f"executor-balancer-{process}"}))
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _tracer = provider.get_tracer("executor-balancer")


def stop_tracing() -> None:
    """Trace no more."""
    global _tracer  # noqa: PLW0603
    _tracer = None


@contextmanager
def request_span(request_id: str, method: str) -> Iterator[Any]:
    """All that a request does; sets the origin of the tasks it brings. Gives the span, None where nothing is traced."""
    if _tracer is None:
        token = ORIGIN.set(request_id)
        try:
            yield None
        finally:
            ORIGIN.reset(token)
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    with _tracer.start_as_current_span(
        "request", attributes={"request_id": request_id, "method": method}
    ) as span:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        token = ORIGIN.set(f"{request_id} {carrier['traceparent']}")
        try:
            yield span
        finally:
            ORIGIN.reset(token)


def request_ids(origins: Iterable[str | None], most: int = 10) -> list[str]:
    """The requests behind these origins, each once, in their order; the first few."""
    ids = dict.fromkeys(origin.partition(" ")[0] for origin in origins if origin)
    return list(ids)[:most]


def follow(
    name: str, origins: Iterable[str | None], *, seconds: float = 0.0, **attributes: str | int
) -> None:
    """Say in each trace that these tasks came from what was done with them, and that it took so long until now."""
    if _tracer is None:
        return
    import time

    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    now = time.time_ns()
    parents = dict.fromkeys(origin.partition(" ")[2] for origin in origins if origin)
    for parent in [each for each in parents if each][:MOST_FOLLOWED]:
        context = TraceContextTextMapPropagator().extract({"traceparent": parent})
        span = _tracer.start_span(
            name, context=context, attributes=attributes, start_time=now - int(seconds * 1e9)
        )
        span.end(now)
