"""The external system (АИС) as its emulator plays it, on a socket of its own in a thread of this process."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from ais_emulator.main import create_app
from ais_emulator.state import EmulatedFaults, EmulatorSettings, Store


@dataclass(frozen=True, slots=True)
class External:
    """Its port, and what it holds."""

    port: int
    store: Store

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def behave(self, **faults: Any) -> None:
        """Change how it behaves."""
        self.store.faults = EmulatedFaults.model_validate({**self.store.faults.model_dump(), **faults})

    def inversions(self) -> int:
        """Messages that came after a later one of the same task."""
        highest: dict[int, int] = {}
        found = 0
        for task_id, sequence in self.store.log:
            found += sequence < highest.get(task_id, 0)
            highest[task_id] = max(sequence, highest.get(task_id, 0))
        return found


@contextlib.contextmanager
def external_system(seed: int, *, delay: float = 0.0) -> Iterator[External]:
    """Serve a faithful one whose answers take up to so many seconds."""
    app = create_app(EmulatorSettings(delay_min=0, delay_max=delay, seed=seed))
    with on_a_socket(app) as port:
        yield External(port, app.state.store)


@contextlib.contextmanager
def on_a_socket(app: Any) -> Iterator[int]:
    """Serve an application in a thread; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
