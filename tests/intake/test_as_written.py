"""Spellings of numbers, answers, dates and encodings: each is read as one thing, or refused with the remedy."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.utils.encodings import EncodingError, decode
from app.utils.written_dates import DateFormatError, column_reader
from app.utils.written_numbers import boolean_of, number_of, percent_of, separators_of

MOSCOW = ZoneInfo("Europe/Moscow")
NUMBERS: dict[str, float | str] = {
    "5": 5, " 5 ": 5, "+5": 5, "-5": -5, "\u22125": -5, "0": 0, "007": 7, "1.5": 1.5, "1,5": 1.5, ",5": 0.5, ".5": 0.5,
    "5.": 5, "1e3": 1000, "0,125": 0.125, "2.125": 2.125, "1000": 1000, "1000,5": 1000.5, "12,34": 12.34,
    "1 000": 1000, "1\u00a0000": 1000, "1\u2009000": 1000, "1\u202f000,5": 1000.5, "1'000.5": 1000.5,
    "1 234 567": 1234567, "1,234,567": 1234567, "1,000.50": 1000.5, "1.000,50": 1000.5, "1.234.567": 1234567,
    "1,000": "1000 or 1.000", "-12,345": "12345 or -12.345", "999,999": "999999 or 999.999",
    "85%": "percentage", "20 шт": "digits only", "5-10": "digits only", "1/2": "digits only", "12:30": "digits only",
    "1_000": "digits only", "nan": "digits only", "inf": "digits only", "1 00": "digits only", "12 34": "digits only",
    "1,2,3": "digits only", "1.2.3": "digits only", "1,00,000": "digits only", "много": "digits only",
    "(5)": "digits only",
    "\uff15": "digits only", "½": "digits only", "0x10": "digits only", "5 000 00": "digits only", "1e999": "too large",
    "2026-05-01": "digits only", "": "digits only", "-": "digits only", "€5": "digits only", "1 ,5": "digits only",
}  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), NUMBERS.items(), ids=ascii)
def test_a_number_is_read_in_one_way_or_refused(text: str, meant: float | str) -> None:
    if isinstance(meant, str):
        with pytest.raises(ValueError, match=meant):
            number_of(text)
    else:
        assert number_of(text) == meant


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        (["1,000", "2,5"], 1.0),
        (["1,000", "12,34"], 1.0),
        (["1,000", "1.000,5"], 1.0),
        (["1,000", "1,234,567"], 1000),
        (["1,000", "1,000.5"], 1000),
        (["1,000", "2,000"], None),
        (["1,000", "5", "2.5"], None),
        (["1,000", "2,5", "1,000.5"], None),
    ],
)
def test_the_clear_cells_of_a_column_decide_the_others(column: list[str], meant: float | None) -> None:
    if meant is None:
        with pytest.raises(ValueError, match="write one of these"):
            number_of(column[0], separators_of(column))
    else:
        assert number_of(column[0], separators_of(column)) == meant


def test_a_share_may_be_a_percentage() -> None:
    assert (percent_of("85%"), percent_of("7,5 %"), percent_of("1.2"), percent_of(0.5)) == (
        0.85,
        0.075,
        1.2,
        0.5,
    )


def test_yes_and_no_are_read_in_both_languages() -> None:
    yes = ["Y", "yes", "Да", "д", "1", 1, True, "TRUE", "Истина", "+", "on", 1.0]
    no = ["N", "no", "Нет", "н", "0", 0, False, "FALSE", "ложь", "-", "\u2212", "off", 0.0]
    assert [boolean_of(each) for each in yes + no] == [True] * len(yes) + [False] * len(no)
    for each in ("2", "maybe", "уволен", "yes please", ""):
        with pytest.raises(ValueError, match="neither yes nor no"):
            boolean_of(each)


DATES: dict[str, tuple[str, str]] = {
    "2024-01-15T10:30:00Z": ("iso", "2024-01-15T10:30:00Z"),
    "2024-01-15 10:30:00": ("iso", "2024-01-15T07:30:00Z"),
    "2024-01-15 10:30:00,123": ("iso", "2024-01-15T07:30:00.123Z"),
    "2024-01-15 10:30:00 UTC": ("iso", "2024-01-15T10:30:00Z"),
    "2024-01-15 10:30:00 +0300": ("iso", "2024-01-15T07:30:00Z"),
    "2024-01-15": ("iso", "2024-01-14T21:00:00Z"),
    "20240115": ("iso", "2024-01-14T21:00:00Z"),
    "31.12.2026": ("dd.mm.yyyy", "2026-12-30T21:00:00Z"),
    "31.12.2026 9:05": ("dd.mm.yyyy", "2026-12-31T06:05:00Z"),
    "1.2.2026 09:05:06.5": ("dd.mm.yyyy", "2026-02-01T06:05:06.5Z"),
    "31/12/2026 23:59": ("dd/mm/yyyy", "2026-12-31T20:59:00Z"),
    "12/31/2026 11:59:00 PM": ("mm/dd/yyyy", "2026-12-31T20:59:00Z"),
    "12/31/2026 12:00 am": ("mm/dd/yyyy", "2026-12-30T21:00:00Z"),
    "31-12-2026 10:00": ("dd-mm-yyyy", "2026-12-31T07:00:00Z"),
    "12-31-2026": ("mm-dd-yyyy", "2026-12-30T21:00:00Z"),
    "2026/12/31 10:00": ("yyyy/mm/dd", "2026-12-31T07:00:00Z"),
    "31.12.26 10:00": ("dd.mm.yy", "2026-12-31T07:00:00Z"),
    "11.12.10": ("dd.mm.yy", "2010-12-10T21:00:00Z"),
    "12/31/26 10:00": ("mm/dd/yy", "2026-12-31T07:00:00Z"),
    "15/Jan/24 10:30 AM": ("dd month yyyy", "2024-01-15T07:30:00Z"),
    "15-Jan-2024 10:30:00": ("dd month yyyy", "2024-01-15T07:30:00Z"),
    "15 января 2024 10:30": ("dd month yyyy", "2024-01-15T07:30:00Z"),
    "Jan 15, 2024 10:30:00 AM": ("month dd, yyyy", "2024-01-15T07:30:00Z"),
    "Mon, 15 Jan 2024 10:30:00 +0100": ("dd month yyyy", "2024-01-15T09:30:00Z"),
    "Mon, 15 Jan 2024 10:30:00 EST": ("rfc2822", "2024-01-15T15:30:00Z"),
    "Mon Jan 15 10:30:00 2024": ("ctime", "2024-01-15T07:30:00Z"),
    "20240115103000": ("yyyymmddhhmmss", "2024-01-15T07:30:00Z"),
    "1705314600": ("seconds", "2024-01-15T10:30:00Z"),
    "1705314600.5": ("seconds", "2024-01-15T10:30:00.5Z"),
    "1705314600000": ("milliseconds", "2024-01-15T10:30:00Z"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), DATES.items(), ids=ascii)
def test_a_date_is_read_by_the_format_that_fits(text: str, meant: tuple[str, str]) -> None:
    read, name = column_reader([text], MOSCOW)
    assert (name, read(text)) == (meant[0], datetime.fromisoformat(meant[1]).astimezone(UTC))


REFUSED = ["03/04/2026", "3-4-2026 10:00", "01/02/26", "45306.5", "20241399103000", "2024-13-01", "soon",
           "0001-01-01", "30.02.2026", "12/31/2026 13:00 PM", "99999999999999", "10:30"]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_date_that_fits_two_formats_or_none_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(DateFormatError, match=r"name the format|formats are iso"):
        column_reader([text], MOSCOW)


def test_the_whole_column_decides_and_not_its_beginning() -> None:
    early = [f"{month:02}/01/2024 10:00" for month in range(1, 13)] * 600
    read, name = column_reader([*early, "01/13/2024 10:00"], MOSCOW)
    assert (name, read("02/01/2024 10:00")) == ("mm/dd/yyyy", datetime(2024, 2, 1, 10, tzinfo=MOSCOW))
    assert column_reader(["05/05/2026", "06/06/2026"], MOSCOW)[1] == "dd/mm/yyyy", "both say the same"
    assert column_reader(["03/04/2026"], MOSCOW, "mm/dd/yyyy")[0]("03/04/2026") == datetime(
        2026, 3, 4, tzinfo=MOSCOW
    )
    with pytest.raises(DateFormatError, match="formats are"):
        column_reader(["x"], MOSCOW, "guess")


TABLE = "ФИО;Дневной лимит\r\nАнна Иванова;20\r\nБорис Кузнецов;5\r\n"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"), ("utf-32", "utf-32"), ("cp1251", "cp1251"), ("koi8_r", "koi8_r"),
        ("cp866", "cp866"),
    ],
)  # fmt: skip
def test_the_encoding_is_found_and_said(encoding: str, named: str) -> None:
    found = decode(TABLE.encode(encoding))
    assert (found.text, found.encoding) == (TABLE, named)
    assert found.guessed is (named not in {"utf-8", "utf-16", "utf-32"})


def test_western_letters_are_not_taken_for_russian_ones() -> None:
    text = "name;city\r\nJosé Müller;Zürich\r\n"
    assert decode(text.encode("cp1252")).text == text
    for short in ("Müller", "Jörg;Zoë"):
        assert decode(short.encode("cp1252")).text == short
    for short in ("Имя\nя", "a\tb\nЁжик\t1", "a;b\n№ 5;1", "Анна\tБорис\t\t\tВера"):
        assert decode(short.encode("cp1251")).text == short
    assert decode("Müller;1".encode("mac_roman"), "mac_roman").text == "Müller;1"


def test_what_is_no_text_or_not_in_the_named_encoding_is_refused() -> None:
    for content, encoding in (
        (b"\x00\x01\x02\x00\x00", ""),
        ("Анна".encode("cp1251"), "utf-8"),
        (b"a", "no-such"),
        (b"\x98\x98;\xff\xfe", ""),
    ):
        with pytest.raises(EncodingError):
            decode(content, encoding)


def test_letters_of_two_characters_become_one() -> None:
    assert decode("Серге\u0438\u0306".encode()).text == "Серге\u0439"
