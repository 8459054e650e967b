"""Waiting for what comes to be, processes of ours that say when they are ready, and where the repository is."""

import json
import socket
import subprocess
import time
from collections.abc import Callable
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


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
