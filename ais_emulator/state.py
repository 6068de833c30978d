"""State of the emulated system, and its planned misbehaviour."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EmulatedFaults(BaseModel):
    """How the system behaves; change it while it runs by POST /ais/admin/faults."""

    model_config = ConfigDict(extra="forbid")

    delay_min: float = Field(2.0, ge=0, le=600, description="Shortest time to answer, in seconds.")
    delay_max: float = Field(10.0, ge=0, le=600, description="Longest time to answer, in seconds.")
    error_rate: float = Field(0.0, ge=0, le=1, description="Share of requests answered with 500.")
    lost_answer_rate: float = Field(
        0.0, ge=0, le=1, description="Share taken in and answered with 504 anyway."
    )
    refuse_rate: float = Field(0.0, ge=0, le=1, description="Share of single assignments refused for good.")
    forget_rate: float = Field(
        0.0, ge=0, le=1, description="Share of single assignments accepted and then lost."
    )
    outage: bool = Field(False, description="Answer everything with 503.")
    reorder: bool = Field(False, description="Apply what was accepted later, in any order.")


class EmulatorSettings(BaseSettings):
    """The environment: AIS_DELAY_MIN, AIS_DELAY_MAX, AIS_ERROR_RATE, AIS_SEED."""

    model_config = SettingsConfigDict(env_prefix="AIS_", extra="ignore")

    delay_min: float = 2.0
    delay_max: float = 10.0
    error_rate: float = 0.0
    seed: int | None = None


class AssignmentMessage(BaseModel):
    """A message of the balancer about a task. `sequence` grows with each message about the same task."""

    model_config = ConfigDict(extra="ignore")

    delivery_id: int
    task_id: int
    sequence: int
    event: str
    status: str
    external_id: str | None = None
    executor_id: int | None = None
    executor_external_id: str | None = None
    at: str | None = None
    reason: str = ""


@dataclass
class Counters:
    """Counts of messages since the start, for tests."""

    requests: int = 0
    failed: int = 0
    accepted: int = 0
    duplicates: int = 0
    stale_refused: int = 0
    refused: int = 0
    forgotten: int = 0


@dataclass
class Store:
    """Everything in memory: it is an emulator."""

    faults: EmulatedFaults
    random: random.Random
    executors: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    assignments: dict[int, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[int, int]] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    _later: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, settings: EmulatorSettings) -> "Store":
        """An empty system that behaves as the environment says."""
        faults = EmulatedFaults(
            delay_min=settings.delay_min, delay_max=settings.delay_max, error_rate=settings.error_rate
        )
        return cls(faults, random.Random(settings.seed))  # noqa: S311 - plays chance, guards nothing

    def happens(self, rate: float) -> bool:
        """Whether something that happens at this rate happens now."""
        return rate > 0 and self.random.random() < rate

    def delay(self) -> float:
        """How long this time."""
        low, high = sorted((self.faults.delay_min, self.faults.delay_max))
        return self.random.uniform(low, high)

    def take(self, message: AssignmentMessage) -> dict[str, Any]:
        """Accept a message, or refuse it for good; the answer for its sender."""
        if self.happens(self.faults.refuse_rate):
            self.counters.refused += 1
            return {
                "delivery_id": message.delivery_id,
                "accepted": False,
                "reason": "refused by the emulator",
            }
        self.counters.accepted += 1
        if self.happens(self.faults.forget_rate):
            self.counters.forgotten += 1
        elif self.faults.reorder:
            later = asyncio.create_task(self._apply_later(message))
            self._later.add(later)
            later.add_done_callback(self._later.discard)
        else:
            self._apply(message)
        return {"delivery_id": message.delivery_id, "accepted": True}

    async def _apply_later(self, message: AssignmentMessage) -> None:
        await asyncio.sleep(self.delay())
        self._apply(message)

    def _apply(self, message: AssignmentMessage) -> None:
        """Keep the newest by its sequence; what is older changes nothing, the same again says the same."""
        self.log.append((message.task_id, message.sequence))
        known = self.assignments.get(message.task_id)
        if known and known.get("sequence", 0) > message.sequence:
            self.counters.stale_refused += 1
            return
        self.counters.duplicates += bool(known and known.get("sequence") == message.sequence)
        shown = message.model_dump()
        self.assignments[message.task_id] = {**shown, "received_at": datetime.now(UTC).isoformat()}
