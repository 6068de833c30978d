"""Logs are events with fields: JSON for machines, colours in a terminal. No values of parameters, no secrets.

Personal data and secrets are masked on the way out: fields by their name, addresses with
passwords, tokens, and the details in which PostgreSQL quotes rows.
"""

import logging
import re
import sys

import structlog

from app.config import Settings

_MASK = "***"
_PRIVATE_FIELDS = re.compile(
    r"(?i)password|passwd|secret|token|authorization|api_?key|cookie|credential|parameters|payload|phone|email"
)
_PRIVATE_TEXT = (
    (re.compile(r"(://[^:/@\s]*):[^@/\s]+@"), rf"\1:{_MASK}@"),  # an address with a password
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), _MASK),  # a signed token
    (re.compile(r"\bebk_\S+"), _MASK),  # an API key of ours
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    # PostgreSQL quotes rows there, also over several lines: up to what SQLAlchemy, or a traceback, says next.
    (
        re.compile(
            r"(DETAIL|CONTEXT):.*?(?=\n\[SQL: |\n\(Background|\n\n|\nTraceback |\n(?:HINT|DETAIL|CONTEXT):|\Z)",
            re.DOTALL,
        ),
        rf"\1: {_MASK}",
    ),
    (re.compile(r"(invalid (?:input|byte|value)[^\n:]*: )[^\n]*"), rf"\1{_MASK}"),  # and values there
    (re.compile(r"(\[parameters: )[^\n]*"), rf"\1{_MASK}"),
)


def mask(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hide what must not be read in a log; a processor."""
    for key, value in event.items():
        if _PRIVATE_FIELDS.search(key):
            event[key] = _MASK
        elif isinstance(value, str):
            event[key] = mask_text(value)
    return event


def mask_text(text: str) -> str:
    """The same text without passwords, tokens and quoted rows."""
    for pattern, instead in _PRIVATE_TEXT:
        text = pattern.sub(instead, text)
    return text


def is_json(settings: Settings) -> bool:
    """Whether events are written as JSON: always, but for a terminal."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


def configure_logging(settings: Settings) -> None:
    """Send structlog's and the standard library's events to standard error in one form."""
    in_terminal = not is_json(settings)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, mask, structlog.dev.ConsoleRenderer()]
        if in_terminal
        else [
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # A line that cannot be written is lost: the library would print it whole, before it is masked.
    logging.raiseExceptions = False
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Our middleware logs each request (app/api/edge/access_log.py); uvicorn's own line costs a twelfth of a small one.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(
        logging.WARNING
    )  # a line for each delivery says nothing that metrics do not
