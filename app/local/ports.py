"""Whether a port can be listened on, told before a server fails at it."""

import multiprocessing
import os
import socket
from collections.abc import Mapping, Sequence


class PortTaken(RuntimeError):
    """Another program listens on a port; the message names it and the remedy."""


def must_be_free(host: str, port: int, option: str) -> None:
    """Raise PortTaken where nothing can listen on this port; `option` is what chooses another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {host}:{port} ({error.strerror}): choose another {option}"
            ) from None


def of_uvicorn(
    arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> tuple[str, int] | None:
    """Return where uvicorn's command line will listen; None where this is not such a process, or a child of it.

    The parent of several processes, or of one that is reloaded, has opened the port itself.
    """
    if "uvicorn" not in "".join(arguments[:1]) or multiprocessing.parent_process() is not None:
        return None
    told = {
        "--host": environment.get("UVICORN_HOST", "127.0.0.1"),
        "--port": environment.get("UVICORN_PORT", "8000"),
    }
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, sign, value = argument.partition("=")
        told[name] = value if sign else following
    if "--uds" in told or "--fd" in told or not told["--port"].isdigit():
        return None
    return told["--host"], int(told["--port"])
