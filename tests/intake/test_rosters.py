"""Tables of people as systems of personnel and spreadsheets give them: read as meant, or refused with the reason."""

import io
from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook

from app.engine.calendar import DAYS
from app.errors import Invalid
from app.models import ParameterRow
from app.services.executors.roster_headings import has_names
from app.services.executors.roster_import import Imported, read_people
from app.services.executors.spreadsheets import SheetOptions, read_table
from tests.builders import as_ods

MOSCOW = ZoneInfo("Europe/Moscow")
CATALOGUE = [
    ParameterRow(key="grade", type="number", label_ru="Разряд", label_en="Grade", options=[]),
    ParameterRow(key="city", type="string", label_ru="Город", label_en="City", options=[]),
    ParameterRow(key="since", type="datetime", label_ru="Дата приёма", label_en="Hire date", options=[]),
    ParameterRow(key="remote", type="boolean", label_ru="Удалённо", label_en="Remote", options=[]),
    ParameterRow(
        key="skills", type="list", label_ru="Навыки", label_en="Skills",
        options=[{"value": "network", "label_ru": "Сеть"}, {"value": "access", "label_ru": "Доступ"}],
    ),
]  # fmt: skip


def people_in(
    content: bytes, *, date_format: str = "", **options: Any
) -> tuple[Imported, list[dict[str, Any]]]:
    """What was found in a file, and its people with what is said of them."""
    table = read_table(content, SheetOptions(**options), has_names)
    found, people = read_people(table, CATALOGUE, MOSCOW, date_format)
    return found, [person.model_dump(exclude_unset=True) for person in people.values()]


def xlsx(*sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"Лист{number}")
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def text(*lines: str, encoding: str = "utf-8", end: str = "\r\n") -> bytes:
    return "".join(line + end for line in lines).encode(encoding)


ANNA = {"name": "Иванова Анна", "external_id": "0017", "daily_limit": 20.0}
SINCE = "2026-02-13T00:00:00+03:00"
READ: dict[str, tuple[bytes, dict[str, Any], dict[str, Any], str]] = {
    "accounting program, with title and filter": (
        xlsx([
            ["Список сотрудников"], ["Отбор: Подразделение Равно «Склад»"], [],
            ["№ п/п", "Сотрудник", "Таб. номер", "Дневной лимит", "Дата приёма"],
            [1, "Иванова Анна", "0017", 20, date(2026, 2, 13)], ["Итого", None, None, 20, None],
        ]), {}, {"since": SINCE, "№ п/п": 1}, "headings read from line 4; line 6 is a sum: left out",
    ),
    "headings on each page": (
        text("ФИО;Табельный №;Дневной лимит", "Иванова Анна;0017;20", "ФИО;Табельный №;Дневной лимит"),
        {}, {}, "line 3 repeats the headings: left out",
    ),
    "keys in one row and labels in the next": (
        text("userid,lastName,firstName,daily_limit", "User ID,Last name,First name,Daily limit",
             "0017,Иванова,Анна,20"), {}, {}, "line 2 repeats the headings: left out",
    ),
    "directory of accounts": (
        text('"SamAccountName","DisplayName","Enabled","daily_limit"', '"0017","Иванова Анна","True","20"'),
        {}, {"active": True}, "",
    ),
    "cloud system, name in parts": (
        text("Employee #,First name,Last name,Daily limit,Hire date", "0017,Анна,Иванова,20,2026-02-13"),
        {}, {"since": SINCE}, "",
    ),
    "required fields are marked": (
        text("ФИО *;Табельный номер *;Дневной лимит:;Город", "Иванова Анна;0017;20;Казань"), {}, {"city": "Казань"}, "",
    ),
    "headings of two lines and hard spaces": (
        xlsx([["ФИО\u00a0", "Табельный\nномер", "Дневной  лимит"], ["Иванова Анна", "0017", 20.0]]), {}, {}, "",
    ),
    "Unicode text of a spreadsheet": (
        text("ФИО\tТабельный номер\tДневной лимит", "Иванова Анна\t0017\t20", encoding="utf-16"), {}, {}, "",
    ),
    "sep= with a mark": (
        text("sep=;", "ФИО;Табельный номер;Дневной лимит", "Иванова Анна;0017;20", encoding="utf-8-sig"), {}, {}, "",
    ),
    "Windows-1251": (
        text("ФИО;Табельный номер;Дневной лимит", "Иванова Анна;0017;20", encoding="cp1251"), {}, {}, "read as cp1251",
    ),
    "DOS, named": (
        text("ФИО;Табельный номер;Дневной лимит", "Иванова Анна;0017;20", encoding="cp866"),
        {"encoding": "cp866"}, {}, "",
    ),
    "old Unix": (
        text("ФИО;Табельный номер;Дневной лимит", "Иванова Анна;0017;20", encoding="koi8_r", end="\n"),
        {}, {}, "read as koi8_r",
    ),
    "line ends of old Macs": (
        text("ФИО;Табельный номер;Дневной лимит", "Иванова Анна;0017;20", end="\r"), {}, {}, "",
    ),
    "pipes and empty lines": (
        text("", "ФИО|Табельный номер|Дневной лимит", "", "Иванова Анна|0017|20", ""), {}, {}, "",
    ),
    "separators at the end": (
        text("ФИО;Табельный номер;Дневной лимит;;", "Иванова Анна;0017;20;;"), {}, {}, "",
    ),
    "second sheet": (
        xlsx([["Инструкция"], ["Заполните лист 2"]],
             [["ФИО", "Табельный номер", "Дневной лимит"], ["Иванова Анна", "0017", 20]]),
        {}, {}, "read from the sheet 'Лист2'",
    ),
    "sheet by number and line by number": (
        xlsx([["ФИО"], ["Борис"]],
             [["ФИО"], ["ФИО", "Табельный номер", "Дневной лимит"], ["Иванова Анна", "0017", 20]]),
        {"sheet": "2", "heading_row": 2}, {}, "",
    ),
    "open document": (
        as_ods([["ФИО", "Табельный номер", "Дневной лимит"], ["Иванова Анна", "0017", "20"]]), {}, {}, "",
    ),
    "a percentage, a comma, thin spaces": (
        text("ФИО;Табельный номер;Дневной лимит;Квалификация;Разряд", "Иванова Анна;0017;2\u20090,0;85%;1\u202f000,5"),
        {}, {"daily_limit": 20.0, "qualification": 0.85, "grade": 1000.5}, "refused",
    ),
    "yes and no, days and hours": (
        text("ФИО;Табельный номер;Дневной лимит;Работает;Удалённо;График;Доступность",
             "Иванова Анна;0017;20;N;Да;Пн–Пт 9.00–18.00, Сб 10-14;На месте"),
        {}, {"active": False}, "refused",
    ),
    "hours of every day and a list": (
        text("ФИО;Табельный номер;Дневной лимит;Работает;Удалённо;График;Доступность;Навыки",
             "Иванова Анна;0017;20;да;нет;ежедневно 09:00 - 18:00;на месте;Сеть, доступ"), {},
        {"active": True, "remote": False, "availability": "available", "skills": ["network", "access"],
         "working_hours": {"days": {day: [["09:00", "18:00"]] for day in DAYS}}},
        "",
    ),
    "day first": (
        text("ФИО;Табельный номер;Дневной лимит;Дата приёма", "Иванова Анна;0017;20;13.02.2026"),
        {}, {"since": SINCE}, "",
    ),
    "month first, named": (
        text("name,employee id,daily limit,hire date", "Иванова Анна,0017,20,2/3/2026"),
        {"date_format": "mm/dd/yyyy"}, {"since": "2026-02-03T00:00:00+03:00"}, "",
    ),
    "two-digit years": (
        text("ФИО;Табельный номер;Дневной лимит;Дата приёма", "Иванова Анна;0017;20;13.02.26"),
        {}, {"since": SINCE}, "",
    ),
    "months in words": (
        text("ФИО;Табельный номер;Дневной лимит;Дата приёма", "Иванова Анна;0017;20;13 февраля 2026"),
        {}, {"since": SINCE}, "",
    ),
    "names of two characters a letter": (
        text("ФИО;Табельный номер;Дневной лимит;Город", "Иванова Анна;0017;20;Но\u0438\u0306ск"),
        {}, {"city": "Но\u0439ск"}, "",
    ),
    "a column without a heading": (
        xlsx([["ФИО", None, "Табельный номер", "Дневной лимит"], ["Иванова Анна", "x", "0017", 20]]),
        {}, {}, "column 2 has no heading: left out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, case in READ.items() if case[3] != "refused"])
def test_a_table_is_read_as_it_was_meant_and_what_was_guessed_is_said(name: str) -> None:
    content, options, meant, said = READ[name]
    found, people = people_in(content, **options)
    assert found.errors == []
    [anna] = people
    parameters = {
        key: value for key, value in meant.items() if key not in {"active", "availability", "working_hours"}
    }
    fields = {key: value for key, value in meant.items() if key not in parameters}
    assert anna == {**ANNA, **fields, "parameters": parameters}
    assert [note.partition("; if letters")[0] for note in found.notes] == list(filter(None, said.split("; ")))
    assert {each.field for each in found.columns} >= {"name", "external_id", "daily_limit"}
    assert all(each.read_as and each.heading for each in found.columns)


@pytest.mark.parametrize("name", [name for name, case in READ.items() if case[3] == "refused"])
def test_a_cell_that_is_no_such_value_is_named(name: str) -> None:
    found, people = people_in(READ[name][0])
    assert people == [] and found.errors and all(each.remedy for each in found.errors)


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "a web page named XLS": (b"<html><body><table><tr><td>Name</td></tr></table>", {}, "HTML, XML or JSON"),
    "a spreadsheet in XML": (b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', {}, "HTML, XML or JSON"),
    "JSON": (b'[{"name": "Anna"}]', {}, "HTML, XML or JSON"),
    "no names": (text("Табельный номер;Город", "1;Казань"), {}, "Columns are Табельный номер, Город"),
    "two names": (text("ФИО;Сотрудник", "Анна;Анна"), {}, "both are 'name'"),
    "a heading twice": (text("ФИО;Город;Город", "Анна;a;b"), {}, "stands twice"),
    "either day or month first": (text("ФИО;Дата приёма", "Анна;03/04/2026"), {}, "mm/dd/yyyy"),
    "a formula without a value": (xlsx([["ФИО", "Дневной лимит"], ["Анна", "=A1"]]), {}, "formula in B2"),
    "no such sheet": (xlsx([["ФИО"], ["Анна"]]), {"sheet": "Люди"}, "sheets are Лист1"),
    "another encoding": (text("ФИО", "Анна", encoding="cp1251"), {"encoding": "utf-8"}, "no text in utf-8"),
    "an empty heading line": (text("ФИО", "", "Анна"), {"heading_row": 2}, "line 2 is empty"),
    "times of day in a column of dates": (xlsx([["ФИО", "Дата приёма"], ["Анна", time(9)]]), {}, "formats are iso"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_understood_is_refused_with_what_there_is(name: str) -> None:
    content, options, told = REFUSED[name]
    with pytest.raises(Invalid) as refused:
        people_in(content, **options)
    assert told in str(refused.value)


WRONG_CELLS = {
    "an unquoted comma": ("name,city,grade\nAnna,Kazan,1\nBoris,Omsk,Siberia,2\n", "line 3, row", "4 cells"),
    "thousands or decimals": ("name;daily_limit\nAnna;1,000\n", "line 2, daily_limit", "1000 or 1.000"),
    "a unit": ("ФИО;Разряд\nАнна;5 шт\n", "line 2, grade", "digits only"),
    "a status in words": ("ФИО;Работает\nАнна;в отпуске\n", "line 2, active", "neither yes nor no"),
    "hours in words": ("ФИО;График\nАнна;5/2\n", "line 2, working_hours", "no"),
    "half a day twice": ("ФИО;График\nАнна;пн 9-12; вт 9-12\n", "line 2, row", "3 cells"),
    "the same number twice": ("ФИО;Табельный номер\nАнна;7\nБорис;7\n", "line 3, external_id", "line 2 too"),
    "no name": ("ФИО;Табельный номер\n;7\n", "line 2, name", ""),
}


@pytest.mark.parametrize("name", WRONG_CELLS)
def test_a_wrong_row_is_named_and_keeps_out_nobody_silently(name: str) -> None:
    content, place, told = WRONG_CELLS[name]
    found, _ = people_in(content.encode())
    assert [each.field for each in found.errors] == [place]
    assert told in found.errors[0].reason + found.errors[0].remedy


def test_days_of_a_spreadsheet_are_midnights_of_the_pool() -> None:
    _, [anna] = people_in(xlsx([["ФИО", "Дата приёма"], ["Анна", date(2026, 2, 13)]]))
    assert anna["parameters"] == {"since": SINCE}


def test_a_name_that_begins_like_a_sum_is_a_person() -> None:
    _, people = people_in(text("ФИО", "Итого", "Всеволод", "Итоговая Анна"))
    assert [person["name"] for person in people] == ["Итого", "Всеволод", "Итоговая Анна"]
