"""A process that imports a program, and forks processes that run it without another import.

``python -m tests.fork_server MODULE DESCRIPTOR`` has one thread, imports the module, and reads requests from the socket
that it has inherited: ``start`` brings the standard streams of the new process along, ``poll`` asks for an exit status.
:mod:`tests.harness.programs` is the other end.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any


def main() -> None:
    """Serve until the socket closes. In a forked process: run the module's program."""
    module, descriptor = sys.argv[1:]
    program = importlib.import_module(module).main
    # Its pages stay shared: no garbage collection of a forked process writes to the imported modules.
    gc.freeze()
    # Ctrl-C ends the tests, and that closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(descriptor)) as control:
        while True:
            request, descriptors = receive(control)
            if request is None:
                return
            if "poll" in request:
                done = _poll(request["poll"])
            else:
                done = os.fork()
                if done == 0:
                    break
                for inherited in descriptors:
                    os.close(inherited)
            control.sendall(json.dumps({"done": done}).encode() + b"\n")
    _prepare(module, request["start"], descriptors)
    # Exit as any program does, with threads and exit handlers.
    sys.exit(program())


def receive(control: socket.socket) -> tuple[Any, list[int]]:
    """A message, and the descriptors that came with it; None at the end."""
    message, descriptors, _, _ = socket.recv_fds(control, 65536, 3)
    while message and not message.endswith(b"\n"):
        message += control.recv(65536)
    return json.loads(message or b"null"), descriptors


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _prepare(module: str, request: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Reset the state of a forked process to that of a new one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
        name = ("stdin", "stdout", "stderr")[number]
        before = getattr(sys, name)
        # Open the stream again, because a pipe is not seekable as the server's file may be.
        stream = os.fdopen(
            number,
            "w" if number else "r",
            buffering=1 if number == 2 else -1,
            encoding=before.encoding,
            errors=before.errors,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = [module, *request["arguments"]]


if __name__ == "__main__":
    main()
