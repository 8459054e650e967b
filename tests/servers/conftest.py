"""What the tests against real servers share."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import eventually

Start = Callable[..., "subprocess.Popen[bytes]"]


def program(name: str, package: str) -> str:
    """The program's path; without it the test is not run, and says so."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(command, ready)``: a process that ends with the test, once ``ready()`` is true."""
    with ExitStack() as stack:

        def start(command: list[str], ready: Callable[[], bool]) -> "subprocess.Popen[bytes]":
            log = stack.enter_context((tmp_path / "server.log").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(end, process)

            def is_ready() -> bool:
                said = (tmp_path / "server.log").read_text(errors="replace")
                assert process.poll() is None, f"{command[0]} ended:\n{said[-2000:]}"
                return ready()

            eventually(is_ready, f"{command[0]} is ready", timeout=30)
            return process

        yield start


def end(process: "subprocess.Popen[bytes]") -> None:
    """End it, gently first."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
