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
    """A native program, as ``make bench`` has built it."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / name
    if not path.exists():
        raise RuntimeError(f"{path} is not there: make bench")
    return path


def environment() -> dict[str, str]:
    """This process's environment without what would lead requests astray."""
    astray = ("_proxy", "_PROXY", "TWILIO_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not any(part in key for part in astray)}
    return kept | {"PYTHONPATH": str(ROOT)}


class Program:
    """A process that is told what to do by lines of JSON, and ends when its standard input does."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def read(self) -> Any:
        """The next line that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, job: dict[str, Any]) -> Any:
        """Have a job done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self.read()

    def stop(self) -> None:
        """End the process, with whatever it has under way."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True)
class Call:
    """What one call took. ``cpu_ns`` is user and system time of all threads of the contender's process."""

    wall_ns: int
    cpu_ns: int
    delivered: int
    delivered_ns: list[int | None]
    """When each message was delivered, in the order of the notification; None where it was not or nobody says."""
    resident_before: int = 0
    """Bytes of resident memory before the call, of a worker that sends in vain."""
    counted: float = 0
    """What a thread of the same process counted a second meanwhile, where it was to count."""


class Contender(Program):
    """Somebody who delivers, in a fresh process."""

    def __init__(self, name: str) -> None:
        self.name = name
        is_native = name == LIMIT
        worker = [sys.executable, "-m", "bench.worker"]
        super().__init__([str(program("limit"))] if is_native else [*worker, str(PLUGIN_FILES[name])])

    def send(self, notification: Notification, times: int = 1) -> list[Call]:
        """Send a notification, so often, one after another."""
        return self._send(notification, times, {}, {})

    def send_counting(self, notification: Notification, times: int) -> list[Call]:
        """Send a notification, so often, with a thread that counts in the same process meanwhile."""
        return self._send(notification, times, {}, {"count": True})

    def send_in_vain(self, notification: Notification, timeout_ms: int) -> Call:
        """Send what nobody answers; the limit gives up after the timeout, the others by rules of their own."""
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
    """The tests' engine host, in a process of its own, with our plugin file."""

    pid: int
    url: str

    def create_trigger(self, route: str, file: str, arguments: dict[str, str] | None = None) -> str:
        """A trigger for requests; gives its address."""
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
    """An engine host whose plugins are in the directory; ``notify.py`` is ours."""
    (directory / "notify.py").write_text(PLUGIN_FILES[OURS].read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "tests.engine_host", "--plugin-dir", str(directory), "--path", "notify.py"]
    with Program([*command, "--without-auth", "--until-stdin-closes"]) as host:
        yield EngineHostProcess(host.pid, host.read()["url"])
