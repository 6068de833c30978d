"""A person as files and other systems describe them: checked here, whoever says it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.models import ExecutorRow
from app.utils.normal_form import nfc_of, visible
from app.utils.parameter_values import MOST_KEYS, storable_values

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$"), AfterValidator(visible)
]


class Person(BaseModel):
    """What is left out stays as it is; whoever has no external_id is new."""

    model_config = ConfigDict(extra="ignore")

    external_id: Name | None = None
    name: Name
    parameters: Annotated[dict[str, Any], AfterValidator(nfc_of)] = Field(default_factory=dict)
    active: bool | None = None
    availability: Literal["available", "break", "offline"] | None = None
    working_hours: dict[str, Any] | None = None
    daily_limit: float | None = Field(None, ge=0, le=1_000_000, allow_inf_nan=False)
    max_open: int | None = Field(None, ge=0, le=1_000_000)
    qualification: float | None = Field(None, gt=0, le=1_000, allow_inf_nan=False)


class NumberedPerson(Person):
    """One whom another system knows by number."""

    external_id: Name
    parameters: Annotated[dict[str, Any], AfterValidator(nfc_of), AfterValidator(storable_values)] = Field(
        default_factory=dict, max_length=MOST_KEYS
    )


def values_of(person: Person, known: ExecutorRow | None) -> dict[str, Any]:
    """What to write of a person: parameters over those they have."""
    given = {"external_id": None} | person.model_dump(exclude_none=True)
    had = known.parameters if known else {}
    return {**given, "parameters": {**had, **person.parameters}}


def changes_in(values: Mapping[str, Any], known: ExecutorRow) -> list[str]:
    """What in these values is new, by the keys of fields and parameters."""
    own = [name for name, value in values.items() if name != "parameters" and getattr(known, name) != value]
    return own + [key for key, value in values["parameters"].items() if known.parameters.get(key) != value]


def differs(values: Mapping[str, Any], known: ExecutorRow | None) -> bool:
    """Whether anything in these values is new."""
    return known is None or bool(changes_in(values, known))
