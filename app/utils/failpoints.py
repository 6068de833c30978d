"""Named points at which a test may make the process fail; a no-op unless the environment arms one.

`FAILPOINTS="after_commit=exit,decided=sleep:2,locked=stop@3"`: at the point's third passing (`@3`, default first) the
process exits at once (`exit`), raises (`raise`), sleeps so many seconds, or stops itself (`stop`, SIGSTOP). With `@*`
it happens at every passing.
"""

import os
import signal
import time
from collections import Counter


class FailpointReached(RuntimeError):
    """Raised at an armed point whose action is `raise`."""


_armed: dict[str, tuple[str, int]] = {}
_passed: Counter[str] = Counter()


def arm(points: str) -> None:
    """Arm these points and no others; all are passed for the first time again."""
    _armed.clear()
    _passed.clear()
    for entry in filter(None, points.split(",")):
        name, _, action = entry.partition("=")
        action, _, passing = action.partition("@")
        _armed[name.strip()] = (action.strip(), 0 if passing == "*" else int(passing or 1))


def failpoint(name: str) -> None:
    """Fail here if this point is armed."""
    if _armed:
        _reached(name)


def _reached(name: str) -> None:
    action, passing = _armed.get(name, ("", 0))
    _passed[name] += 1
    if not action or passing not in {0, _passed[name]}:
        return
    if action == "exit":
        os._exit(70)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        raise FailpointReached(name)


arm(os.environ.get("FAILPOINTS", ""))
