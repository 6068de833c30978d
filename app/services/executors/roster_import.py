"""Import of people from a table: looked at first, every error named by its row, then all of them or nobody.

Columns are `external_id`, `name`, `active`, `daily_limit`, `max_open`, `qualification`, in English or Russian, and
one for each parameter of the pool, by its key or one of its labels; options likewise. A column that is left out and a
cell that is empty leave what is there. Whoever is known by external_id is changed, everybody else is new.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import PoolId, Scalar
from app.errors import FieldError, Invalid
from app.models import Executor, Parameter
from app.rule_engine import Catalogue
from app.services.common.rows import parameter_of
from app.services.executors.executor_sync import known_people
from app.services.executors.executors import put_executors
from app.services.executors.person_fields import Person, changes_in, values_of
from app.services.executors.spreadsheets import Cell, Table
from app.services.pools.parameters import list_parameters

_OWN = {
    "external_id": (
        "external_id",
        "табельный номер",
        "внешний код",
        "номер в вашей системе",
        "your own number",
        "внешний номер",
        "external number",
    ),
    "name": ("name", "имя", "фио"),
    "active": ("active", "активен", "работает"),
    "daily_limit": ("daily_limit", "дневной лимит", "дневной предел", "daily limit"),
    "max_open": ("max_open", "одновременно", "открыто не больше", "open at most", "open limit"),
    "qualification": ("qualification", "квалификация"),
}
"""Columns by their keys, by what spreadsheets call them, and by what the dashboard does."""
_TRUE = frozenset({"true", "1", "yes", "да", "+", "истина"})
_FALSE = frozenset({"false", "0", "no", "нет", "-", "ложь"})
_MOST_ERRORS = 200
_EXAMPLE = {"external_id": "E-1001", "name": "Анна Иванова", "active": "да", "daily_limit": "20"}


What: TypeAlias = Literal["added", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one line does; `fields` are those that change."""

    line: int
    name: str
    what: What
    fields: Sequence[str]


@dataclass(slots=True)
class Imported:
    """What a table says, and what became of it; `errors` name the line in the file, `outcomes` the lines without."""

    rows: int
    form: str
    applied: bool = False
    errors: list[FieldError] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)
    people: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, what: What) -> int:
        """How many rows do this."""
        return sum(outcome.what == what for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a parameter; its options by their values and by their labels, in small letters."""

    key: str
    type: str
    options: Mapping[str, Scalar]

    @classmethod
    def of(cls, parameter: Parameter) -> "_Column":
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
            return _number(value)
        if self.type == "boolean":
            return _boolean(value)
        text = str(value)
        if self.type != "list":
            return self._option(text)
        if text.casefold() in self.options:
            return [self._option(text)]
        members = re.split(r"\|" if "|" in text else "[,;\n]", text)
        return [self._option(member.strip()) for member in members if member.strip()]

    def _option(self, text: str) -> Scalar:
        return self.options.get(text.casefold(), self.options.get(text.replace(",", "."), text))


async def import_executors(
    session: AsyncSession, *, pool_id: PoolId, table: Table, now: datetime, dry_run: bool
) -> Imported:
    """Look at a table, and write it unless `dry_run`. Raises Invalid with the errors where there are any to write."""
    parameters = await list_parameters(session, pool_id=pool_id, owner="executor")
    catalogue = Catalogue([parameter_of(vars(row)) for row in parameters])
    found = Imported(len(table.rows), table.form)
    people = _people(table, _named(table.columns, parameters, found), found)
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
            f"Nobody was imported: {found.errors[0].field}: {found.errors[0].reason}.", found.errors
        )
    if differing:
        await put_executors(session, pool_id=pool_id, people=differing, now=now)
    found.applied = True
    return found


def _outcome(line: int, values: Mapping[str, Any], known: Executor | None) -> Outcome:
    if known is None:
        return Outcome(line, values["name"], "added", ())
    changes = changes_in(values, known)
    return Outcome(line, values["name"], "changed" if changes else "unchanged", changes)


def _named(columns: Sequence[str], parameters: Sequence[Parameter], found: Imported) -> list[str | _Column]:
    """What each column holds: a field, a parameter, or (unknown) a key that is kept as text."""
    by_name: dict[str, str | _Column] = {}
    for parameter in parameters:
        column = _Column.of(parameter)
        by_name |= {
            name.casefold(): column for name in (parameter.label_en, parameter.label_ru, parameter.key)
        }
    by_name |= {name: own for own, names in _OWN.items() for name in names}
    named: list[str | _Column] = []
    for heading in columns:
        known = by_name.get(heading.casefold()) if heading else ""
        if known is None:
            found.unknown_columns.append(heading)
        named.append(heading if known is None else known)
    if "name" not in named:
        raise Invalid(
            "file: the column 'name' is missing; add it, see the template.",
            [FieldError("name", "the column is missing", "add it; see the template")],
        )
    return named


def _people(table: Table, named: Sequence[str | _Column], found: Imported) -> dict[int, Person]:
    """Those who can be read, by their lines."""
    people: dict[int, Person] = {}
    lines: dict[str, int] = {}
    for line, cells in table.rows:
        if len(found.errors) >= _MOST_ERRORS:
            break
        faults: list[FieldError] = []
        person = _person(line, cells, named, faults)
        number = person.external_id if person else None
        if number in lines:
            reason = f"it stands in line {lines[number]} too"
            faults.append(_fault(line, "external_id", reason, "keep one of them"))
        if person is not None and not faults:
            people[line] = person
        if number is not None:
            lines.setdefault(number, line)
        found.errors += faults
    return people


def _fault(line: int, column: str, reason: str, remedy: str = "") -> FieldError:
    return FieldError(f"line {line}, {column}", reason, remedy)


def _person(
    line: int, cells: Sequence[Cell], named: Sequence[str | _Column], faults: list[FieldError]
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
            name = column.key if isinstance(column, _Column) else column
            faults.append(_fault(line, name, str(error), "correct the cell"))
    try:
        return Person.model_validate({**fields, "parameters": parameters})
    except ValidationError as error:
        faults += [_fault(line, str(wrong["loc"][0]), str(wrong["msg"])) for wrong in error.errors()]
        return None


def _put(column: str | _Column, value: Cell, fields: dict[str, Any], parameters: dict[str, Any]) -> None:
    if isinstance(column, _Column):
        parameters[column.key] = column.read(value)
    elif column == "active":
        fields[column] = _boolean(value)
    elif column in ("daily_limit", "max_open", "qualification"):
        fields[column] = _number(value)
    elif column in _OWN:
        fields[column] = str(value)
    else:
        parameters[column] = value


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


def template(parameters: Sequence[Parameter], *, xlsx: bool) -> bytes:
    """A table to fill in: the columns of this pool with one example."""
    examples: Mapping[str, str] = _EXAMPLE | {each.key: _example(each) for each in parameters}
    columns = [*_OWN, *(each.key for each in parameters)]
    rows = [columns, [examples.get(column, "") for column in columns]]
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


def _example(parameter: Parameter) -> str:
    values = [each["value"] if isinstance(each, dict) else each for each in parameter.options]
    most = 2 if parameter.type == "list" else 1
    return " | ".join(str(value) for value in values[:most])
