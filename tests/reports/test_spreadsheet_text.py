"""What others wrote runs nowhere: no cell of a file that a spreadsheet opens begins a formula, however it is split."""

import csv
import io
import math
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from app.models import ParameterRow
from app.services.executors.roster_import import Imported, _name_of, _named, template
from app.services.executors.spreadsheets import SheetOptions, read_table
from app.utils.spreadsheet_text import csv_text, harmless
from streamlit_app.parts.charts import to_csv
from tests.deploy.compose import ROOT

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
BEGINS = re.compile(rf"[\s\"\0\u200b\ufeff]*[{re.escape(SIGNS)}]")
WRITERS = re.compile(
    r"csv\.writer\(|csv\.DictWriter\(|xlsxwriter\.Workbook\(|import Workbook\b|\.to_csv\(|\.to_excel\("
)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_at_the_beginning_is_text(sign: str) -> None:
    for before in ("", " ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\t", "\r", "\n", '"', " \t "):
        made = harmless(f"{before}{sign}1")
        assert not BEGINS.match(made) and made.replace("'", "") == f"{before}{sign}1", (before, made)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_after_another_programs_separator_is_text(sign: str) -> None:
    for separator in (";", ",", "\t", "\n", "\r\n", "; ", ';"', ';""', ";\u00a0"):
        text = f"Anna{separator}{sign}cmd|' /C calc'!A0"
        assert harmless(text) == text.replace(sign, f"'{sign}", 1), separator


@pytest.mark.parametrize(
    "text", ["", "Анна-Мария", "a=b", "1-2", "x;y", "user@example.com", "'=1", "'+7 999", "№ 5"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@given(
    st.lists(
        st.lists(st.text(st.sampled_from("=＝-;,\t\n\r\"' a1"), max_size=12), min_size=3, max_size=3),
        min_size=1,
    )
)
def test_no_program_finds_a_formula_whatever_separator_it_takes(rows: list[list[str]]) -> None:
    safe = [["1", *map(harmless, row), "z"] for row in rows]
    assert [[harmless(cell) for cell in row] for row in safe] == safe, "twice is once"
    for written in ",;":
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=written).writerows(safe)
        for read in ",;\t":
            found = csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=read)
            assert not [cell for row in found for cell in row if BEGINS.match(cell)]


def test_every_writer_of_such_files_uses_it() -> None:
    folders = ("app", "streamlit_app", "ais_emulator", "scripts", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    writers = {
        path.relative_to(ROOT).as_posix(): text for path in files if WRITERS.search(text := path.read_text())
    }
    assert len(writers) >= 3
    assert [name for name, text in writers.items() if "harmless(" not in text] == []
    assert [name for name, text in writers.items() if "csv." in text] == ["app/utils/spreadsheet_text.py"]


def test_the_dashboards_csv_is_harmless_in_headings_and_cells() -> None:
    text = to_csv({"＝a": ["＠b", "c;=d"], "n": [1.5, -2]}).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))
    assert rows == [["'＝a", "n"], ["'＠b", "1,5"], ["c;'=d", "-2"]]


AT = datetime(2026, 5, 4, 10, tzinfo=ZoneInfo("Europe/Moscow"))


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("ru", "\ufeffИмя;n\r\nАнна;1,5;2026-05-04;2026-05-04 10:00:00;7;;1234567,125\r\n"),
        ("en", "\ufeffИмя,n\r\nАнна,1.5,2026-05-04,2026-05-04 10:00:00,7,,1234567.125\r\n"),
        (None, "Имя,n\r\nАнна,1.5,2026-05-04,2026-05-04T10:00:00+03:00,7,,1234567.125\r\n"),
    ],
)
def test_pitfall_25_a_file_is_written_as_the_spreadsheet_of_its_language_reads_it(
    language: Any, line: str
) -> None:
    assert csv_text([["Имя", "n"], ["Анна", 1.5, AT.date(), AT, 7, None, 1234567.125]], language) == line
    assert csv_text([["Анна"]], language, begins=False) == "Анна\r\n"


def test_numbers_have_no_exponent_and_what_is_none_is_empty() -> None:
    assert csv_text([[1e15, 1e-9, -0.5, math.nan, math.inf]], "ru") == "\ufeff1000000000000000;0;-0,5;;\r\n"


@pytest.mark.parametrize("language", ["ru", "en", None])
def test_the_template_of_an_import_is_read_back_in_every_language(language: Any) -> None:
    asked = [
        ParameterRow(key="grade", type="number", label_ru="Разряд", label_en="Grade", options=[]),
        ParameterRow(key="alias", type="string", label_ru="Имя", label_en="Name", options=[]),
    ]
    for xlsx in (False, True):
        table = read_table(template(asked, xlsx=xlsx, language=language), SheetOptions())
        named = _named(table.columns, asked, Imported(0, ""))
        assert [_name_of(each) for each in named] == [
            *("external_id", "name", "active", "daily_limit", "max_open", "qualification", "grade", "alias")
        ]
    assert ("ФИО" in table.columns) is (language == "ru")


def test_the_template_of_an_import_runs_nothing() -> None:
    from openpyxl import load_workbook

    asked = ParameterRow(key="k", type="list", options=[{"value": "=1+1"}, {"value": "b;＝2"}])
    text = template([asked], xlsx=False).decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text, newline=""), delimiter=";")
    assert row["k"] == "'=1+1 | b;'＝2"
    [headings, example] = load_workbook(io.BytesIO(template([asked], xlsx=True))).active.iter_rows()
    cell = example[len(headings) - 1]
    assert (cell.data_type, cell.value, cell.quotePrefix) == ("s", "=1+1 | b;＝2", True)
