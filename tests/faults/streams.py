"""An outbox on a NATS server, and workers that deliver from it."""

import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.faults.isolation import MARK
from tests.faults.site import KEY, Site
from tests.harness import Process, Standin, start_program
from tests.harness.nats import NatsServer

PASSWORD = MARK + "-password"


class Streams(Site):
    """A plugin directory whose outbox is on a NATS server."""

    def __init__(self, directory: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> None:
        super().__init__(directory, standin, stack)
        self.server = server
        self.use(server.url)

    def use(self, servers: str, more: str = "") -> None:
        """Set the servers in the configuration file."""
        lines = self.config.read_text().splitlines()
        lines = [line for line in lines if not line.startswith(("outbox =", "nats_", "delivered_by"))]
        place = lines.index("[settings]") + 1
        self.configure("\n".join([*lines[:place], f'outbox = "{servers}"', *more.splitlines(), *lines[place:], ""]))

    def lapse(self) -> None:
        """Expire the leases of dead processes."""
        self.server.lapse()

    def worker(
        self, *options: str, log: int = subprocess.PIPE, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a worker with the same configuration."""
        process = start_program(
            "influxdb3_notifier.__main__",
            ["worker", "--config", str(self.config), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            environment={**os.environ, "OUTBOX_KEY": KEY, "NATS_LOGIN": f"alerts:{PASSWORD}", **(environment or {})},
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


def until_line(process: Process, part: str) -> str:
    """Wait for the first line of a worker's output that contains ``part``."""
    assert process.stderr is not None
    for line in process.stderr:
        if part in line:
            return line
    raise AssertionError(f"it has ended without a line with {part!r}")
