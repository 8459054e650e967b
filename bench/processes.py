"""The processes of a run beside the sink: one for each contender."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.messages import Notification
from bench.rows import APPRISE, HTTPX, LIMIT, NOOP, OURS
from tests.harness import http_request

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "bench" / "plugins"
PLUGIN_FILES = {
    OURS: ROOT / "notifier_plugin.py",
    HTTPX: PLUGINS / "httpx_twilio.py",
    APPRISE: PLUGINS / "apprise_peer.py",
    NOOP: PLUGINS / "ten_lines.py",
}


def program(name: str) -> Path:
    """The path of a native program of ``make bench``."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / name
    if not path.exists():
        raise RuntimeError(f"{path} is not there: make bench")
    return path


def environment() -> dict[str, str]:
    """This process's environment without proxy settings and similar variables."""
    astray = ("_proxy", "_PROXY", "TWILIO_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not any(part in key for part in astray)}
    return kept | {"PYTHONPATH": str(ROOT)}


class Program:
    """A process that reads jobs as lines of JSON, and exits at the end of its standard input."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def read(self) -> Any:
        """Read the next line of its output."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, job: dict[str, Any]) -> Any:
        """Send a job, and wait for its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self.read()

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True)
class Call:
    """The cost of one call. ``cpu_ns`` is user and system time of all threads of the contender's process."""

    wall_ns: int
    cpu_ns: int
    delivered: int
    delivered_ns: list[int | None]
    """The delivery times of the messages, in the order of the notification; None: undelivered or unknown."""
    resident_before: int = 0
    """The resident memory of the worker before the call, in bytes."""
    counted: float = 0
    """The counts per second of a thread of the same process during the call."""


class Contender(Program):
    """A contender in a new process."""

    def __init__(self, name: str) -> None:
        self.name = name
        is_native = name == LIMIT
        worker = [sys.executable, "-m", "bench.worker"]
        super().__init__([str(program("limit"))] if is_native else [*worker, str(PLUGIN_FILES[name])])

    def send(self, notification: Notification, times: int = 1) -> list[Call]:
        """Send a notification ``times`` times in sequence."""
        return self._send(notification, times, {}, {})

    def send_counting(self, notification: Notification, times: int) -> list[Call]:
        """Send a notification ``times`` times, while a thread of the same process counts."""
        return self._send(notification, times, {}, {"count": True})

    def send_in_vain(self, notification: Notification, timeout_ms: int) -> Call:
        """Send a notification to silent destinations. The limit has this timeout; other contenders have their own."""
        return self._send(notification, 1, {"timeout_ms": timeout_ms}, {"read": False})[0]

    def _send(
        self, notification: Notification, times: int, limits: dict[str, Any], workers: dict[str, Any]
    ) -> list[Call]:
        if self.name == LIMIT:
            job = {"requests": notification.wire, **limits}
        else:
            job = {"request": notification.request, "arguments": notification.arguments, **workers}
        return [Call(**call) for call in self.ask({"do": "send", "times": times, **job})]


@dataclass(frozen=True)
class EngineHostProcess:
    """The tests' engine host in a separate process, with the plugin file."""

    pid: int
    url: str

    def create_trigger(self, route: str, file: str, arguments: dict[str, str] | None = None) -> str:
        """Create a request trigger; returns its address."""
        trigger = {
            "name": route,
            "path": file,
            "spec": f"request:{route}",
            "arguments": arguments,
            "run_asynchronous": True,
        }
        http_request("POST", f"{self.url}/_host/triggers", body=json.dumps(trigger).encode())
        return f"{self.url}/api/v3/engine/{route}"


@contextmanager
def engine_host(directory: Path) -> Iterator[EngineHostProcess]:
    """Start an engine host with plugins in the directory. ``notify.py`` is the notifier's plugin file."""
    (directory / "notify.py").write_text(PLUGIN_FILES[OURS].read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", str(directory), "--path", "notify.py"]
    with Program([*command, "--without-auth", "--until-stdin-closes"]) as host:
        yield EngineHostProcess(host.pid, host.read()["url"])
