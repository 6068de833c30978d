"""Named points at which a test may make the process fail; a no-op unless the environment arms one.

`FAILPOINTS="after_commit=exit,decided=sleep:2,locked=stop@3"`: at the point's third passing (`@3`, default first) the
process exits at once (`exit`), raises (`raise`), sleeps so many seconds, or stops itself (`stop`, SIGSTOP).
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable


class FailpointReached(RuntimeError):
    """Raised at an armed point whose action is `raise`."""


def _parse(armed: str) -> dict[str, tuple[str, int]]:
    points = {}
    for entry in filter(None, armed.split(",")):
        name, _, action = entry.partition("=")
        action, _, passing = action.partition("@")
        points[name.strip()] = (action.strip(), int(passing or 1))
    return points


_ARMED = _parse(os.environ.get("FAILPOINTS", ""))
_passed: Counter[str] = Counter()


def _reached(name: str) -> None:
    action, passing = _ARMED.get(name, ("", 0))
    _passed[name] += 1
    if not action or _passed[name] != passing:
        return
    if action == "exit":
        os._exit(70)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
    else:
        raise FailpointReached(name)


def _ignore(name: str) -> None:
    """Nothing is armed."""


failpoint: Callable[[str], None] = _reached if _ARMED else _ignore
