"""Writes docs/errors.md: each kind of problem, its meaning and remedy in both languages, and what it may say."""

import ast
from collections.abc import Iterator
from pathlib import Path

from app import errors
from app.api.problem_kinds import KINDS, ProblemKind
from app.messages.catalogue import told
from app.messages.message import Message
from scripts.messages import ROOT, source_files

DOCUMENT = ROOT / "docs" / "errors.md"
HEAD = """\
# Errors of the API · Ошибки API

Written by `make messages`; a test holds it in step with the code. `type` of a problem (RFC 9457) leads to the page
`/errors` of the API, which shows the same kinds in the language of `Accept-Language`. `code` is stable; sentences are
not.

`type` ошибки ведёт на страницу `/errors` самого API: там те же виды на языке из `Accept-Language`. `code` постоянен,
тексты — нет.
"""


def error_document() -> str:
    """The page."""
    sentences = _sentences()
    return HEAD + "".join(_entry(kind, sentences.get(kind.code, ())) for kind in KINDS.values())


def _entry(kind: ProblemKind, sentences: list[str] | tuple[()]) -> str:
    lines = [
        f"\n## {kind.code}\n",
        f"{kind.status}, {kind.title} · {told(kind.title, 'ru')}\n",
        f"{kind.meaning} {kind.remedy}\n",
        f"{told(kind.meaning, 'ru')} {told(kind.remedy, 'ru')}\n",
    ]
    if sentences:
        lines.append("| | |\n| --- | --- |\n" + "".join(map(_row, sentences)))
    return "\n".join(lines)


def _row(template: str) -> str:
    return f"| {_cell(template)} | {_cell(told(Message(template, template, {}), 'ru'))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _sentences() -> dict[str, list[str]]:
    """The templates with which each kind is raised, by code."""
    found: dict[str, set[str]] = {}
    for path in source_files():
        for name, template in _raised(path):
            found.setdefault(getattr(errors, name).code, set()).add(template)
    return {code: sorted(each) for code, each in found.items()}


def _raised(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Name(id=name),
                args=[
                    ast.Call(func=ast.Name(id="say" | "say_count"), args=[ast.Constant(value=str(text)), *_]),
                    *_,
                ],
            ) if isinstance(getattr(errors, name, None), type):
                yield name, text


if __name__ == "__main__":
    DOCUMENT.write_text(error_document(), encoding="utf-8")
