"""An engine host in a separate process, for tests with another environment, few descriptors, forks or kills."""

import ctypes
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import quote

from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import TriggerOptions
from tests.harness.http import Client
from tests.harness.processes import PLUGIN, until_json_line
from tests.harness.programs import start_program


def drop_capabilities() -> None:
    """Drop the capabilities that let the superuser ignore file modes (capabilities(7))."""
    pr_capbset_drop, cap_dac_override, cap_dac_read_search = 24, 1, 2
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (cap_dac_override, cap_dac_read_search):
        if libc.prctl(pr_capbset_drop, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


class ProcessEngine:
    """A :class:`tests.harness.Engine` that runs as ``python -m tests.engine_host``.

    :param directory: for the plugin file and what the process prints to standard error; another may have had it.
    :param environment: variables beside this process's own.
    :param descriptors: limit of open files, soft and hard.
    :param privileged: False: file modes hold also where the tests are run by the superuser.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        descriptors: int | None = None,
        privileged: bool = True,
    ) -> None:
        self.plugin_dir = directory / "plugins"
        self.plugin_dir.mkdir(exist_ok=True)
        shutil.copy(PLUGIN, self.plugin_dir)
        self._errors = directory / "stderr"

        def limit() -> None:
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
            if not privileged and os.geteuid() == 0:
                drop_capabilities()

        with self._errors.open("wb") as errors:
            self.process = start_program(
                "tests.engine_host.__main__",
                ["--plugin-dir", str(self.plugin_dir), "--until-stdin-closes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                environment={**os.environ, **(environment or {})},
                prepare=None if descriptors is None and privileged else limit,
            )
        started = until_json_line(self.process)
        self._url: str = started["url"]
        self.token: str | None = started["token"]
        self._client = Client(self._url, bearer(self.token))

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The base address."""
        return self._url

    def errors(self) -> str:
        """The process's standard error output."""
        return self._errors.read_text(errors="replace")

    def create_trigger(self, name: str, **options: Unpack[TriggerOptions]) -> None:
        """Create and enable a trigger."""
        self._control("POST", "triggers", {"name": name, **options})

    def delete_trigger(self, name: str) -> None:
        """Disable and delete a trigger, if the process still runs."""
        if self.process.poll() is None:
            self._control("DELETE", f"triggers/{quote(name)}")

    def run_schedule(self, name: str) -> None:
        """Make a scheduled trigger's call now, and wait until it returns."""
        self._control("POST", f"run/{quote(name)}")

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Rows of the log, oldest first."""
        return list(self._control("GET", "logs" if trigger is None else f"logs?trigger={quote(trigger)}"))

    def lines(self) -> list[str]:
        """The lines that were written to the database."""
        return list(self._control("GET", "lines?db=notifications"))

    def stop(self) -> None:
        """Stop the process, and wait until it exits."""
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _control(self, method: str, what: str, body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        response = self._client.request(method, f"/_host/{what}", content)
        assert response.status == 200, response.text
        return response.json
