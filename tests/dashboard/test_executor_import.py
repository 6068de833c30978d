"""A list of people from a file: read whatever a spreadsheet writes, and told what it would do."""

import io

import openpyxl
import pytest

from streamlit_app.views.executor_import import Unreadable, judge, match, read

SKILLS = {
    "key": "skills", "owner": "executor", "type": "list", "label_ru": "Навыки", "label_en": "Skills",
    "options": [{"value": "network", "label_ru": "Сеть", "label_en": "Network"},
                {"value": "access", "label_ru": "Доступ", "label_en": "Access"}],
}  # fmt: skip
KNOWN = {
    "name": "Анна", "external_id": "E-1", "daily_limit": 40.0, "max_open": None, "qualification": 1.0, "active": True,
    "availability": "break", "working_hours": None, "parameters": {"skills": ["access"], "grade": 3},
}  # fmt: skip


def people_in(content: bytes, name: str = "people.csv") -> list:
    header, lines = read(name, content)
    columns, _ = match(header, [SKILLS])
    return judge(lines, columns, [SKILLS], [KNOWN])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_a_russian_spreadsheet_is_read_as_it_is(encoding: str) -> None:
    [row] = people_in("Имя;Дневной предел;Навыки\nБорис;12,5;Сеть, Доступ\n".encode(encoding))
    assert row.wrong == []
    assert row.person == {
        "name": "Борис",
        "daily_limit": 12.5,
        "parameters": {"skills": ["network", "access"]},
    }
    assert row.changed is None, "nobody with this number is known: they are new"


def test_an_excel_sheet_is_read_like_a_csv() -> None:
    book = openpyxl.Workbook()
    book.active.append(["name", "external_id", "max_open", "skills"])
    book.active.append(["Boris", 7.0, 5, "network"])
    file = io.BytesIO()
    book.save(file)
    [row] = people_in(file.getvalue(), "people.xlsx")
    assert row.person == {
        "name": "Boris", "external_id": "7", "max_open": 5, "parameters": {"skills": ["network"]},
    }  # fmt: skip


def test_somebody_known_is_changed_only_where_the_file_says_so() -> None:
    [row] = people_in(b"name,external_id,skills\n\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0,E-1,network\n")
    assert row.changed == ["skills"]
    assert row.person == KNOWN | {"parameters": {"skills": ["network"], "grade": 3}}


def test_every_wrong_row_is_named_with_what_is_wrong() -> None:
    rows = people_in(b"name,external_id,daily_limit\n,A,1\nB,B,many\nC,C,1\nD,C,1\n")
    assert [(row.number, bool(row.wrong)) for row in rows] == [(2, True), (3, True), (4, False), (5, True)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\xfe" * 9])
def test_what_is_no_table_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read("people.xlsx", content)
