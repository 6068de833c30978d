"""Brings the catalogue of messages in line with the code: `make messages`.

Collects every sentence of `say` and `say_count` in app/, what Pydantic says of wrong values, and the words of
app/messages/vocabulary.py; writes them to app/messages/ru.po with the Russian that is there. New ones are written
without it, and named: write the Russian there. What the code no longer says is dropped.
"""

import ast
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from pydantic_core._pydantic_core import list_all_errors

from app.messages.catalogue import RUSSIAN
from app.messages.type_faults import PLURAL
from app.messages.vocabulary import VOCABULARY

ROOT = Path(__file__).resolve().parents[1]
KEYWORDS = {"say": 1, "say_count": 2, "Template": 1}
"""Functions that make messages, and how many of their arguments are templates."""
_OWN_WORDS = {"demo", "replay_report"}
"""Folders whose `say` is another one."""
PYTHON_ONLY = re.compile(
    "attribute|frozen_(field|instance)|needs_python|default_factory|dataclass|named_tuple|ordered_dict|counter|deque"
    "|iter|ellipsis|sentinel|instance_of|subclass_of|callable|argument|complex|fraction|bytes_type|value_error|frozen_dict"
    "|invalid_key"
)
"""Kinds of Pydantic's errors that need an object of Python, and the one whose sentence is ours."""
_HEADER = """\
# Every sentence that users read, in Russian. `make messages` keeps it in line with the code.
msgid ""
msgstr ""
"Language: ru\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=3; plural="
"(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\\n"

"""

Key = tuple[str, str | tuple[str, ...]]
"""The context (empty: none), and the template, or both templates of a sentence with a number."""


def said() -> dict[Key, set[str]]:
    """Every key of the catalogue, with where it is said."""
    found: dict[Key, set[str]] = {}
    for context, template, where in (*_in_code(), *_of_pydantic(), *_of_vocabulary()):
        found.setdefault((context, template), set()).add(where)
    return found


def source_files() -> list[Path]:
    """The files whose sentences are collected."""
    return [each for each in sorted((ROOT / "app").rglob("*.py")) if each.parent.name not in _OWN_WORDS]


def _in_code() -> Iterator[tuple[str, str | tuple[str, ...], str]]:
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
                templates = node.args[: KEYWORDS[node.func.id]]
                if all(isinstance(each, ast.Constant) for each in templates):  # a test refuses all else
                    both = tuple(ast.literal_eval(each) for each in templates)
                    yield "", both if len(both) > 1 else both[0], path.relative_to(ROOT).as_posix()


def _of_pydantic() -> Iterator[tuple[str, str | tuple[str, ...], str]]:
    for error in list_all_errors():
        template = error["message_template_python"]
        if not PYTHON_ONLY.search(error["type"]):
            both = template.replace(PLURAL, ""), template.replace(PLURAL, "s")
            yield "", both if PLURAL in template else template, "pydantic"


def _of_vocabulary() -> Iterator[tuple[str, str | tuple[str, ...], str]]:
    for context, words in VOCABULARY.items():
        for word in words:
            yield context, word, "app/messages/vocabulary.py"


def catalogue() -> Catalog:
    """The catalogue as it should be: all that is said, with the Russian that there is."""
    with RUSSIAN.open("rb") as source:
        known = read_po(source)
    made = Catalog(locale="ru", fuzzy=False)
    for (context, template), where in said().items():
        before = known.get(template if isinstance(template, str) else template[0], context or None)
        made.add(
            template,
            before.string if before is not None and _same_form(before.id, template) else None,
            locations=[(each, 0) for each in sorted(where)],
            context=context or None,
        )
    return made


def _same_form(before: object, template: str | tuple[str, ...]) -> bool:
    return isinstance(before, str) == isinstance(template, str)


def text(made: Catalog) -> str:
    """The catalogue as a file."""
    written = BytesIO()
    write_po(written, made, omit_header=True, sort_output=True, include_lineno=False, width=110)
    return _HEADER + written.getvalue().decode()


def untranslated(made: Catalog) -> list[str]:
    """Templates without their Russian."""
    empty = [each for each in made if each.id and not all(_strings(each.string))]
    return [f"{each.context}: {each.id}" if each.context else str(each.id) for each in empty]


def _strings(string: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (string or "",) if isinstance(string, str | None) else string


def main() -> int:
    """Write the file; 1 where Russian is missing."""
    made = catalogue()
    RUSSIAN.write_text(text(made), encoding="utf-8")
    missing = untranslated(made)
    for each in missing:
        print(f"no Russian yet: {each}")
    if missing:
        print(f"Write it into {RUSSIAN.relative_to(ROOT)}: msgstr under each.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
