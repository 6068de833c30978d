"""Import of people from a table: looked at first, every error named by its row, then all of them or nobody.

Columns are `external_id`, `name`, `active`, `daily_limit`, `max_open`, `qualification`, in English or Russian, and
one for each parameter of the pool, by its key or one of its labels. A column that is left out and a cell that is empty
leave what is there. Whoever is known by external_id is changed, everybody else is new.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId
from app.errors import FieldError, Invalid
from app.rule_engine import Catalogue, Parameter, ParameterType
from app.services.executor_sync import known_people
from app.services.executors import put_executors
from app.services.parameters import read_catalogue
from app.services.person import Person, differs, values_of
from app.services.tables import Cell, Table

_OWN = {
    "external_id": ("external_id", "табельный номер", "внешний код"),
    "name": ("name", "имя", "фио"),
    "active": ("active", "активен", "работает"),
    "daily_limit": ("daily_limit", "дневной лимит"),
    "max_open": ("max_open", "одновременно"),
    "qualification": ("qualification", "квалификация"),
}
_TRUE = frozenset({"true", "1", "yes", "да", "+", "истина"})
_FALSE = frozenset({"false", "0", "no", "нет", "-", "ложь"})
_MOST_ERRORS = 200
_EXAMPLE = {"external_id": "E-1001", "name": "Анна Иванова", "active": "да", "daily_limit": "20"}


@dataclass(slots=True)
class Imported:
    """What a table says, and what became of it; `errors` name the line in the file."""

    rows: int
    form: str
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    applied: bool = False
    errors: list[FieldError] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)


async def import_executors(
    session: AsyncSession, *, pool_id: PoolId, table: Table, now: datetime, dry_run: bool
) -> Imported:
    """Look at a table, and write it unless `dry_run`. Raises Invalid with the errors where there are any to write."""
    catalogue = await read_catalogue(session, pool_id=pool_id)
    found = Imported(len(table.rows), table.form)
    named = _named(table.columns, catalogue, found)
    people = _people(table, named, found)
    known = await known_people(session, pool_id, [person.external_id for person in people.values()])
    values = {}
    for line, person in people.items():
        value = values_of(person, known.get(person.external_id))
        wrong = catalogue.check_values("executor", value["parameters"]).errors
        found.errors += [_fault(line, error.field, error.reason, error.remedy) for error in wrong]
        values[person.external_id] = value
    differing = [value for number, value in values.items() if differs(value, known.get(number))]
    found.added = sum(number not in known for number in values)
    found.changed = len(differing) - found.added
    found.unchanged = len(values) - len(differing)
    found.people = list(values.values())
    await session.rollback()
    if dry_run:
        return found
    if found.errors:
        raise Invalid(
            f"Nobody was imported: {found.errors[0].field}: {found.errors[0].reason}.", found.errors
        )
    if differing:
        await put_executors(session, pool_id=pool_id, people=differing, now=now)
    found.applied = True
    return found


def _named(columns: Sequence[str], catalogue: Catalogue, found: Imported) -> list[str | Parameter]:
    """What each column holds: a field, a parameter, or (unknown) a key that is kept as text."""
    by_name: dict[str, str | Parameter] = {}
    for parameter in _parameters(catalogue):
        for name in (parameter.label_en, parameter.label_ru, parameter.key):
            by_name[name.casefold()] = parameter
    by_name |= {name: own for own, names in _OWN.items() for name in names}
    named: list[str | Parameter] = []
    for column in columns:
        known = by_name.get(column.casefold()) if column else ""
        if known is None:
            found.unknown_columns.append(column)
        named.append(column if known is None else known)
    missing = [own for own in ("external_id", "name") if own not in named]
    if missing:
        raise Invalid(
            f"file: the column '{missing[0]}' is missing; add it, see the template.",
            [FieldError(own, "the column is missing", "add it; see the template") for own in missing],
        )
    return named


def _parameters(catalogue: Catalogue) -> list[Parameter]:
    return [parameter for parameter in catalogue.parameters if parameter.owner == "executor"]


def _people(table: Table, named: Sequence[str | Parameter], found: Imported) -> dict[int, Person]:
    """Those who can be read, by their lines."""
    people: dict[int, Person] = {}
    lines: dict[str, int] = {}
    for line, cells in table.rows:
        if len(found.errors) >= _MOST_ERRORS:
            break
        faults: list[FieldError] = []
        person = _person(line, cells, named, faults)
        if person is not None and person.external_id in lines:
            first = lines[person.external_id]
            faults.append(_fault(line, "external_id", f"it stands in line {first} too", "keep one of them"))
        if person is not None and not faults:
            people[line], lines[person.external_id] = person, line
        found.errors += faults
    return people


def _fault(line: int, column: str, reason: str, remedy: str = "") -> FieldError:
    return FieldError(f"line {line}, {column}", reason, remedy)


def _person(
    line: int, cells: Sequence[Cell], named: Sequence[str | Parameter], faults: list[FieldError]
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
            name = column.key if isinstance(column, Parameter) else column
            faults.append(_fault(line, name, str(error), "correct the cell"))
    try:
        return Person.model_validate({**fields, "parameters": parameters})
    except ValidationError as error:
        faults += [_fault(line, str(wrong["loc"][0]), str(wrong["msg"])) for wrong in error.errors()]
        return None


def _put(column: str | Parameter, value: Cell, fields: dict[str, Any], parameters: dict[str, Any]) -> None:
    if isinstance(column, Parameter):
        parameters[column.key] = _as(column.type, value)
    elif column == "active":
        fields[column] = _boolean(value)
    elif column in ("daily_limit", "max_open", "qualification"):
        fields[column] = _number(value)
    elif column in _OWN:
        fields[column] = str(value)
    else:
        parameters[column] = value


def _as(kind: ParameterType, value: Cell) -> Any:
    """A cell as the parameter's type; a list is written with | between its members. Raises ValueError."""
    if kind is ParameterType.NUMBER:
        return _number(value)
    if kind is ParameterType.BOOLEAN:
        return _boolean(value)
    if kind is ParameterType.LIST:
        return [member.strip() for member in str(value).split("|") if member.strip()]
    return str(value)


def _number(value: Cell) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = str(value).replace("\xa0", "").replace(" ", "").replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"'{value}' is no number") from None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _boolean(value: Cell) -> bool:
    word = str(value).casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"'{value}' is neither yes nor no")


def template(catalogue: Catalogue, *, xlsx: bool) -> bytes:
    """A table to fill in: the columns of this pool with one example."""
    columns = [*_OWN, *(parameter.key for parameter in _parameters(catalogue))]
    example: Mapping[str, str] = _EXAMPLE
    rows = [columns, [example.get(column, "") for column in columns]]
    if xlsx:
        from openpyxl import Workbook  # with what it brings, megabytes that few requests need

        book = Workbook(write_only=True)
        sheet = book.create_sheet("executors")
        for row in rows:
            sheet.append(row)
        content = io.BytesIO()
        book.save(content)
        return content.getvalue()
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";").writerows(rows)
    return text.getvalue().encode("utf-8-sig")
