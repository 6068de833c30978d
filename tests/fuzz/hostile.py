"""Files that mean harm, by name: what each is, in as few bytes as its sender would need."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator

from openpyxl import Workbook

MAKERS: dict[str, Callable[[], bytes]] = {}
LOGS: dict[str, Callable[[], bytes]] = {}

_TYPES = b"""<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
<Override PartName="/xl/sharedStrings.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>
<Override PartName="/xl/styles.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>"""
_MAIN = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_SHEET = b"<worksheet " + _MAIN + b"><sheetData>%b</sheetData></worksheet>"
_ENTITIES = (
    b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 1000 + b'">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">' % ((c, *[c - 1] * 8)) for c in range(98, 110))
    + b"]>"
)  # fmt: skip
_OUTSIDE = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def a_table(function: Callable[[], bytes]) -> Callable[[], bytes]:
    MAKERS[function.__name__] = function
    return function


def a_log(function: Callable[[], bytes]) -> Callable[[], bytes]:
    LOGS[function.__name__] = function
    return function


def a_good_book() -> bytes:
    book = Workbook()
    book.active.append(["external_id", "name", "daily_limit", "grade"])
    for number in range(20):
        book.active.append([f"E-{number}", f"Name {number}", 5, 1.5])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def a_book(sheet: bytes, **parts: bytes) -> bytes:
    """An XLSX with this sheet, made by hand."""
    rels = b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%b</Relationships>'
    link = b'<Relationship Id="%b" Target="%b" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%b"/>'
    office = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    files = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": rels % (link % (b"r1", b"xl/workbook.xml", b"officeDocument")),
        "xl/_rels/workbook.xml.rels": rels
        % (
            link % (b"r1", b"worksheets/sheet1.xml", b"worksheet")
            + link % (b"r2", b"sharedStrings.xml", b"sharedStrings")
            + link % (b"r3", b"styles.xml", b"styles")
        ),
        "xl/workbook.xml": b"<workbook " + _MAIN + b' xmlns:r="' + office + b'"><sheets>'
        b'<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": sheet,
        "xl/sharedStrings.xml": b"<sst " + _MAIN + b"/>",
        "xl/styles.xml": b"<styleSheet " + _MAIN + b"/>",
    }
    files |= {name.replace("__", "/").replace("_dot_", "."): part for name, part in parts.items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, part in files.items():
            archive.writestr(name, part)
    return content.getvalue()


def _sheet(inner: bytes) -> bytes:
    return a_book(_SHEET % inner)


def _strings(inner: bytes) -> bytes:
    sheet = _SHEET % b'<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    return a_book(sheet, xl__sharedStrings_dot_xml=b"<sst " + _MAIN + b">" + inner + b"</sst>")


def _styles(inner: bytes) -> bytes:
    return a_book(_SHEET % b"", xl__styles_dot_xml=b"<styleSheet " + _MAIN + b">" + inner + b"</styleSheet>")


@a_table
def millions_of_cells_in_a_row() -> bytes:
    return _sheet(b"<row>" + b"<c/>" * 10_000_000 + b"</row>")


@a_table
def millions_of_rows() -> bytes:
    return _sheet(b"<row/>" * 9_000_000)


@a_table
def a_row_far_down() -> bytes:
    return _sheet(b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')


@a_table
def rows_far_down_again_and_again() -> bytes:
    return _sheet(b'<row r="1048576"/><row r="1"/>' * 500_000)


@a_table
def a_row_of_a_number_beyond_all() -> bytes:
    return _sheet(b'<row r="99999999999999999999"><c r="A1"><v>1</v></c></row>')


@a_table
def millions_of_shared_strings() -> bytes:
    return _strings(b"<si><t/></si>" * 4_500_000)


@a_table
def one_very_long_string() -> bytes:
    return _strings(b"<si><t>" + b"x" * 60_000_000 + b"</t></si>")


@a_table
def a_very_long_attribute() -> bytes:
    return _sheet(b'<row a="' + b"x" * 60_000_000 + b'"/>')


@a_table
def hundreds_of_thousands_of_styles() -> bytes:
    return _styles(b"<cellXfs>" + b"<xf/>" * 5_000_000 + b"</cellXfs>")


@a_table
def xml_very_deep() -> bytes:
    return _sheet(b"<a>" * 1_000_000)


@a_table
def entities_that_multiply() -> bytes:
    return a_book(_ENTITIES + _SHEET % b'<row><c t="inlineStr"><is><t>&m;</t></is></c></row>')


@a_table
def entities_in_the_styles() -> bytes:
    return a_book(_SHEET % b"", xl__styles_dot_xml=_ENTITIES + b"<styleSheet " + _MAIN + b">&m;</styleSheet>")


@a_table
def an_entity_from_outside() -> bytes:
    return a_book(_OUTSIDE + _SHEET % b'<row><c t="inlineStr"><is><t>&a;</t></is></c></row>')


@a_table
def a_zip_that_unpacks_to_much() -> bytes:
    return a_book(b"0" * (300 * 1024 * 1024))


@a_table
def a_zip_that_lies_about_its_size() -> bytes:
    content = bytearray(a_book(_SHEET % (b"<row/>" * 3_000_000)))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.find(mark)
        while place >= 0:
            content[place + at : place + at + 4] = (100).to_bytes(4, "little")
            place = content.find(mark, place + 4)
    return bytes(content)


@a_table
def a_zip_of_thousands_of_parts() -> bytes:
    return a_book(_SHEET % b"", **{f"part{number}": b"" for number in range(20_000)})


@a_table
def a_zip_with_a_password() -> bytes:
    content = bytearray(a_good_book())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + at] |= 1
            place = content.find(mark, place + 4)
    return bytes(content)


@a_table
def a_zip_packed_in_an_unknown_way() -> bytes:
    content = bytearray(a_good_book())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.find(mark)
        while place >= 0:
            content[place + at] = 99
            place = content.find(mark, place + 4)
    return bytes(content)


@a_table
def a_zip_that_is_no_book() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    return content.getvalue()


@a_table
def a_day_beyond_the_calendar() -> bytes:
    styles = b'<cellXfs count="2"><xf/><xf numFmtId="14"/></cellXfs>'
    days = b'<row><c t="str"><v>external_id</v></c><c t="str"><v>name</v></c></row>'
    days += b'<row><c s="1"><v>1e300</v></c><c s="1"><v>-1e9</v></c></row>'
    return a_book(
        _SHEET % days, xl__styles_dot_xml=b"<styleSheet " + _MAIN + b">" + styles + b"</styleSheet>"
    )


@a_table
def numbers_that_are_none() -> bytes:
    row = b"".join(
        b"<c><v>%b</v></c>" % text for text in (b"nan", b"inf", b"1e999", b"0x10", b"9" * 5000, b"")
    )
    return _sheet(b"<row>%b</row>" % row)


@a_table
def a_string_that_is_not_there() -> bytes:
    return _sheet(b'<row><c t="s"><v>99999999</v></c><c t="s"><v>-1</v></c><c t="?"><v>1</v></c></row>')


@a_table
def one_long_line() -> bytes:
    return b"a," * 2_600_000


@a_table
def one_quote_and_no_other() -> bytes:
    return b'external_id,name\n"' + b"x" * 5_000_000


@a_table
def a_very_long_cell() -> bytes:
    return b"external_id,name\n1," + b"x" * 5_000_000


@a_table
def empty_lines() -> bytes:
    return b"external_id,name\n" + b"\n" * 5_000_000


@a_table
def empty_cells() -> bytes:
    return b"external_id,name\n" + (b"," * 500 + b"\n") * 10_000


@a_table
def another_encoding() -> bytes:
    return "external_id,name\nE-1,Анна\n".encode("utf-16")


@a_table
def bytes_of_no_encoding() -> bytes:
    return b"external_id,name\n\x98\xff\xfe\x81,\x8d\n"


def events(many: Iterator[bytes] | list[bytes]) -> bytes:
    return b"<log><trace>" + b"".join(many) + b"</trace></log>"


@a_log
def a_gzip_bomb() -> bytes:
    return gzip.compress(b"a" * (1 << 29) + b"a" * (1 << 26), 1)


@a_log
def a_gzip_cut_short() -> bytes:
    return gzip.compress(b"activity,resource\na,b\n" * 1000)[:-20]


@a_log
def a_gzip_with_a_wrong_sum() -> bytes:
    return gzip.compress(b"activity,resource\na,b\n" * 1000)[:-8] + b"\0" * 8


@a_log
def a_gzip_of_a_gzip() -> bytes:
    return gzip.compress(gzip.compress(b"activity,resource\na,b\n"))


@a_log
def log_entities_that_multiply() -> bytes:
    return _ENTITIES + b'<log><trace><event><string key="concept:name" value="&m;"/></event></trace></log>'


@a_log
def a_log_entity_from_outside() -> bytes:
    return _OUTSIDE + b'<log><trace><event><string key="concept:name" value="&a;"/></event></trace></log>'


@a_log
def a_log_very_deep() -> bytes:
    return b"<log>" + b"<list>" * 1_000_000


@a_log
def an_event_of_millions_of_attributes() -> bytes:
    return gzip.compress(events([b"<event>", b"<a/>" * 30_000_000, b"</event>"]), 1)


@a_log
def a_trace_of_millions_of_attributes() -> bytes:
    many = (b'<string key="%d" value="x"/>' % number for number in range(1_000_000))
    return gzip.compress(events([*many, b"<event/>" * 1000]), 1)


@a_log
def a_log_of_millions_of_attributes() -> bytes:
    return gzip.compress(b"<log>" + b'<string key="a" value="b"/>' * 10_000_000 + b"</log>", 1)


@a_log
def an_element_of_millions_of_others() -> bytes:
    return gzip.compress(b"<log><a>" + b"<b/>" * 30_000_000 + b"</a></log>", 1)


@a_log
def a_very_long_value() -> bytes:
    return gzip.compress(
        events([b'<event><string key="concept:name" value="', b"x" * 400_000_000, b'"/></event>']), 1
    )


@a_log
def millions_of_columns() -> bytes:
    return gzip.compress(b"a," * 100_000_000 + b"\nactivity", 1)


@a_log
def a_thousand_columns_and_many_rows() -> bytes:
    head = b"activity,resource," + b",".join(b"c%d" % number for number in range(1000)) + b"\n"
    return gzip.compress(head + (b"a,b" + b"," * 1000 + b"\n") * 200_000, 1)


@a_log
def times_that_are_none() -> bytes:
    rows = [
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"infinity",
        b"0001-01-01",
        b"9999-12-31T23:59:59+14:00",
        b"9" * 4000,
    ]
    return b"activity,resource,time,weight\n" + b"".join(b"a,b,%b,nan\n" % row for row in rows)


@a_log
def numbers_alone_as_times() -> bytes:
    return b"activity,resource,time\n" + b"a,b,inf\na,b,nan\na,b,-inf\n"


@a_log
def one_quote_in_a_log() -> bytes:
    return b'activity,resource\n"' + b"x" * 50_000_000


@a_log
def a_log_of_no_encoding() -> bytes:
    return b"activity,resource\n\x98\x98,b\n"


@a_log
def a_log_of_zeros() -> bytes:
    return b"\0" * 10_000_000


@a_log
def xml_that_is_no_log() -> bytes:
    return b"<html><body>x</body></html>"


@a_log
def xml_in_another_encoding() -> bytes:
    return b'<?xml version="1.0" encoding="utf-32"?><log/>'


@a_log
def a_mapping_to_nowhere() -> bytes:
    return b"nothing,here\n1,2\n"


LARGE = {
    "rows_far_down_again_and_again",
    "one_very_long_string",
    "a_zip_that_unpacks_to_much",
    "empty_lines",
    "a_gzip_bomb",
    "a_log_of_millions_of_attributes",
    "a_very_long_value",
    "millions_of_columns",
    "a_thousand_columns_and_many_rows",
}
"""Those that take more than a second to make or read: `make fuzz` has them too."""
