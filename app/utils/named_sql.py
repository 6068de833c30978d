"""SQL with parameters by name, numbered for the driver when the module is imported.

PostgreSQL and asyncpg know parameters by number only. A statement of forty of them can be neither read nor changed
safely, so it is written with names (`:task_ids`), as in SQLAlchemy's `text` and in psql.
"""

import re
from typing import Any

_NAME = re.compile(r"(?<![:\w]):([a-z][a-z_]*)\b")
"""`:name`; not a cast (`::text`) and not the bounds of a slice (`[1:2]`)."""


class Statement:
    """A statement written with names; `sql` is what the driver takes, numbered in the order in which names come first.

    `connection.fetch(*STATEMENT(pool_id=1, task_ids=[2]))` executes it.
    """

    __slots__ = ("names", "source", "sql")

    def __init__(self, source: str) -> None:
        self.source = source
        self.names = tuple(dict.fromkeys(_NAME.findall(source)))
        numbers = {name: number for number, name in enumerate(self.names, 1)}
        self.sql = _NAME.sub(lambda found: f"${numbers[found[1]]}", source)

    def __call__(self, **given: object) -> list[Any]:
        """The SQL and its arguments in order. Raises TypeError where one is missing or the statement has none such."""
        if given.keys() != set(self.names):
            odd = ", ".join(sorted(given.keys() ^ set(self.names)))
            raise TypeError(f"not the parameters of the statement: {odd}")
        return [self.sql, *(given[name] for name in self.names)]

    def replace(self, old: str, new: str) -> "Statement":
        """The statement with a part of its source replaced. Raises ValueError where there is no such part."""
        if old not in self.source:
            raise ValueError(f"the statement has no {old!r}")
        return Statement(self.source.replace(old, new))
