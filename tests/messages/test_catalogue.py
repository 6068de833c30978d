"""Every sentence that users read stands in the catalogue in Russian, with its parameters."""

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po

from app.messages.catalogue import RUSSIAN
from scripts.make_error_doc import DOCUMENT, error_document
from scripts.messages import KEYWORDS, catalogue, source_files, untranslated

HOW = "run `make messages`, then write the Russian under the empty msgstr of app/messages/ru.po"
ENGLISH = re.compile(
    r"\b(the|an?|is|are|of|not|send|use|with|this|it|or|should|valid|input|must)\b", re.IGNORECASE
)
QUOTED = re.compile(
    r"\{[^{}]*\}|«[^»]*»|\"[^\"]*\"|[A-Z_]{4,}|/v1/\S+|[\w-]+ users list|: (?:false|true)|\bapp/\S+"
)


@pytest.fixture(scope="module")
def made():
    return catalogue()


def test_the_catalogue_says_what_the_code_says(made) -> None:
    with RUSSIAN.open("rb") as source:
        written = {(each.context, each.id) for each in read_po(source)}
    assert written - {(None, "")} == {(each.context, each.id) for each in made} - {(None, "")}, HOW


def test_every_sentence_has_its_russian(made) -> None:
    assert untranslated(made) == [], HOW


def test_no_russian_sentence_is_english(made) -> None:
    wrong = {
        each.id: string
        for each in made
        if each.id
        for string in _strings(each.string)
        if ENGLISH.search(QUOTED.sub("", string))
    }
    assert wrong == {}


def test_russian_fills_in_only_what_the_english_has(made) -> None:
    for each in made:
        if each.id and not each.context and "{" in str(each.id):
            given = {name for template in _strings(each.id) for name in _places(template)} | {"count"}
            for string in _strings(each.string):
                assert _places(string) <= given, each.id


def _strings(string: str | tuple[str, ...]) -> tuple[str, ...]:
    return (string,) if isinstance(string, str) else string


def _places(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(_escaped(template)) if name}


def _escaped(template: str) -> str:
    """A template without parameters shows JSON as it is."""
    return (
        template if re.search(r"(?<!\{)\{\w+[!:}]", template) else template.replace("{", "").replace("}", "")
    )


def test_sentences_are_literals_with_all_their_parameters() -> None:
    for path in source_files():
        _check_calls(path)


def _check_calls(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not any(
        isinstance(node, ast.ImportFrom) and node.module == "app.messages.message" for node in tree.body
    ):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
            templates = node.args[: KEYWORDS[node.func.id]]
            where = f"{path}:{node.lineno}"
            assert all(isinstance(each, ast.Constant) for each in templates), f"{where}: not an f-string"
            named = {each.arg for each in node.keywords}
            if None in named or node.func.id == "Template":  # parameters of a mapping, or told later
                continue
            for each in templates:
                assert _places(ast.literal_eval(each)) <= named | {"count"}, where


def test_the_page_of_errors_is_as_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == error_document(), "run `make messages`"
