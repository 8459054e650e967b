"""A program that is started by fork runs and exits as in a new interpreter."""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from io import TextIOWrapper
from pathlib import Path

import pytest

from tests.harness import ROOT, Process, start_program


def main() -> None:
    """The program of these tests: prints its arguments and environment, and exits at the end of its standard input."""
    atexit.register(print, "at exit")
    started = {"argv": sys.argv[1:], "cwd": str(Path.cwd()), "threads": threading.active_count()}
    print(json.dumps(started | {"variables": sorted(os.environ)}), flush=True)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        # Fails on a stream that knows another file than the one that it writes to.
        stream.reconfigure(errors="backslashreplace")
    print(sys.stdin.read(), file=sys.stderr)
    sys.exit(3)


def start(directory: Path, *arguments: str, **variables: str) -> Process:
    """Start the program in a directory, with these variables alone."""
    own = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "LD_", "LC_", "LANG"))}
    pipe = subprocess.PIPE
    return start_program(
        __name__, arguments, stdin=pipe, stdout=pipe, stderr=pipe, environment=own | variables, cwd=directory
    )


def read(process: Process) -> tuple[list[str], str]:
    """Close the program's standard input, and return its output."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write("given")
    process.stdin.close()
    return process.stdout.read().splitlines(), process.stderr.read()


def test_a_forked_program_gets_its_input_and_exits_like_any_program(tmp_path: Path) -> None:
    processes = [start(tmp_path, str(number), ONE="1") for number in range(2)]
    for number, process in enumerate(processes):
        assert not isinstance(process, subprocess.Popen)
        assert process.poll() is None
        (started, *rest), errors = read(process)
        found = json.loads(started)
        assert (found["argv"], found["cwd"], found["threads"]) == ([str(number)], str(tmp_path), 1)
        assert [name for name in found["variables"] if not name.startswith(("PYTHON", "LD_", "LC_", "LANG"))] == ["ONE"]
        assert (rest, errors) == (["at exit"], "given\n")
        assert process.wait(10) == process.poll() == 3


def test_a_forked_program_that_is_killed_has_the_signal_as_its_status(tmp_path: Path) -> None:
    process = start(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    process.kill()


def test_a_program_with_a_variable_that_is_read_at_the_start_gets_an_interpreter_of_its_own() -> None:
    process = start(ROOT, PYTHONWARNINGS="default")
    assert isinstance(process, subprocess.Popen)
    assert read(process)[1] == "given\n"
    assert process.wait(10) == 3


if __name__ == "__main__":
    main()
