"""Every sentence with which the API can refuse, read out of its source: `{}` stands where something is filled in."""

import ast
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from app import errors

APP = Path(__file__).parents[2] / "app"
NOT_SERVED = {
    "commands",
    "cli.py",
    "embedded",
    "demo",
    "replay",
    "eventlog",
    "config.py",
    "doctor.py",
    "audit_anchors.py",
}
"""What only speaks to a terminal."""
BY_ANOTHER_TEST = {"checks.py", "parsing.py", "examples.py", "faults.py", "findings.py", "document.py"}
"""The rule checker's own sentences: test_rule_remarks."""
OF_NO_REQUEST = {"fair.py", "trail.py"}
"""What tells a programmer that the engine was called wrongly."""
TOLD_BY_RETURNS = {"health.py", "audit_log.py"}
"""What these return in words stands on the system's page."""
MADE_OF_ERRORS = re.compile(r"[\w.{}]+: (.*; \{\}\.?|\{\}: \{\})")
"""A detail that repeats the first of its errors: pages show the errors."""
TOLD = {"reason", "remedy", "detail", "why"}
_ERRORS = {
    name
    for name, each in vars(errors).items()
    if inspect.isclass(each) and issubclass(each, errors.DomainError)
}


@lru_cache(maxsize=1)
def sentences() -> dict[str, str]:
    """Each sentence, and the file that says it."""
    found: dict[str, str] = {}
    for path in sorted(APP.rglob("*.py")):
        if (
            not NOT_SERVED & set(path.relative_to(APP).parts)
            and path.name not in BY_ANOTHER_TEST | OF_NO_REQUEST
        ):
            file = _File(ast.parse(path.read_text()))
            said = [*file.sentences(), *(file.returns() if path.name in TOLD_BY_RETURNS else ())]
            for sentence in said:
                words = any(letter.isalpha() for letter in sentence.replace("{}", ""))
                if words and not MADE_OF_ERRORS.fullmatch(sentence):
                    found.setdefault(sentence, str(path.relative_to(APP)))
    return found


class _File:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._functions = {
            each.name: [argument.arg for argument in each.args.args]
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self._returned = {
            each.name: [
                node.value
                for node in ast.walk(each)
                if isinstance(node, ast.Return) and node.value is not None
            ]
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self._names: dict[str, list[ast.expr]] = {}
        for each in ast.walk(tree):
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                self._names.setdefault(each.targets[0].id, []).append(each.value)

    def sentences(self) -> Iterator[str]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                for told in self._told(node):
                    yield from self._said(told)
            elif isinstance(node, ast.For) and ast.unparse(node.target).startswith("(reason, "):
                yield from self._said(node.iter)
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in TOLD:
                yield from self._said(node.value)

    def returns(self) -> Iterator[str]:
        """What functions of this file return in words."""
        for values in self._returned.values():
            yield from (text for value in values for text in self._said(value) if " " in text)

    def _told(self, call: ast.Call) -> list[ast.expr]:
        """The arguments of a call that people read."""
        name = ast.unparse(call.func).rpartition(".")[2]
        named = [each.value for each in call.keywords if each.arg in TOLD]
        if name in _ERRORS or name in {"ValueError", "__init__"}:
            return call.args[:1] + named
        if name in {"FieldError", "WrongValue"}:
            return call.args[1:] + named
        if name == "HTTPException":
            return call.args[1:] + named
        parameters = self._functions.get(name, [])
        return [
            each for each, parameter in zip(call.args, parameters, strict=False) if parameter in TOLD
        ] + named

    def _said(self, node: ast.expr) -> list[str]:
        """The sentences that an expression may be."""
        match node:
            case ast.Constant(value=str() as text):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(each) for each in itertools.product(*map(self._part, parts))]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return ["".join(each) for each in itertools.product(self._said(left), self._said(right))]
        return [text for value in self._behind(node) for text in self._said(value)]

    def _behind(self, node: ast.expr) -> Sequence[ast.expr | None]:
        """Where an expression has its sentences from."""
        match node:
            case ast.IfExp(body=body, orelse=other):
                return [body, other]
            case ast.Call(func=ast.Attribute(value=ast.Dict(values=values), attr="get")):
                return values
            case ast.Call(func=ast.Attribute(value=ast.Dict(keys=keys), attr="items")):
                return keys
            case ast.Call(func=ast.Name(id=name)):
                return self._returned.get(name, ())
            case ast.Name(id=name):
                return self._names.get(name, ())
        return ()

    def _part(self, part: ast.expr) -> list[str]:
        if isinstance(part, ast.FormattedValue):
            inner = part.value
            if isinstance(inner, ast.Name | ast.IfExp):
                return [text for text in self._said(inner) if text] or ["{}"]
            return ["{}"]
        assert isinstance(part, ast.Constant)
        return [str(part.value)]
