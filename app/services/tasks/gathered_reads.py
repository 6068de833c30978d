"""Reads tasks for many requests at once: what they ask for while one read is under way is read together by the next.

Where each request read the answer to its own move, that cost several times the move (benchmarks/completions.py).
"""

import asyncio

from app.database import Database
from app.engine.types import TaskId
from app.errors import NotFound
from app.messages.message import say
from app.services.tasks.task_queries import TaskView, get_tasks

_MOST_AT_ONCE = 500


class TaskReader:
    """Gathers concurrent reads of single tasks; one per API process.

    A read begins after it was asked for, so a request finds what it committed before. The views are shared by the
    requests that asked for the same task and must not be changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: list[tuple[TaskId, asyncio.Future[TaskView | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def get_task(self, task_id: TaskId) -> TaskView:
        """One task. Raises NotFound, and what the database raises."""
        future: asyncio.Future[TaskView | None] = asyncio.get_running_loop().create_future()
        self._asked.append((task_id, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        view = await future
        if view is None:
            raise NotFound(say("There is no task {task_id}.", task_id=task_id), task_id=task_id)
        return view

    async def _read_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked[:_MOST_AT_ONCE], self._asked[_MOST_AT_ONCE:]
            try:
                views = await self._read(sorted({task_id for task_id, _ in asked}))
            except Exception as error:  # noqa: BLE001 - each request is answered with it, whatever it is
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
                continue
            for task_id, future in asked:
                if not future.done():
                    future.set_result(views.get(task_id))

    async def _read(self, task_ids: list[TaskId]) -> dict[TaskId, TaskView]:
        async with self._database.session() as session:
            return {TaskId(view.task.id): view for view in await get_tasks(session, task_ids=task_ids)}
