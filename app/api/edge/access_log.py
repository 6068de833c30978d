"""One line for each answered request: method, route, status, seconds, caller, address, request id.

The event is `request.answered`, at info. Lines are gathered and written together ten times a second: a logger's call
for each request would cost more than the guard. Successful looks at health and metrics are left out.
"""

import asyncio
import atexit
import contextlib
import json
import sys
from datetime import UTC, datetime
from typing import Any

from starlette.types import Scope

_EVERY_SECONDS = 0.1
_MOST_GATHERED = 1_000
_QUIET = ("/v1/health", "/metrics")
_LONGEST = 200
_OK = 400


def described(scope: Scope) -> dict[str, Any]:
    """Which route, caller and address a request has; the path is escaped and bounded, the query is left out."""
    route, caller = scope.get("route"), scope.get("caller")
    client = scope.get("client")
    return {
        "method": str(scope["method"])[:20],
        "route": route.path if route else "none",
        "path": scope["path"][:_LONGEST].encode("unicode_escape").decode(),
        "caller": caller.name if caller else "unknown",
        "address": (caller.address if caller else None) or (client[0] if client else None),
    }


class AccessLog:
    """Gathers lines and writes them to standard error; one for a process."""

    def __init__(self, *, in_json: bool) -> None:
        self._in_json = in_json
        self._lines: list[str] = []
        self._is_due = False
        atexit.register(self.write)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Gather the line of a request that is being answered."""
        if status < _OK and scope["path"].startswith(_QUIET):
            return
        self._lines.append(self._line(scope, status, seconds))
        if len(self._lines) >= _MOST_GATHERED:
            self.write()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_EVERY_SECONDS, self.write)

    def write(self) -> None:
        """Write what was gathered."""
        self._is_due = False
        lines, self._lines = self._lines, []
        with contextlib.suppress(
            OSError, ValueError
        ):  # a pipe that is gone must not end the process's other work
            sys.stderr.write("".join(lines))
            sys.stderr.flush()

    def _line(self, scope: Scope, status: int, seconds: float) -> str:
        said = described(scope) | {
            "status": status,
            "seconds": round(seconds, 6),
            "request_id": scope.get("request_id"),
        }
        at = datetime.now(UTC).isoformat()
        if self._in_json:
            head = {"event": "request.answered", "level": "info", "timestamp": at}
            return json.dumps(head | said, ensure_ascii=False) + "\n"
        return (
            f"{at} [info] request.answered "
            + " ".join(f"{key}={json.dumps(value)}" for key, value in said.items())
            + "\n"
        )
