"""Waiting for conditions and for processes to be ready, and the paths of the repository."""

import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = ROOT / "notifier_plugin.py"


class Process(Protocol):
    """The common interface of :class:`subprocess.Popen` and a forked process."""

    pid: int

    @property
    def stdin(self) -> IO[str] | None:
        """The pipe to standard input, if there is one."""

    @property
    def stdout(self) -> IO[str] | None:
        """The pipe of standard output, if there is one."""

    @property
    def stderr(self) -> IO[str] | None:
        """The pipe of standard error, if there is one."""

    def poll(self) -> int | None:
        """The exit status, negative after a signal; None while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""

    def kill(self) -> None:
        """Send SIGKILL."""


def eventually(condition: Callable[[], Any], what: str = "", *, timeout: float = 10.0) -> Any:
    """Call ``condition`` until its result is truthy, and return the result; fail after ``timeout`` seconds.

    The pauses grow with the time that has passed: a question costs as much as a request.
    """
    started = time.monotonic()
    while not (result := condition()):
        waited = time.monotonic() - started
        if waited > timeout:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(min(max(0.005, waited / 10), 0.1))
    return result


def until_json_line(process: Process) -> dict[str, Any]:
    """Wait for the line of JSON that a program prints when it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process!r} ended with status {process.wait()} before it was ready")
    ready = json.loads(line)
    assert isinstance(ready, dict)
    return ready


NOT_FOR_CONNECTIONS = (20_000, 30_000)
"""Ports below the ephemeral ranges of Linux, macOS and Windows."""


def free_port() -> int:
    """A loopback port that is free at the moment.

    Not one that the system gives to connections: one of another process might have it a moment later.
    """
    while True:
        port = random.randrange(*NOT_FOR_CONNECTIONS)  # noqa: S311
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
