"""Whether the system lives, and whether it can serve."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app import __version__
from app.api.deps import ExaminationDep, LanguageDep
from app.api.problems import problems
from app.api.strict import StrictRoute
from app.errors import Unavailable
from app.messages.catalogue import Language, told
from app.messages.message import joined, say
from app.services.live.health import Part

router = APIRouter(prefix="/v1/health", route_class=StrictRoute, tags=["system"])


class SilentOut(BaseModel):
    """Receivers that do not answer; what is for them waits."""

    model_config = ConfigDict(from_attributes=True)

    receiver: Literal["ais", "webhook"]
    count: int
    since: datetime


class PartOut(BaseModel):
    """A part of the system."""

    status: Literal["up", "down"]
    needed: bool = Field(description="Without it no request can be served.")
    detail: str = Field("", description="What is wrong, in the language of Accept-Language.")
    silent: list[SilentOut] = Field(default_factory=list, description="Receivers that do not answer.")


class HealthOut(BaseModel):
    """How the system is."""

    status: Literal["ok", "degraded"] = Field(description="degraded: some part is down.")
    version: str
    parts: dict[str, PartOut]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("")
async def get_health(examination: ExaminationDep, language: LanguageDep) -> HealthOut:
    """How the system and its parts are; always answered with 200."""
    return _health(await examination.parts(), language)


@router.get("/live")
async def get_liveness() -> Alive:
    """Whether the process answers: asks nobody else. Restart it where this fails."""
    return Alive()


@router.get("/ready", responses=problems(503))
async def get_readiness(examination: ExaminationDep, language: LanguageDep) -> HealthOut:
    """Whether requests can be served; 503 names what is down. Send no traffic where this fails."""
    parts = await examination.parts()
    health = _health(parts, language)
    down = [
        say("{part}: {detail}", part=part.name, detail=part.detail)
        for part in parts
        if part.needed and not part.up
    ]
    if down:
        raise Unavailable(joined(down), parts=health.model_dump()["parts"])
    return health


def _health(parts: list[Part], language: Language) -> HealthOut:
    return HealthOut(
        status="ok" if all(part.up for part in parts) else "degraded",
        version=__version__,
        parts={
            part.name: PartOut(
                status="up" if part.up else "down",
                needed=part.needed,
                detail=told(part.detail, language),
                silent=[SilentOut.model_validate(each) for each in part.silent],
            )
            for part in parts
        },
    )
