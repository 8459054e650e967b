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
from typing import Any

PROGRAM = Path(sysconfig.get_path("scripts")) / "influxdb3-notifier"
MODULE = [sys.executable, "-m", "influxdb3_notifier"]


@dataclass
class Done:
    """What came of a command."""

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
    """Have a program die of SIGINT, which whoever runs the tests in the background may have them and it ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(
    *arguments: object,
    program: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> Done:
    """Run a command line to its end.

    :param environment: variables besides this process's own.
    """
    process = subprocess.run(
        [*(program or [str(PROGRAM)]), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        timeout=50,
    )
    return Done(process.returncode, process.stdout.decode(), process.stderr.decode())
