"""Refuses riddles: docstrings and comments that open with a question word or call a process, row or request a person.

`python scripts/plain_words.py [FILE ...]` lists every such sentence of the product, or of these files, and exits with
1 if there is one. A sentence names the thing: "Load report of a worker", not "What a worker says of itself"; "another
worker holds the lock", not "somebody else has the pool". The list is small on purpose: that the rest is plain is for
readers.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("app", "streamlit_app", "ais_emulator")
OPENING = re.compile(r"(What|Whoever|Who|Whose|Whom|Nobody|Somebody|Everybody|Whatever)\b")
"""Words that no docstring and no comment begins with."""
INSIDE = re.compile(r"\b(whoever|whomever|somebody else|nobody else)\b", re.IGNORECASE)
"""Words for a process, a row or a request that has a name of its own."""


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings and comments of a file, each with its line. Raises SyntaxError for a file that is not Python."""
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.lineno, str(statement.value.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            yield token.start[0], token.string.lstrip("#: ")


def riddles(path: Path) -> Iterator[tuple[int, str]]:
    """The sentences of a file that must be said plainly, each with its line."""
    for line, text in sentences(path):
        if OPENING.match(text.strip()):
            yield line, text.strip().splitlines()[0]
        elif found := INSIDE.search(text):
            yield (
                line + text[: found.start()].count("\n"),
                text[text.rfind("\n", 0, found.start()) + 1 :].strip().splitlines()[0],
            )


def main(arguments: list[str]) -> int:
    """List the riddles of these files, or of the product; return the exit code."""
    paths = [Path(name) for name in arguments] or sorted(
        path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")
    )
    found = [(path, line, text) for path in paths for line, text in riddles(path)]
    for path, line, text in found:
        sys.stdout.write(f"{path.relative_to(ROOT) if path.is_absolute() else path}:{line}: {text}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
