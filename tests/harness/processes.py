"""Waiting for what comes to be, processes of ours that say when they are ready, and where the repository is."""

import json
import random
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = ROOT / "notifier_plugin.py"


def eventually(condition: Callable[[], Any], what: str = "", *, timeout: float = 10.0) -> Any:
    """Ask again until the result of ``condition`` is truthy, and return it; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(0.005)
    return result


def until_json_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The one line of JSON that our programs print when they are ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with status {process.wait()} before it was ready")
    ready = json.loads(line)
    assert isinstance(ready, dict)
    return ready


NOT_FOR_CONNECTIONS = (20_000, 30_000)
"""Below the ports that Linux, macOS and Windows give to connections by default."""


def free_port() -> int:
    """A port on loopback that nobody listens on just now.

    Not one that the system gives to connections: one of another process might have it a moment later.
    """
    while True:
        port = random.randrange(*NOT_FOR_CONNECTIONS)  # noqa: S311
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
