"""Python programs as processes. A start by fork saves the imports."""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from tests.fork_server import receive
from tests.harness.processes import ROOT, Process

Stream = int | IO[Any]
"""A stream for :class:`subprocess.Popen`: ``PIPE``, ``DEVNULL`` or a file."""
READ_AT_START = ("PYTHON", "LD_", "DYLD_", "LC_", "LANG")
"""Prefixes of the environment variables that the loader and the interpreter read at their start."""


def start_program(
    module: str,
    arguments: Sequence[str],
    *,
    stdin: Stream,
    stdout: Stream,
    stderr: Stream,
    environment: Mapping[str, str],
    cwd: Path = ROOT,
    prepare: Callable[[], None] | None = None,
) -> Process:
    """Start ``python -m module``, by fork unless it needs a new interpreter.

    :param module: has a ``main()`` that reads ``sys.argv``.
    :param environment: all variables.
    :param prepare: is called in the new process before its program starts.
    """
    names = [name for name in {*environment, *os.environ} if name.startswith(READ_AT_START)]
    if prepare is None and all(environment.get(name) == os.environ.get(name) for name in names):
        return fork_server(module).start(arguments, (stdin, stdout, stderr), environment, cwd)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env=environment,
        cwd=cwd,
        preexec_fn=prepare,
    )


@functools.cache
def fork_server(module: str) -> "ForkServer":
    """The fork server of a module. It starts with its first process, and ends with this process."""
    server = ForkServer(module)
    atexit.register(server.stop)
    return server


class ForkServer:
    """A process that has imported a module, and forks processes that run the module's ``main()``."""

    def __init__(self, module: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )

    def start(
        self, arguments: Sequence[str], streams: Sequence[Stream], environment: Mapping[str, str], cwd: Path
    ) -> "ForkedProcess":
        """Fork a process. ``streams`` are its standard input, output and error."""
        request = {"arguments": [*arguments], "environment": {**environment}, "cwd": str(cwd)}
        with ExitStack() as theirs:
            opened = [_open(stream, number, theirs) for number, stream in enumerate(streams)]
            pid = self.ask({"start": request}, [descriptor for descriptor, _ in opened])
        return ForkedProcess(self, pid, [ours for _, ours in opened])

    def ask(self, request: object, descriptors: Sequence[int] = ()) -> Any:
        """Send a request, and wait for the reply."""
        message = json.dumps(request).encode() + b"\n"
        with self._lock:
            sent = socket.send_fds(self._socket, [message], descriptors)
            self._socket.sendall(message[sent:])
            response, _ = receive(self._socket)
        if response is None:
            raise RuntimeError(f"the fork server has ended with status {self._process.wait(10)}")
        return response["done"]

    def stop(self) -> None:
        """Stop the server. Its forked processes continue."""
        self._socket.close()
        self._process.wait(10)


def _open(stream: Stream, number: int, theirs: ExitStack) -> tuple[int, IO[str] | None]:
    """The descriptor for the new process, which ``theirs`` closes here, and this process's end of a pipe."""
    ours = None
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        descriptor, own = (reading, writing) if number == 0 else (writing, reading)
        ours = os.fdopen(own, "w" if number == 0 else "r")
    elif stream == subprocess.DEVNULL:
        descriptor = os.open(os.devnull, os.O_RDWR)
    else:
        descriptor = os.dup(stream if isinstance(stream, int) else stream.fileno())
    theirs.callback(os.close, descriptor)
    return descriptor, ours


class ForkedProcess:
    """A process that a fork server has started."""

    def __init__(self, server: ForkServer, pid: int, streams: Sequence[IO[str] | None]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self._server = server
        self._lock = threading.Lock()
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative after a signal; None while the process runs."""
        with self._lock:
            if self._status is None:
                self._status = self._server.ask({"poll": self.pid})
            return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status. Raises TimeoutExpired after ``timeout`` seconds."""
        started, pause = time.monotonic(), 0.001
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - started > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        return status

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)
