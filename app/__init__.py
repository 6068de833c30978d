"""Executor Balancer: decides who does the next piece of work."""

import sys

__version__ = "0.1.0"

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts a plain checkout may have any Python
    sys.exit(
        "Executor Balancer needs Python 3.11 or later, this is "
        + sys.version.split()[0]
        + ": make the environment anew, for instance python3.12 -m venv venv"
    )
