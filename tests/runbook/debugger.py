"""A debugger that attaches to `debugpy --wait-for-client`, as an editor does, by the Debug Adapter Protocol."""

import json
import socket
import time
from typing import Any

_PATIENCE = 300.0


def attach(port: int) -> None:
    """Attach and let the program go on. Raises OSError where nothing listens in time."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    with connection, connection.makefile("rwb") as stream:
        _send(stream, 1, "initialize", {"adapterID": "run book"})
        _send(stream, 2, "attach", {"type": "debugpy", "request": "attach", "justMyCode": True})
        while (message := _receive(stream)).get("event") != "initialized":
            assert message.get("success", True), message
        _send(stream, 3, "configurationDone", {})
        while message.get("request_seq") != 3:  # it goes on from here, also after we have left
            message = _receive(stream)


def _send(stream: Any, number: int, command: str, arguments: dict[str, object]) -> None:
    body = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
    stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    stream.flush()


def _receive(stream: Any) -> dict[str, Any]:
    length = 0
    while (line := stream.readline().strip()) or not length:
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    message: dict[str, Any] = json.loads(stream.read(length))
    return message
