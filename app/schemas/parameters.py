"""The parameter catalogue as the API speaks of it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.rule_engine import ParameterType
from app.schemas.common import Flag, Number, Reference, Text, Whole

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class Option(BaseModel):
    """A value that may be chosen, with its labels."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"value": "omsk", "label_ru": "Омск"}]})

    value: str | int | float | bool
    label_ru: Text = ""
    label_en: Text = ""


class ParameterFields(BaseModel):
    """Fields of a parameter that may change later."""

    model_config = ConfigDict(extra="forbid")

    label_ru: Text = ""
    label_en: Text = ""
    options: list[Option] = Field(default_factory=list, max_length=1000)
    required: Flag = False
    default: Any = None
    minimum: Number | None = None
    maximum: Number | None = None
    open_options: Flag = Field(False, description="New options are taken as they come.")
    deprecated: Flag = False
    position: Whole = Field(0, ge=-(2**31), lt=2**31)


class ParameterIn(ParameterFields):
    """A new parameter."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"owner": "task", "key": "amount", "type": "number", "label_ru": "Сумма", "minimum": 0}
            ]
        },
    )

    pool_id: Reference | None = None
    owner: Literal["task", "executor"]
    key: Key
    type: ParameterType


class ParameterChange(ParameterFields):
    """Changes of a parameter; omitted fields stay as they are. Owner, key and type stay for good."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"label_ru": "Сумма договора", "position": 2}]}
    )


class ParameterOut(ParameterFields):
    """A parameter as it is now."""

    parameter_id: int
    pool_id: int
    owner: Literal["task", "executor"]
    key: str
    type: ParameterType


class ParameterList(BaseModel):
    """A pool's catalogue."""

    items: list[ParameterOut]
