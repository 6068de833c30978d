"""What a lead does all day, in a real browser, in both languages; pictures are kept in artifacts/dashboard."""

import csv
import io
import re
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openpyxl import Workbook, load_workbook
from playwright.sync_api import Browser, Locator, Page, expect

from tests.dashboard.browser import (
    PATIENCE,
    address_of,
    browser as opened_browser,
    dashboard as running_dashboard,
    find_browser,
    keep,
    open_page,
    settle,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no chromium here: apt-get install chromium"),
    # The server, its API and its browser serve all of them: one process for all.
    pytest.mark.xdist_group("browser"),
]

expect.set_options(timeout=PATIENCE * 1000)

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PAGES = ["overview", "tasks", "executors", "analytics", "rules", "parameters", "load", "system"]
LINE = 24.0
"""Pixels, about."""


@pytest.fixture(scope="module")
def dashboard(api: str) -> Iterator[str]:
    with running_dashboard(api) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    assert executable
    with opened_browser(executable) as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab of a screen's width."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(("language", "theme"), [("ru", "light"), ("en", "dark")])
def test_every_page_shows_itself_without_an_error(
    browser: Browser, dashboard: str, language: str, theme: str
) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=theme)
    context.set_default_timeout(PATIENCE * 1000)
    tab = context.new_page()
    refused: list[str] = []
    tab.on(
        "console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None
    )
    for name in PAGES:
        open_page(tab, address_of(dashboard, name, language))
        keep(tab, f"{name}-{language}-{theme}")
        errors = tab.locator("[data-testid=stException]")
        assert errors.count() == 0, f"{name}: {errors.all_inner_texts()}"
    assert refused == [], "the policy of the pages refuses what they need"
    assert [each["name"] for each in context.cookies(dashboard) if not each["httpOnly"]] == []
    context.close()


def test_the_overview_follows_the_work_and_keeps_its_place(
    tab: Page, dashboard: str, client: httpx.Client
) -> None:
    open_page(tab, address_of(dashboard, "overview", "en"))
    assigned = tab.locator(".figure", has_text="Assigned in period").locator(".value")
    before = int(assigned.inner_text().replace(",", ""))
    tab.locator("[data-testid=stMain]").evaluate("each => each.scrollTo(0, 300)")
    seen = tab.get_by_role("heading", name="Load against fair share")
    place = seen.bounding_box()
    task = {"parameters": {"category": "network", "region": "north", "difficulty": 1}}
    answer = client.post("/v1/tasks", params={"wait": 30}, json=task)
    assert answer.status_code == 201, answer.text
    expect(assigned).to_have_text(str(before + 1))
    # The browser scrolls along where an alert above comes or goes: what is read stays where it was, within a line.
    assert place is not None

    def has_stayed() -> bool:
        now = seen.bounding_box()
        return now is not None and abs(now["y"] - place["y"]) < LINE

    # What is redrawn just then has no place for a moment.
    deadline = time.monotonic() + PATIENCE
    while not (stayed := has_stayed()) and time.monotonic() < deadline:
        tab.wait_for_timeout(50)
    assert stayed


@pytest.mark.parametrize(
    ("language", "number", "question", "answer"),
    [("ru", "Номер", "Почему не…?", "правило"), ("en", "Number", "Why not …?", "rule")],
)
def test_a_lead_asks_why_a_task_went_where_it_went(
    tab: Page, dashboard: str, client: httpx.Client, language: str, number: str, question: str, answer: str
) -> None:
    task = client.get("/v1/tasks", params={"status": "assigned", "limit": 1}).json()["items"][0]
    unable = next(
        each["name"]
        for each in client.get("/v1/executors").json()["items"]
        if task["parameters"]["category"] not in each["parameters"]["skills"]
    )
    open_page(tab, address_of(dashboard, "tasks", language))
    search = tab.get_by_label(number, exact=True)
    search.fill(str(task["task_id"]))
    search.press("Enter")
    expect(tab.locator("h1")).to_contain_text(str(task["task_id"]))
    box = tab.get_by_role("combobox", name=question)
    box.click()
    box.fill(unable)
    tab.get_by_role("option", name=unable).first.click()
    expect(tab.locator("[data-testid=stAlert]")).to_contain_text(answer)
    keep(tab, f"task-{language}")


def test_a_lead_sends_somebody_on_a_break(tab: Page, dashboard: str, client: httpx.Client) -> None:
    person = client.get("/v1/executors").json()["items"][3]
    open_page(tab, address_of(dashboard, "executors", "ru", executor=str(person["executor_id"])))
    tab.get_by_role("radio", name="перерыв").click()
    expect(tab.locator("[data-testid=stToast]")).to_contain_text(person["name"])
    path = f"/v1/executors/{person['executor_id']}"
    assert client.get(path).json()["availability"] == "break"
    keep(tab, "person-ru")
    client.patch(path, json={"availability": "available"})


def _workbook(*rows: list[Any], sheet: list[list[Any]] | None = None) -> bytes:
    """A spreadsheet with these rows, and with a second sheet where it has one."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    if sheet:
        second = book.create_sheet("Second")
        for row in sheet:
            second.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def test_a_lead_loads_a_list_looks_corrects_it_and_loads_it(
    tab: Page, dashboard: str, client: httpx.Client
) -> None:
    known = client.get("/v1/executors").json()["items"][0]
    open_page(tab, address_of(dashboard, "executors", "ru"))
    tab.get_by_role("button", name="Загрузить список").click()
    window = tab.get_by_role("dialog")
    with tab.expect_download() as download:
        window.get_by_role("button", name="Образец CSV").click()
    assert "network | hardware" in download.value.path().read_text("utf-8-sig")
    head = "Имя;Номер в вашей системе;Дневной предел;Навыки;Работает"
    wrong = f"{head}\nПетя;P-1;много;Сеть;нет\n{known['name']};{known['external_id']};;;\n"
    chooser = window.locator("input[type=file]")
    chooser.set_input_files({"name": "people.csv", "mimeType": "text/csv", "buffer": wrong.encode("cp1251")})
    expect(window.get_by_text("Исправьте 1 строку")).to_be_visible()
    told = window.locator("[data-testid=stDataFrame]").last  # before it: how each column was read
    expect(told).to_contain_text("ошибка, Дневной предел: «много» — не число")
    expect(told).to_contain_text("без изменений")
    keep(tab, "import-wrong-ru", whole=False)
    window.get_by_text("Как прочитаны столбцы").click()
    read = window.locator("[data-testid=stDataFrame]").first
    expect(read).to_contain_text("да или нет")
    window.get_by_text("Файл прочитан не так?").click()
    for label in ("Кодировка", "Вид дат", "Строка с названиями столбцов"):
        expect(window.get_by_label(label, exact=False).first).to_be_visible()
    keep(tab, "import-reading-ru", whole=False)
    chooser.set_input_files(
        {
            "name": "two.xlsx",
            "mimeType": XLSX,
            "buffer": _workbook(["Имя"], ["Первая"], sheet=[["Имя"], ["Вторая"]]),
        }
    )
    expect(window.locator("[data-testid=stDataFrame]").last).to_contain_text("Первая")
    sheet = window.get_by_role("textbox", name="Лист", exact=True)
    how = window.locator("details").filter(has_text="Файл прочитан не так?")
    if how.get_attribute("open") is None:
        how.locator("summary").click()
    sheet.fill("Second")
    sheet.press("Enter")
    expect(window.locator("[data-testid=stDataFrame]").last).to_contain_text("Вторая")
    rows = [
        head.split(";"),
        ["Петя", "P-1", 12.5, "Сеть, Доступ", "нет"],
        ["Вася", None, None, "Сеть", "нет"],
    ]
    chooser.set_input_files({"name": "people.xlsx", "mimeType": XLSX, "buffer": _workbook(*rows)})
    window.get_by_role("button", name="Загрузить 2 человека").click()
    expect(tab.locator("[data-testid=stToast]")).to_contain_text("Добавлено: 2, изменено: 0")
    people = {each["name"]: each for each in client.get("/v1/executors").json()["items"]}
    assert (people["Петя"]["daily_limit"], people["Петя"]["active"]) == (12.5, False)
    assert people["Петя"]["parameters"]["skills"] == ["network", "access"]
    assert people["Вася"]["external_id"] is None


def _saved(tab: Page, button: Locator) -> bytes:
    """What a click on a button of a page downloads."""
    with tab.expect_download() as download:
        button.click()
    return download.value.path().read_bytes()


def test_a_chart_is_downloaded_as_its_data_and_as_a_picture(
    tab: Page, dashboard: str, client: httpx.Client
) -> None:
    names = {"поступило": "received", "назначено": "assigned", "выполнено": "completed"}

    def figures() -> tuple[dict[str, int], dict[str, int]]:
        open_page(tab, address_of(dashboard, "analytics", "ru"))
        saved = _saved(tab, tab.locator(".st-key-csv-analytics_throughput button"))
        rows = list(csv.DictReader(io.StringIO(saved.decode("utf-8-sig")), delimiter=";"))
        hours = client.get("/v1/kpi", params={"days": 1, "by": "hour"}).json()["hours"]
        return (
            {name: sum(int(row[column]) for row in rows) for column, name in names.items()},
            {name: sum(each[name] for each in hours) for name in names.values()},
        )

    shown, told = figures()
    deadline = time.monotonic() + PATIENCE
    while shown != told and time.monotonic() < deadline:  # what another test began may go on between the two
        shown, told = figures()
    assert shown == told
    chart = tab.locator(".st-key-analytics_throughput")
    chart.hover()
    picture = _saved(tab, chart.locator("[data-title='Сохранить как PNG']"))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert (width > 1000, height > 400, len(picture) > 10_000) == (True, True, True), (
        width,
        height,
        len(picture),
    )


def test_the_report_is_downloaded_as_a_workbook(tab: Page, dashboard: str, client: httpx.Client) -> None:
    open_page(tab, address_of(dashboard, "analytics", "en"))
    tab.get_by_role("button", name="Prepare Excel report").click()
    book = load_workbook(io.BytesIO(_saved(tab, tab.get_by_role("button", name="Excel report", exact=True))))
    assert book.sheetnames[:2] == ["Summary", "Charts"]
    assert book["Charts"]._charts, "charts that stay editable"
    summary = {row[0]: row[1] for row in book["Summary"].iter_rows(values_only=True, max_col=2)}
    hours = client.get("/v1/kpi", params={"days": 1, "by": "hour"}).json()["hours"]
    assert summary["Tasks received"] == sum(each["received"] for each in hours)


def test_a_load_test_is_followed_left_found_again_and_stopped(tab: Page, dashboard: str) -> None:
    def figure(name: str) -> Locator:
        return tab.locator(f".figure:has(.label:text-is('{name}')) .value")

    def count(name: str) -> int:
        return int(figure(name).inner_text().replace(",", ""))

    open_page(tab, address_of(dashboard, "load", "en"))
    for label, value in (("Tasks per second", 20), ("Duration, s", 600), ("Executors", 10)):
        field = tab.get_by_label(label, exact=True)
        field.fill(str(value))
        field.press("Tab")
    tab.get_by_role("button", name="Start").click()
    expect(tab.get_by_text("Running:")).to_be_visible()
    expect(figure("Assigned per second")).to_have_text(re.compile(r"^[1-9]"))
    expect(figure("Time to assignment")).to_have_text(re.compile(r"\d"))
    before = count("Assigned")
    expect(figure("Assigned")).not_to_have_text(f"{before:,}")
    assert count("Assigned") > before, "it moved by itself"
    tab.get_by_role("link", name="Tasks", exact=True).first.click()
    expect(tab.locator("h1")).to_have_text("Tasks")
    tab.get_by_role("link", name="Load test").first.click()
    expect(tab.get_by_text("Running:")).to_be_visible()
    again = count("Assigned")
    assert again > before, "it went on while nobody looked"
    expect(tab.locator(".st-key-load_throughput .js-plotly-plot")).to_be_visible()
    keep(tab, "load-running")
    tab.get_by_role("button", name="Stop", exact=False).click()
    expect(tab.get_by_text("Stopped", exact=True)).to_be_visible()
    assert count("Received") < 600 * 20
    tab.get_by_role("button", name="New test").click()
    expect(tab.get_by_role("button", name="Start")).to_be_visible()


def test_a_lead_puts_a_rule_in_force_without_json(tab: Page, dashboard: str, client: httpx.Client) -> None:
    before = client.get("/v1/rules", params={"state": "active"}).json()["items"][0]
    open_page(tab, address_of(dashboard, "rules", "en"))
    tab.get_by_role("button", name="Condition", exact=False).first.click()
    settle(tab)
    expect(tab.get_by_text("Differs from the active rules")).to_be_visible()
    keep(tab, "rules-composed")
    tab.get_by_role("button", name="Save and activate").click()
    expect(tab.get_by_text("Same as the active rules")).to_be_visible()
    now = client.get("/v1/rules", params={"state": "active"}).json()["items"][0]
    assert now["version"] > before["version"]
    assert len(now["rules"]["conditions"]) == len(before["rules"]["conditions"]) + 1
    back = client.post("/v1/rules", json={"name": before["name"], "rules": before["rules"]}).json()
    client.post(f"/v1/rules/{back['rule_set_id']}/activate")


def test_the_language_changes_in_place_and_stays_in_the_address(tab: Page, dashboard: str) -> None:
    open_page(tab, address_of(dashboard, "overview", "ru"))
    expect(tab.locator("h1")).to_have_text("Обзор")
    tab.get_by_role("radio", name="English").click()
    expect(tab.locator("h1")).to_have_text("Overview")
    assert "lang=en" in tab.url
    tab.reload()
    expect(tab.locator("h1")).to_have_text("Overview")


def test_what_streamlit_itself_says_follows_the_language(tab: Page, dashboard: str) -> None:
    open_page(tab, address_of(dashboard, "executors", "ru"))
    tab.get_by_role("button", name="Загрузить список").click()
    window = tab.get_by_role("dialog")
    expect(window.get_by_role("button", name="Выбрать файл")).to_be_visible()
    expect(window).to_contain_text("до 20 МБ")
    window.get_by_role("button", name="Закрыть").last.click()
    open_page(tab, address_of(dashboard, "tasks", "ru"))
    tab.locator("summary").first.click()
    box = tab.locator("[data-testid=stMultiSelect] input").first
    nothing = tab.get_by_text("Ничего не найдено")
    ends = time.monotonic() + PATIENCE
    while not nothing.is_visible() and time.monotonic() < ends:  # a page that is drawn anew closes the list
        box.click()
        box.fill("no such thing")
        tab.wait_for_timeout(200)
    expect(nothing).to_be_visible()
    open_page(tab, address_of(dashboard, "parameters", "ru"))
    tab.get_by_role("radio", name="English").click()
    expect(tab.locator("h1")).to_have_text("Parameters")
    expect(tab.locator("[data-testid=stSidebar]")).to_have_attribute("aria-label", "Sidebar")


@pytest.mark.parametrize(
    ("language", "browsers", "plan", "months"),
    [
        ("ru", "en-US", "Запланировать отсутствие", ["январь", "декабрь"]),
        ("en", "ru-RU", "Plan an absence", ["January", "December"]),
    ],
)
def test_a_calendar_speaks_the_chosen_language_whatever_the_browser(
    browser: Browser,
    dashboard: str,
    client: httpx.Client,
    language: str,
    browsers: str,
    plan: str,
    months: list[str],
) -> None:
    person = client.get("/v1/executors").json()["items"][1]["executor_id"]
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale=browsers)
    context.set_default_timeout(PATIENCE * 1000)
    tab = open_page(context.new_page(), address_of(dashboard, "executors", language, executor=str(person)))
    tab.get_by_role("button", name=plan).click()
    tab.locator("[data-testid=stDateTimeInput] button").first.click()
    month = tab.locator("select", has=tab.locator("option", has_text=months[0])).first
    expect(month.locator("option", has_text=months[1])).to_have_count(1)
    context.close()


@pytest.mark.parametrize("name", ["overview", "tasks", "rules"])
def test_a_page_fits_a_phone(browser: Browser, dashboard: str, name: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE * 1000)
    phone = open_page(context.new_page(), address_of(dashboard, name, "ru"))
    keep(phone, f"{name}-phone")
    wide = phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "nothing sticks out sideways"
    context.close()


def test_a_page_is_walked_by_keyboard_alone(tab: Page, dashboard: str) -> None:
    open_page(tab, address_of(dashboard, "overview", "en"))
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement?.innerText?.trim()?.endsWith('Tasks')"):
            break
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("Tasks")
