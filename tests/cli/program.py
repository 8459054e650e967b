"""Runs the program as a user does."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from tests.harness import start_program

PROGRAM = Path(sysconfig.get_path("scripts")) / "influxdb3-notifier"
MODULE = [sys.executable, "-m", "influxdb3_notifier"]


@dataclass
class Done:
    """The result of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    def lines(self) -> list[str]:
        """Standard output."""
        return self.out.splitlines()


def heed_interrupts() -> None:
    """Let SIGINT end a program, even if the tests run with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(
    *arguments: object,
    program: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> Done:
    """Run a command line, and wait for its end.

    :param program: what is executed; None: a process that has imported the program already, and is forked for this.
    :param environment: variables besides this process's own.
    """
    words = [str(argument) for argument in arguments]
    variables = {**os.environ, **(environment or {})}
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        process = (
            subprocess.Popen([*program, *words], stdin=given, stdout=out, stderr=err, env=variables, cwd=cwd, text=True)
            if program
            else start_program(
                "influxdb3_notifier.__main__",
                words,
                stdin=given,
                stdout=out,
                stderr=err,
                environment=variables,
                cwd=cwd or Path.cwd(),
            )
        )
        try:
            status = process.wait(50)
        finally:
            process.kill()
        return Done(status, _content(out), _content(err))


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()
