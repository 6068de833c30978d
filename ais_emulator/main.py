"""The emulated external system over HTTP: `uvicorn ais_emulator.main:app --port 8090`.

Every answer takes 2 to 10 seconds, as the real one's do. What is accepted is kept before the wait, so that a client
that gives up meanwhile was heard all the same.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ais_emulator.state import AssignmentMessage, EmulatedFaults, EmulatorSettings, Store

Ids = Annotated[list[int] | None, Query(description="Only these.")]


class AisExecutor(BaseModel):
    """A person as the external system knows them."""

    model_config = ConfigDict(extra="allow")

    external_id: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1, max_length=200)


class AisTask(BaseModel):
    """A task as the external system knows it."""

    model_config = ConfigDict(extra="allow")

    external_id: str = Field(min_length=1, max_length=200)


class AssignmentsIn(BaseModel):
    """Messages about different tasks."""

    assignments: list[AssignmentMessage] = Field(min_length=1, max_length=1000)


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


StoreDep = Annotated[Store, Depends(_store)]

system = APIRouter(prefix="/ais")
admin = APIRouter(prefix="/ais/admin")


async def _answer(store: Store, answer: Any) -> Any:
    """The answer, late; or a failure after everything was done."""
    await asyncio.sleep(store.delay())
    if store.happens(store.faults.lost_answer_rate):
        store.counters.failed += 1
        raise HTTPException(504, "the answer was lost on its way")
    return answer


async def _up(store: StoreDep) -> Store:
    store.counters.requests += 1
    if store.faults.outage:
        store.counters.failed += 1
        raise HTTPException(503, "the system is down", {"Retry-After": "5"})
    if store.happens(store.faults.error_rate):
        store.counters.failed += 1
        await asyncio.sleep(store.delay())
        raise HTTPException(500, "the system failed")
    return store


UpDep = Annotated[Store, Depends(_up)]


@system.get("/executors")
async def list_executors(store: UpDep) -> Any:
    """All executors."""
    return await _answer(store, {"items": list(store.executors.values())})


@system.post("/executors", status_code=201)
async def put_executors(people: list[AisExecutor], store: UpDep) -> Any:
    """Add people, or say anew who they are."""
    store.executors.update({person.external_id: person.model_dump() for person in people})
    return await _answer(store, {"count": len(people)})


@system.get("/tasks")
async def list_tasks(store: UpDep) -> Any:
    """Every task that was sent here."""
    return await _answer(store, {"items": list(store.tasks.values())})


@system.post("/tasks", status_code=201)
async def put_tasks(tasks: list[AisTask], store: UpDep) -> Any:
    """Add tasks, or say anew what they are."""
    store.tasks.update({task.external_id: task.model_dump() for task in tasks})
    return await _answer(store, {"count": len(tasks)})


@system.get("/assignments")
async def list_assignments(store: UpDep, task_id: Ids = None) -> Any:
    """Current assignments, as this system sees them."""
    wanted = store.assignments if task_id is None else task_id
    shown = [store.assignments[number] for number in wanted if number in store.assignments]
    return await _answer(store, {"items": shown})


@system.post("/assignments")
async def put_assignments(body: AssignmentsIn, store: UpDep) -> Any:
    """Take in what was decided; each message is accepted or refused on its own."""
    return await _answer(store, {"results": [store.take(message) for message in body.assignments]})


@admin.get("/faults")
async def get_faults(store: StoreDep) -> EmulatedFaults:
    """How it behaves now."""
    return store.faults


@admin.post("/faults")
async def set_faults(faults: dict[str, Any], store: StoreDep) -> EmulatedFaults:
    """Change what is sent of its behaviour, from the next request on."""
    store.faults = EmulatedFaults.model_validate({**store.faults.model_dump(), **faults})
    return store.faults


@admin.get("/stats")
async def get_stats(store: StoreDep) -> dict[str, Any]:
    """Counts of messages since the start."""
    known = {"executors": len(store.executors), "tasks": len(store.tasks), "shown": len(store.assignments)}
    return {**asdict(store.counters), **known}


@admin.post("/assignments/{task_id}")
async def alter_assignment(task_id: int, changes: dict[str, Any], store: StoreDep) -> dict[str, Any]:
    """Let this system show something else than it was told, as if somebody had changed it by hand."""
    store.assignments[task_id] = {**store.assignments.get(task_id, {"task_id": task_id}), **changes}
    return store.assignments[task_id]


@admin.post("/reset")
async def reset(store: StoreDep) -> dict[str, bool]:
    """Forget everything but the behaviour."""
    store.executors.clear()
    store.tasks.clear()
    store.assignments.clear()
    store.log.clear()
    return {"reset": True}


def create_app(settings: EmulatorSettings | None = None) -> FastAPI:
    """An emulator with a memory of its own."""
    emulator = FastAPI(title="АИС emulator", description=__doc__, redirect_slashes=False)
    emulator.state.store = Store.of(settings or EmulatorSettings())
    emulator.include_router(system)
    emulator.include_router(admin)
    return emulator


app = create_app()
