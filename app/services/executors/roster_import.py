"""Import of people from a table: looked at first, every error named by its row, then all of them or nobody.

Columns are `external_id`, `name` (or its parts), `active`, `availability`, `working_hours`, `daily_limit`, `max_open`,
`qualification`, in English or Russian, and one for each parameter of the pool, by its key or one of its labels; options
likewise. How each column is read is said; a cell that can be read in two ways is refused. A column that is left out
and a cell that is empty leave what is there. Whoever is known by external_id is changed, everybody else is new.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId, Scalar
from app.errors import FieldError, Invalid
from app.messages.message import Message, parts_of, say
from app.messages.type_faults import fault_message
from app.models import ExecutorRow, ParameterRow
from app.rule_engine import Catalogue
from app.services.common.rows import parameter_of
from app.services.executors.executor_sync import known_people
from app.services.executors.executors import put_executors
from app.services.executors.person_fields import Person, changes_in, values_of
from app.services.executors.roster_headings import (
    ALSO,
    OWN,
    TITLES,
    has_names,
    heading_of,
    is_in_parts,
    part_of_name,
)
from app.services.executors.spreadsheets import ReadTable
from app.services.executors.written_hours import availability_of, hours_of
from app.services.pools.parameters import list_parameters
from app.utils.sheets import Cell
from app.utils.spreadsheet_text import Language, csv_text, harmless
from app.utils.written_dates import DateFormatError, Reader, column_reader
from app.utils.written_numbers import NOT_SAID, Separators, boolean_of, number_of, percent_of, separators_of

_TOTALS = re.compile(r"(итого|всего|total|grand total|sum)\b.*", re.IGNORECASE | re.DOTALL)
"""First cells of a row of totals, which is not a person."""
_MOST_ERRORS = 200
_EXAMPLE = {"external_id": "E-1001", "name": "Анна Иванова", "active": "да", "daily_limit": "20"}


What: TypeAlias = Literal["added", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What one line does; `fields` are those that change."""

    line: int
    name: str
    what: What
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class ColumnRead:
    """How a column is read: as which field or parameter, and in which form; an example of what came of it."""

    heading: str
    field: str
    read_as: str
    example: str


@dataclass(slots=True)
class Imported:
    """What a table says, and what became of it; `errors` name the line in the file, `outcomes` the lines without."""

    rows: int
    form: str
    applied: bool = False
    errors: list[FieldError] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[LineOutcome] = field(default_factory=list)
    columns: list[ColumnRead] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)

    def count(self, what: What) -> int:
        """How many rows do this."""
        return sum(outcome.what == what for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a parameter; its options by their values and by their labels, in small letters."""

    key: str
    type: str
    options: Mapping[str, Scalar]
    separators: Separators = NOT_SAID
    instant: Reader | None = None

    @classmethod
    def of(cls, parameter: ParameterRow) -> "_Column":
        options = [each if isinstance(each, dict) else {"value": each} for each in parameter.options]
        named = {
            str(each[name]).casefold(): each["value"]
            for name in ("label_en", "label_ru", "value")  # a value wins over another one's label
            for each in options
            if each.get(name) not in (None, "")
        }
        return cls(parameter.key, parameter.type, named)

    def read(self, value: Cell) -> Any:
        """A cell as the parameter's type. Raises ValueError."""
        if self.type == "number":
            return percent_of(value, self.separators)
        if self.type == "boolean":
            return boolean_of(value)
        if self.type == "datetime" and self.instant is not None:
            return _instant(str(value), self.instant)
        text = str(value)
        if self.type != "list":
            return self._option(text)
        if text.casefold() in self.options:
            return [self._option(text)]
        members = re.split(r"\|" if "|" in text else "[,;\n]", text)
        return [self._option(member.strip()) for member in members if member.strip()]

    def _option(self, text: str) -> Scalar:
        return self.options.get(text.casefold(), self.options.get(text.replace(",", "."), text))


@dataclass(frozen=True, slots=True)
class _Own:
    """A column of numbers that is no parameter."""

    key: str
    separators: Separators


_Named: TypeAlias = str | _Column | _Own
_NUMBERS = ("daily_limit", "max_open", "qualification")
_PART = "name part "


async def import_executors(
    session: AsyncSession,
    *,
    pool_id: PoolId,
    table: ReadTable,
    now: datetime,
    dry_run: bool,
    zone: ZoneInfo,
    date_format: str = "",
) -> Imported:
    """Look at a table, and write it unless `dry_run`; times without an offset are `zone`'s.

    Raises Invalid with the errors where there are any to write.
    """
    parameters = await list_parameters(session, pool_id=pool_id, owner="executor")
    catalogue = Catalogue([parameter_of(vars(row)) for row in parameters])
    found, people = read_people(table, parameters, zone, date_format)
    numbers = [person.external_id for person in people.values() if person.external_id]
    known = await known_people(session, pool_id, numbers)
    differing = []
    for line, person in people.items():
        former = known.get(person.external_id or "")
        values = values_of(person, former)
        outcome = _outcome(line, values, former)
        found.people.append(values)
        differing += [] if outcome.what == "unchanged" else [values]
        wrong = catalogue.check_values("executor", values["parameters"]).errors
        found.errors += [_fault(line, error.field, error.reason, error.remedy) for error in wrong]
        found.outcomes += [] if wrong else [outcome]
    await session.rollback()
    if dry_run:
        return found
    if found.errors:
        raise Invalid(
            say(
                "Nobody was imported: {field}: {reason}.",
                field=found.errors[0].field,
                reason=found.errors[0].reason,
            ),
            found.errors,
        )
    if differing:
        await put_executors(session, pool_id=pool_id, people=differing, now=now)
    found.applied = True
    return found


def read_people(
    table: ReadTable, parameters: Sequence[ParameterRow], zone: ZoneInfo, date_format: str = ""
) -> tuple[Imported, dict[int, Person]]:
    """Notes on how the table was read, and its readable people by line number. Raises Invalid."""
    table = _without_rows_of_nobody(table)
    found = Imported(len(table.rows), table.form, notes=list(table.said))
    named = _with_forms(table, _named(table.columns, parameters, found), zone, date_format, found)
    return found, _people(table, named, found)


def _without_rows_of_nobody(table: ReadTable) -> ReadTable:
    """Leave out headings that are repeated, on each page or in another language, and a sum at the end; say so."""
    said, rows = list(table.said), []
    for place, (line, cells) in enumerate(table.rows):
        texts = [str(cell).strip() for cell in cells if cell not in (None, "")]
        if has_names(texts) and len(texts) > 1:
            said.append(say("line {line} repeats the headings: left out", line=line))
        elif place == len(table.rows) - 1 and texts and _TOTALS.fullmatch(texts[0]):
            said.append(say("line {line} is a sum: left out", line=line))
        else:
            rows.append((line, cells))
    return replace(table, rows=rows, said=said)


def _outcome(line: int, values: Mapping[str, Any], known: ExecutorRow | None) -> LineOutcome:
    if known is None:
        return LineOutcome(line, values["name"], "added", ())
    changes = changes_in(values, known)
    return LineOutcome(line, values["name"], "changed" if changes else "unchanged", changes)


def _named(columns: Sequence[str], parameters: Sequence[ParameterRow], found: Imported) -> list[_Named]:
    """What each column holds: a field, a parameter, or (unknown) a key that is kept as text."""
    by_name: dict[str, _Named] = {name: own for own, names in ALSO.items() for name in names}
    for parameter in parameters:
        column = _Column.of(parameter)
        by_name |= {
            heading_of(name): column for name in (parameter.label_en, parameter.label_ru, parameter.key)
        }
    by_name |= {name: own for own, names in OWN.items() for name in names}
    named: list[_Named] = []
    in_parts = is_in_parts(columns)
    for heading in columns:
        known = by_name.get(heading_of(heading)) if heading else ""
        part = part_of_name(heading) if in_parts else None
        if part is not None:
            known = f"{_PART}{part}"
        if known is None:
            found.unknown_columns.append(heading)
        named.append(heading if known is None else known)
    twice = [each for each in named if isinstance(each, str) and each in OWN and named.count(each) > 1]
    if twice:
        these = [heading for heading, each in zip(columns, named, strict=True) if each == twice[0]]
        reason = say("the columns {columns} both are '{twice}'", columns=list(these), twice=twice[0])
        raise Invalid(
            say("file: {reason}; leave one of them out.", reason=reason),
            [FieldError(twice[0], reason, say("leave one out"))],
        )
    if "name" not in named and not in_parts:
        listed = ", ".join(filter(None, columns))[:500]
        raise Invalid(
            say(
                "file: the column 'name' is missing; add it, see the template. Columns are {listed}.",
                listed=listed,
            ),
            [FieldError("name", say("the column is missing"), say("add it; see the template"))],
        )
    return named


def _with_forms(
    table: ReadTable, named: Sequence[_Named], zone: ZoneInfo, date_format: str, found: Imported
) -> list[_Named]:
    """The columns with the one form that the cells of each have; says how each is read. Raises Invalid."""
    formed: list[_Named] = []
    for index, (heading, column) in enumerate(zip(table.columns, named, strict=True)):
        cells = [
            cells[index] for _, cells in table.rows if index < len(cells) and cells[index] not in (None, "")
        ]
        if cells and not heading:
            found.notes.append(say("column {number} has no heading: left out", number=index + 1))
        fitted, form = _formed(column, heading, cells, zone, date_format)
        formed.append(fitted)
        if heading:
            example = str(cells[0])[:100] if cells else ""
            found.columns.append(ColumnRead(heading, _name_of(fitted), form, example))
    return formed


def _formed(
    column: _Named, heading: str, cells: Sequence[Cell], zone: ZoneInfo, date_format: str
) -> tuple[_Named, str]:
    """A column with the one form of its cells, and that form's name. Raises Invalid."""
    if isinstance(column, _Column) and column.type == "datetime" and cells:
        try:
            read, form = column_reader([str(cell) for cell in cells], zone, date_format)
        except DateFormatError as error:
            raise Invalid(
                say("{heading}: {error} (`date_format`).", heading=heading, error=error),
                [FieldError(heading, error.reason, error.remedy)],
            ) from error
        return replace(column, instant=read), form
    percent = ", 100% is 1" if any(str(cell).endswith("%") for cell in cells) else ""
    if isinstance(column, _Column) and column.type == "number":
        return replace(column, separators=separators_of(cells)), f"number{percent}"
    if column in _NUMBERS:
        return _Own(str(column), separators_of(cells)), f"number{percent}"
    return column, _kind_of(column)


def _kind_of(column: _Named) -> str:
    """The form of a column in a word."""
    if isinstance(column, _Column):
        return column.type
    if isinstance(column, _Own):
        return "number"
    if column.startswith(_PART):
        return "part of the name"
    return _KINDS.get(column, "text")


def _name_of(column: _Named) -> str:
    if isinstance(column, _Column | _Own):
        return column.key
    return "name" if column.startswith(_PART) else column


_KINDS = {"active": "boolean", "availability": "availability", "working_hours": "working hours"}


def _instant(text: str, read: Reader) -> str:
    instant = read(text)
    if instant is None:
        raise ValueError(say("'{text}' is not in the format of its column", text=text[:50]))
    return instant.isoformat()


def _people(table: ReadTable, named: Sequence[_Named], found: Imported) -> dict[int, Person]:
    """Those who can be read, by their lines."""
    people: dict[int, Person] = {}
    lines: dict[str, int] = {}
    for line, cells in table.rows:
        if len(found.errors) >= _MOST_ERRORS:
            break
        faults: list[FieldError] = []
        if any(cell not in (None, "") for cell in cells[len(named) :]):
            told = say("it has {cells} cells, the headings {headings}", cells=len(cells), headings=len(named))
            found.errors.append(_fault(line, "row", told, say("put cells that hold the separator in quotes")))
            continue
        person = _person(line, cells, named, faults)
        number = person.external_id if person else None
        if number in lines:
            reason = say("it stands in line {lines} too", lines=lines[number])
            faults.append(_fault(line, "external_id", reason, say("keep one of them")))
        if person is not None and not faults:
            people[line] = person
        if number is not None:
            lines.setdefault(number, line)
        found.errors += faults
    return people


def _fault(line: int, column: str, reason: Message, remedy: Message | Literal[""] = "") -> FieldError:
    return FieldError(f"line {line}, {column}", reason, remedy)


def _person(
    line: int, cells: Sequence[Cell], named: Sequence[_Named], faults: list[FieldError]
) -> Person | None:
    fields: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for column, cell in zip(named, cells, strict=False):
        value = cell.strip() if isinstance(cell, str) else cell
        if value in (None, "") or column == "":
            continue
        try:
            _put(column, value, fields, parameters)
        except ValueError as error:
            reason, remedy = parts_of(error, say("correct the cell"))
            faults.append(_fault(line, _name_of(column), reason, remedy))
    parts = [str(fields.pop(key)) for key in sorted(fields) if key.startswith(_PART)]
    if parts:
        fields["name"] = " ".join(parts)
    try:
        return Person.model_validate({**fields, "parameters": parameters})
    except ValidationError as error:
        faults += [_fault(line, str(wrong["loc"][0]), fault_message(wrong)) for wrong in error.errors()]
        return None


def _put(column: _Named, value: Cell, fields: dict[str, Any], parameters: dict[str, Any]) -> None:
    if isinstance(column, _Column):
        parameters[column.key] = column.read(value)
    elif isinstance(column, _Own):
        number = percent_of if column.key == "qualification" else number_of
        fields[column.key] = number(value, column.separators)
    elif column in _READ:
        fields[column] = _READ[column](value)
    elif column in OWN or column.startswith(_PART):
        fields[column] = str(value)
    else:
        parameters[column] = value


_READ: Mapping[str, Callable[[Cell], Any]] = {
    "active": boolean_of,
    "availability": availability_of,
    "working_hours": hours_of,
}


def template(parameters: Sequence[ParameterRow], *, xlsx: bool, language: Language | None = None) -> bytes:
    """A table to fill in: the columns of this pool with one example, headed by keys or as people of a language say."""
    examples: Mapping[str, str] = _EXAMPLE | {each.key: _example(each) for each in parameters}
    columns = [*_EXAMPLE, "max_open", "qualification", *(each.key for each in parameters)]
    labels = {each.key: each.label_ru if language == "ru" else each.label_en for each in parameters}
    rows = [_titled(columns, labels, language), [examples.get(column, "") for column in columns]]
    if xlsx:
        from openpyxl import Workbook  # with what it brings, megabytes that few requests need
        from openpyxl.cell import WriteOnlyCell

        book = Workbook(write_only=True)
        sheet = book.create_sheet("executors")
        for row in rows:
            cells = [WriteOnlyCell(sheet, value) for value in row]
            for cell, value in zip(cells, row, strict=True):
                cell.data_type, cell.quotePrefix = "s", harmless(value) != value
            sheet.append(cells)
        content = io.BytesIO()
        book.save(content)
        return content.getvalue()
    return csv_text(rows, language or "ru").encode()


def _titled(columns: Sequence[str], labels: Mapping[str, str], language: Language | None) -> list[str]:
    """Headings in a language; a title that the import would take for another column gives way to the key."""
    if language is None:
        return list(columns)
    titles = [labels.get(each) or TITLES.get(each, {}).get(language, each) for each in columns]
    known = Counter(
        title.casefold() for title in [*titles, *(name for names in OWN.values() for name in names)]
    )
    return [
        title if each not in labels or known[title.casefold()] == 1 else each
        for each, title in zip(columns, titles, strict=True)
    ]


def _example(parameter: ParameterRow) -> str:
    values = [each["value"] if isinstance(each, dict) else each for each in parameter.options]
    most = 2 if parameter.type == "list" else 1
    return " | ".join(str(value) for value in values[:most])
