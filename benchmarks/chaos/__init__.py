"""Faults on purpose, and what is lost by them: nothing. `make chaos` runs the full forms; `make test` the short ones.

Each module here is one fault with one coroutine, `run(stage, *, seed, **sizes) -> Report`, the sizes `SHORT` and
`FULL`, and `DEFECT`: a one-line change of the product (`benchmarks.chaos.planted`) under which the very same fault must
turn red, for a fault test that cannot fail proves nothing. `python -m benchmarks.chaos --planted` shows that it does.

    python -m benchmarks.chaos [--short] [--planted] [--seed N] [NAMES]

Worker and API processes are forked from one that has loaded everything (`zygote`), so that hundreds of kills take
minutes; networks are broken by an asyncio proxy (`proxy`). Every choice comes from the printed seed.
"""

import importlib
from types import ModuleType

FAULTS = (
    "kills",
    "steps",
    "lost_answers",
    "zombie",
    "duplicates",
    "no_redis",
    "restarts",
    "network",
    "last_place",
    "intake_once",
    "rolling",
    "delivery",
    "poison",
    "mixed",
    "every_statement",
)


def faults() -> dict[str, ModuleType]:
    """All faults by name, in the order of RELIABILITY's numbers."""
    return {name: importlib.import_module(f"benchmarks.chaos.{name}") for name in FAULTS}
