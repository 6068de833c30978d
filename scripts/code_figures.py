"""Prints the figures of the code that ARCHITECTURE.md quotes: `python scripts/code_figures.py`.

Logical lines are statements of the syntax tree without docstrings, so that neither comments nor the wrapping of a line
counts. An import counts wherever it stands: at the top, inside a function, or under TYPE_CHECKING.
"""

import ast
import io
import statistics
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("app", "streamlit_app", "ais_emulator")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    """The Python files of these folders, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def logical_lines(tree: ast.AST) -> int:
    """Statements of a syntax tree, docstrings left out."""
    return sum(isinstance(node, ast.stmt) and not _is_text(node) for node in ast.walk(tree))


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def comment_lines(text: str) -> int:
    """Lines that hold a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def functions(trees: Mapping[Path, ast.AST]) -> list[Function]:
    """All functions and methods, nested ones included."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, kinds)]


def module_of(path: Path) -> str:
    """The dotted name of a file: `app/engine/types.py` is `app.engine.types`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(trees: Mapping[Path, ast.AST]) -> dict[str, set[str]]:
    """For each module of `app`, the modules of `app` that it imports."""
    names = {module_of(path) for path in trees}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for target in _targets(node, names):
                if target != module_of(path):
                    graph[module_of(path)].add(target)
    return graph


def _targets(node: ast.AST, names: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            if whole in names:
                yield whole
            elif node.module in names:
                yield node.module


def late_imports(trees: Mapping[Path, ast.AST]) -> tuple[int, int]:
    """How many imports stand inside functions, and how many under TYPE_CHECKING."""
    inside = sum(
        isinstance(node, ast.Import | ast.ImportFrom)
        for function in functions(trees)
        for node in ast.walk(function)
    )
    checking = sum(
        isinstance(inner, ast.Import | ast.ImportFrom)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in node.body
    )
    return inside, checking


def package_of(module: str) -> str:
    """The room of a module: its folder; each loose file of `app` (main, config, ...) is a room of its own."""
    folder = module.rpartition(".")[0]
    return module if folder in {"", "app"} else folder


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of imports, or nothing where there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def between_packages(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same arrows between rooms; arrows within a room are left out."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for source, targets in graph.items():
        rooms[package_of(source)] |= {package_of(target) for target in targets}
    return {room: targets - {room} for room, targets in rooms.items()}


def depth(graph: Mapping[str, set[str]]) -> int:
    """The longest chain of imports; the graph must have no cycle."""

    @cache
    def below(module: str) -> int:
        return 1 + max((below(target) for target in graph.get(module, ())), default=0)

    return max(map(below, graph))


def figures() -> list[tuple[str, str]]:
    """Every figure as (name, value)."""
    texts = {path: path.read_text() for path in sources(*PRODUCT)}
    trees: dict[Path, ast.AST] = {path: ast.parse(text) for path, text in texts.items()}
    application = {path: tree for path, tree in trees.items() if path.is_relative_to(ROOT / "app")}
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions(trees)]
    public = [node for node in functions(trees) if not node.name.startswith("_")]
    lines = sum(len(text.splitlines()) for text in texts.values())
    tests = sum(len(path.read_text().splitlines()) for path in sources("tests"))
    files = Counter(path.parent for path in texts if path.name != "__init__.py")
    fullest, most = files.most_common(1)[0]
    graph = imports(application)
    inside, checking = late_imports(application)
    found = cycle(graph)
    return [
        ("files", f"{len(texts)}"),
        ("lines", f"{lines:,}"),
        ("logical lines", f"{sum(map(logical_lines, trees.values())):,}"),
        ("longest file, lines", f"{max(len(text.splitlines()) for text in texts.values())}"),
        ("fullest folder, files", f"{most} ({fullest.relative_to(ROOT)})"),
        (
            "function, lines: median / 90th percentile",
            f"{statistics.median(lengths):.0f} / {statistics.quantiles(lengths, n=10)[-1]:.0f}",
        ),
        (
            "public functions with a docstring",
            f"{sum(ast.get_docstring(node) is not None for node in public) / len(public):.0%}",
        ),
        ("comments per 100 lines", f"{100 * sum(map(comment_lines, texts.values())) / lines:.1f}"),
        ("cycles of modules in app", "0" if not found else " -> ".join(found)),
        (
            "cycles of rooms in app",
            "0" if not (rooms := cycle(between_packages(graph))) else " -> ".join(rooms),
        ),
        ("import depth of app", "-" if found else f"{depth(graph)}"),
        ("imports inside functions / under TYPE_CHECKING", f"{inside} / {checking}"),
        ("lines of tests / lines of product", f"{tests / lines:.2f}"),
    ]


if __name__ == "__main__":
    for name, value in figures():
        sys.stdout.write(f"| {name} | {value} |\n")
