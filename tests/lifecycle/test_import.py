"""People from tables as spreadsheets write them: looked at first, then all or nobody."""

import io
import zipfile
from datetime import datetime
from typing import Any

import httpx
import pytest
from openpyxl import Workbook, load_workbook

from app.errors import Invalid, TooLarge
from app.services.executors.spreadsheets import read_table
from streamlit_app.views.executors.executor_import import OWN
from streamlit_app.words import TABLE
from tests.api.conftest import problem_in
from tests.builders import as_ods

HEAD = "Табельный номер;ФИО;Дневной лимит;grade;Город"
GOOD = HEAD + "\r\nE-1;Анна Иванова;20;3,5;Казань\r\nE-2;Борис;;;\r\n"


async def send(client: httpx.AsyncClient, content: str | bytes, encoding: str = "utf-8", **query: Any) -> Any:
    body = content.encode(encoding) if isinstance(content, str) else content
    return await client.post("/v1/executors/import", params=query, files={"file": ("people.csv", body)})


@pytest.fixture
async def catalogue(client: httpx.AsyncClient) -> None:
    for key, kind, label in (("grade", "number", "Разряд"), ("city", "string", "Город")):
        answer = await client.post(
            "/v1/parameters", json={"owner": "executor", "key": key, "type": kind, "label_ru": label}
        )
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8", ";"), ("utf-8-sig", ","), ("cp1251", ";"), ("cp1251", "\t")]
)
def test_encodings_and_delimiters_are_recognised(encoding: str, delimiter: str) -> None:
    content = GOOD.replace("3,5", "3.5").replace(";", delimiter).encode(encoding)
    table = read_table(content)
    assert table.columns[1] == "ФИО"
    assert [row[1] for _, row in table.rows] == ["Анна Иванова", "Борис"]
    assert encoding.removesuffix("-sig") in table.form


async def test_a_table_is_looked_at_then_imported_then_known(
    client: httpx.AsyncClient, catalogue: None
) -> None:
    seen = (await send(client, GOOD, dry_run=True)).json()
    assert (seen["added"], seen["errors"], seen["applied"]) == (2, [], False)
    assert (await client.get("/v1/executors")).json()["items"] == []
    done = (await send(client, GOOD, "cp1251")).json()
    assert (done["added"], done["applied"], done["form"]) == (2, True, "csv, cp1251, ;")
    anna, boris = (await client.get("/v1/executors")).json()["items"]
    assert (anna["name"], anna["daily_limit"]) == ("Анна Иванова", 20)
    assert (anna["parameters"], boris["daily_limit"]) == ({"grade": 3.5, "city": "Казань"}, None)
    again = (await send(client, GOOD.replace("Борис;;;", "Борис Б.;5;;"))).json()
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 1, 1)


async def test_one_wrong_row_keeps_everybody_out_and_each_is_named(
    client: httpx.AsyncClient, catalogue: None
) -> None:
    bad = HEAD + "\nE-1;Анна;много;3;\nE-2;;-4;x;\nE-3;Вера;;;\nE-3;Вера;;;\n"
    answer = await send(client, bad)
    faults = [(error["field"], error["reason"]) for error in problem_in(answer)["errors"]]
    assert answer.status_code == 422
    assert [field for field, _ in faults] == [
        "line 2, daily_limit",
        "line 3, grade",
        "line 3, name",
        "line 3, daily_limit",
        "line 5, external_id",
    ]
    assert faults[0][1] == "'много' is no number" and "line 4" in faults[-1][1]
    assert (await client.get("/v1/executors")).json()["items"] == []
    seen = (await send(client, bad, dry_run=True)).json()
    assert len(seen["errors"]) == 5 and seen["added"] == 1


async def test_the_template_can_be_filled_in_and_sent_back(
    client: httpx.AsyncClient, catalogue: None
) -> None:
    for form in ("csv", "xlsx"):
        answer = await client.get("/v1/executors/import/template", params={"format": form})
        assert f"executors.{form}" in answer.headers["content-disposition"]
        seen = (await send(client, answer.content, dry_run=True)).json()
        assert (seen["rows"], seen["errors"], seen["unknown_columns"]) == (1, [], [])
    book = load_workbook(io.BytesIO(answer.content))
    book.active.append(["E-7", "Глеб", False, 3, 2, 1.5, 4, "Омск"])
    changed = io.BytesIO()
    book.save(changed)
    done = (await send(client, changed.getvalue())).json()
    assert (done["added"], done["form"]) == (2, "xlsx")
    gleb = (await client.get("/v1/executors")).json()["items"][1]
    assert (gleb["active"], gleb["max_open"], gleb["qualification"], gleb["parameters"]["city"]) == (
        False,
        2,
        1.5,
        "Омск",
    )


async def test_windows_1251_and_xlsx_are_looked_at_first_and_written_whole_or_not_at_all(
    client: httpx.AsyncClient, catalogue: None
) -> None:
    seen = (await send(client, GOOD, "cp1251", dry_run=True)).json()
    assert (seen["form"], seen["added"], seen["applied"]) == ("csv, cp1251, ;", 2, False)
    book = Workbook()
    for row in (HEAD.split(";"), ["E-1", "Анна", 20, 3, "Казань"], ["E-2", "Борис", "много", None, None]):
        book.active.append(row)
    table = io.BytesIO()
    book.save(table)
    refused = await send(client, table.getvalue())
    assert (refused.status_code, problem_in(refused)["errors"][0]["field"]) == (422, "line 3, daily_limit")
    assert (await client.get("/v1/executors")).json()["items"] == [], "not even the right row"
    seen = (await send(client, table.getvalue(), dry_run=True)).json()
    assert (seen["form"], seen["added"], len(seen["errors"])) == ("xlsx", 1, 1)
    book.active["C3"] = 15
    table = io.BytesIO()
    book.save(table)
    assert (await send(client, table.getvalue())).json()["added"] == 2


async def test_an_unknown_column_is_kept_and_said(client: httpx.AsyncClient) -> None:
    done = (await send(client, "external_id,name,shoe size\nE-1,Anna,38\n")).json()
    assert done["unknown_columns"] == ["shoe size"]
    assert (await client.get("/v1/executors")).json()["items"][0]["parameters"] == {"shoe size": "38"}


def zipped(**parts: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return content.getvalue()


def test_what_would_fill_the_memory_is_refused_before_it_is_read() -> None:
    bomb = zipped(sheet=b"0" * (80 * 1024 * 1024))
    assert len(bomb) < 1024 * 1024
    for large in (bomb, b"a;b\n" + b"x" * 6 * 1024 * 1024, b"a;b\n" + b"1;2\n" * 10_001):
        with pytest.raises(TooLarge):
            read_table(large)


def test_what_is_no_table_is_refused_with_words() -> None:
    entity = b'<!DOCTYPE x [<!ENTITY e "boom">]><workbook>&e;</workbook>'
    strange = [
        b"",
        b"\x00\x01",
        zipped(hello=b"world"),
        zipped(**{"[Content_Types].xml": entity, "xl/workbook.xml": entity}),
        b"PK\x03\x04broken",
        b'external_id,name\n"E-1,Anna\n',
        b"a,a\n1,2\n",
        b"a;b\n" + b"x" * 10_001 + b";2\n",
        b"\x98\x98;\xff\xfe",
    ]
    for content in strange:
        with pytest.raises(Invalid) as refused:
            read_table(content)
        assert refused.value.members["errors"][0]["field"] == "file"


def test_a_wide_or_long_sheet_is_refused() -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append([f"c{number}" for number in range(300)])
    content = io.BytesIO()
    book.save(content)
    with pytest.raises(Invalid):
        read_table(content.getvalue())


async def test_what_people_write_is_understood(client: httpx.AsyncClient, catalogue: None) -> None:
    options = [
        {"value": "network", "label_ru": "Сеть", "label_en": "Network"},
        {"value": "access", "label_ru": "Доступ, пароли", "label_en": "Access"},
    ]
    for key, kind, label in (("skills", "list", "Навыки"), ("home", "enum", "Участок")):
        asked = {"owner": "executor", "key": key, "type": kind, "label_ru": label, "options": options}
        assert (await client.post("/v1/parameters", json=asked)).status_code == 201
    table = (
        "Имя;Номер в вашей системе;Дневной предел;Разряд;Навыки;Участок\n"
        "Анна;E-1;12,5;3,5;сеть, access;Сеть\n"
        "Борис;;;;NETWORK | Доступ, пароли;Access\n"
        "Вера;;;;Доступ, пароли;\n"
    )
    done = (await send(client, table, "cp1251")).json()
    assert (done["added"], done["unknown_columns"]) == (3, [])
    anna, boris, vera = (await client.get("/v1/executors")).json()["items"]
    assert (anna["external_id"], anna["daily_limit"]) == ("E-1", 12.5)
    assert anna["parameters"] == {"grade": 3.5, "skills": ["network", "access"], "home": "network"}
    assert (boris["external_id"], boris["parameters"]) == (
        None,
        {"skills": ["network", "access"], "home": "access"},
    )
    assert vera["parameters"] == {"skills": ["access"]}
    again = (await send(client, table.replace("12,5", "13"), dry_run=True)).json()
    assert [(each["line"], each["name"], each["what"], each["fields"]) for each in again["outcomes"]] == [
        (2, "Анна", "changed", ["daily_limit"]),
        (3, "Борис", "added", []),
        (4, "Вера", "added", []),
    ], "whoever has no number is new"


async def test_the_template_shows_what_the_options_are(client: httpx.AsyncClient) -> None:
    options = [{"value": "network"}, {"value": "access"}, {"value": "hardware"}]
    asked = {"owner": "executor", "key": "skills", "type": "list", "options": options}
    assert (await client.post("/v1/parameters", json=asked)).status_code == 201
    template = (await client.get("/v1/executors/import/template")).content
    assert "network | access" in template.decode("utf-8-sig")
    assert (await send(client, template)).json()["added"] == 1


@pytest.mark.parametrize("language", [0, 1])
async def test_columns_may_be_called_as_the_dashboard_calls_them(
    client: httpx.AsyncClient, language: int
) -> None:
    names = {key: TABLE[text][language] for key, text in OWN.items()}
    row = {"name": "Анна", "external_id": "N-1", "daily_limit": "7", "max_open": "3", "qualification": "1,5"}
    columns = [key for key in names if key in row]
    text = ";".join(names[key] for key in columns) + "\n" + ";".join(row[key] for key in columns)
    answer = await send(client, text, dry_run=True)
    said = answer.json()
    assert (answer.status_code, said["errors"], said["unknown_columns"]) == (200, [], [])
    [person] = said["people"]
    assert (person["external_id"], person["daily_limit"], person["max_open"]) == ("N-1", 7, 3)
    assert person["qualification"] == 1.5


def xlsx(*sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


PEOPLE = [["Табельный номер", "ФИО", "Дневной лимит"], ["E-1", "Анна Иванова", "1000"]]
AS_THEY_COME: dict[str, tuple[bytes, dict[str, Any], dict[str, Any]]] = {
    "sep=": ("sep=;\nfio;ФИО;Дневной лимит\nx;Анна Иванова;1000\n".encode(), {}, {}),
    "UTF-16": ("ФИО\tДневной лимит\nАнна Иванова\t1 000\n".encode("utf-16"), {}, {}),
    "KOI8-R": ("ФИО;Дневной лимит\nАнна Иванова;1000\n".encode("koi8_r"), {}, {"notes": "koi8_r"}),
    "thin spaces": ("ФИО;Дневной лимит\nАнна Иванова;1\u2009000,0\n".encode(), {}, {}),
    "commas": ('name,daily_limit\nАнна Иванова,"1,000"\nB,"1,000,000"\n'.encode(), {}, {}),
    "a title": ("Сотрудники отдела\n\nФИО;Дневной лимит\nАнна Иванова;1000\n".encode(), {}, {"notes": "line 3"}),
    "line named": ("a;b\nФИО;Дневной лимит\nАнна Иванова;1000\n".encode(), {"heading_row": 2}, {}),
    "sheet two": (xlsx([["Обложка"]], PEOPLE), {}, {"notes": "sheet 2"}),
    "sheet named": (xlsx(PEOPLE, [["name"], ["B"]]), {"sheet": "sheet 1"}, {}),
    "name in parts": (
        "Имя;Фамилия;Отчество;Дневной лимит\nИванова;Анна;;1000\n".encode(), {}, {},
    ),
    "hours": (
        'ФИО;Дневной лимит;График;Доступность\nАнна Иванова;1000;"пн-пт 9:00-18:00; сб 10-14";перерыв\n'.encode(), {},
        {"availability": "break", "working_hours": {"days": {
            **{day: [["09:00", "18:00"]] for day in ["mon", "tue", "wed", "thu", "fri"]},
            "sat": [["10:00", "14:00"]]}}},
    ),
    "Y and N": ("ФИО;Дневной лимит;Работает\nАнна Иванова;1000;N\n".encode(), {}, {"active": False}),
    "percent": ("ФИО;Дневной лимит;Квалификация\nАнна Иванова;1000;85%\n".encode(), {}, {"qualification": 0.85}),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_COME)
async def test_a_table_is_read_as_it_comes_and_what_was_guessed_is_said(
    client: httpx.AsyncClient, name: str
) -> None:
    content, query, meant = AS_THEY_COME[name]
    seen = (await send(client, content, dry_run=True, **query)).json()
    assert seen["errors"] == [] and seen["applied"] is False, seen
    done = (await send(client, content, **query)).json()
    anna = (await client.get("/v1/executors")).json()["items"][0]
    assert (anna["name"], anna["daily_limit"]) == ("Анна Иванова", 1000)
    said = " ".join(done["notes"])
    assert meant.get("notes", "") in said and bool(said) is ("notes" in meant)
    fields = {key: value for key, value in meant.items() if key != "notes"}
    assert {key: anna[key] for key in fields} == fields
    limit = next(each for each in seen["columns"] if each["field"] == "daily_limit")
    assert limit["read_as"] == "number" and limit["example"]


@pytest.mark.parametrize(
    ("table", "field", "told"),
    [
        ("name;daily_limit\nAnna;1,000\n", "line 2, daily_limit", "1000 or 1.000"),
        ("name;daily_limit\nAnna;85%\n", "line 2, daily_limit", "percentage"),
        ("name;active\nAnna;уволена\n", "line 2, active", "neither yes nor no"),
        ("name;availability\nAnna;ill\n", "line 2, availability", "no availability"),
        ("name;working_hours\nAnna;by agreement\n", "line 2, working_hours", "no working time"),
        ("name;working_hours\nAnna;Fri-Mon 9-18\n", "line 2, working_hours", "ends before"),
        ("name;ФИО\nAnna;Анна\n", "name", "both"),
        ("who;limit\nAnna;5\n", "name", "missing"),
        ("name;since\nAnna;03/04/2026\n", "since", "mm/dd/yyyy"),
    ],
)
async def test_a_table_that_can_be_read_in_two_ways_is_refused_and_asks(
    client: httpx.AsyncClient, table: str, field: str, told: str
) -> None:
    await client.post("/v1/parameters", json={"owner": "executor", "key": "since", "type": "datetime"})
    answer = await send(client, table)
    error = problem_in(answer)["errors"][0]
    assert (answer.status_code, error["field"]) == (422, field)
    assert told in error["reason"] + error["remedy"]
    assert (await client.get("/v1/executors")).json()["items"] == []


async def test_days_of_spreadsheets_are_midnights_of_the_pool(client: httpx.AsyncClient) -> None:
    pool = (
        await client.post("/v1/pools", json={"code": "m", "name": "M", "timezone": "Europe/Moscow"})
    ).json()
    since = {"owner": "executor", "key": "since", "type": "datetime", "pool_id": pool["pool_id"]}
    await client.post("/v1/parameters", json=since)
    day = datetime.fromisoformat("2026-12-31")
    for content in (
        xlsx([["name", "since"], ["Anna", day]]),
        b"name;since\nAnna;31.12.2026\n",
        b"name;since\nAnna;2026-12-31\n",
    ):
        seen = (await send(client, content, pool_id=pool["pool_id"], dry_run=True)).json()
        assert seen["people"][0]["parameters"] == {"since": "2026-12-31T00:00:00+03:00"}, seen
    both = b"name;since\nAnna;03/04/2026\n"
    seen = (await send(client, both, pool_id=pool["pool_id"], dry_run=True, date_format="mm/dd/yyyy")).json()
    assert seen["people"][0]["parameters"]["since"].startswith("2026-03-04")


def test_a_formula_that_nothing_computed_is_refused() -> None:
    with pytest.raises(Invalid, match="formula in B2 of 'sheet 1' has no value"):
        read_table(xlsx([["name", "daily_limit"], ["Anna", "=1+1"]]))


def test_an_ods_is_read_and_one_that_unfolds_is_refused() -> None:
    rows = [["name", "daily_limit"], ["Анна", "5"]]
    table = read_table(as_ods(rows))
    assert (table.form, table.columns, [list(cells) for _, cells in table.rows]) == ("ods", rows[0], rows[1:])
    bomb = as_ods(rows, ' table:number-rows-repeated="1000000"')
    with pytest.raises(TooLarge, match="rows"):
        read_table(bomb)
