"""What the tests of the engine host stand on: plugins given as text, and where they meet the test."""

import http.client
import json
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.engine_host import EngineHost
from tests.engine_host.trigger import ErrorBehavior

HEADS = {
    "request": "def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):\n",
    "schedule": "def process_scheduled_call(influxdb3_local, call_time, args=None):\n",
    "writes": "def process_writes(influxdb3_local, table_batches, args=None):\n",
}
BLOCK = """
import engine_host_meeting as meeting
meeting.entered.release()
meeting.gate.wait(10)
return {"done": True}
"""


@dataclass
class Reply:
    """An answer over HTTP."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def json(self) -> object:
        """The body read as JSON."""
        return json.loads(self.text)

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Host:
    """An engine host whose plugins are given as text."""

    def __init__(self, engine: EngineHost) -> None:
        self.engine = engine
        # Plugins share the interpreter with the tests; this is where they meet.
        sys.modules["engine_host_meeting"] = self  # type: ignore[assignment]
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.notes: list[object] = []

    def plugin(
        self,
        body: str,
        name: str = "t",
        spec: str | None = None,
        *,
        asynchronous: bool = True,
        arguments: object = None,
        error_behavior: ErrorBehavior = "log",
    ) -> None:
        """Create a trigger whose function has ``body``; without ``spec``, one for requests to a route of its name."""
        spec = spec or f"request:{name}"
        self.write_plugin(body, name, spec)
        self.engine.create_trigger(
            name,
            path=f"{name}.py",
            spec=spec,
            run_asynchronous=asynchronous,
            arguments=arguments,  # type: ignore[arg-type]
            error_behavior=error_behavior,
        )

    def write_plugin(self, body: str, name: str, spec: str) -> None:
        """Put the plugin's file where it belongs, as it is or anew."""
        kind = spec.partition(":")[0]
        head = HEADS["request" if kind == "request" else "schedule" if kind in ("every", "cron") else "writes"]
        (self.engine.plugin_dir / f"{name}.py").write_text(head + textwrap.indent(textwrap.dedent(body), "    "))

    def send(
        self,
        route: str = "t",
        *,
        method: str = "POST",
        body: bytes = b"",
        headers: list[tuple[str, str]] | None = None,
    ) -> Reply:
        """A request to a trigger."""
        return self.http(method, f"/api/v3/engine/{route}", body=body, headers=headers)

    def write(self, body: str | bytes, query: str = "", headers: list[tuple[str, str]] | None = None) -> Reply:
        """A write of line protocol to the triggers' database, which does not wait unless ``query`` has it wait."""
        path = f"/api/v3/write_lp?db=notifications&no_sync=true{query}"
        return self.http("POST", path, body=body if isinstance(body, bytes) else body.encode(), headers=headers)

    def http(self, method: str, path: str, *, body: bytes = b"", headers: list[tuple[str, str]] | None = None) -> Reply:
        """One request and its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=20)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers or []:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        reply = Reply(response.status, response.getheaders(), response.read().decode())
        connection.close()
        return reply

    def texts(self, trigger: str = "t") -> list[str]:
        """The texts of the trigger's log rows, oldest first."""
        return [row["log_text"] for row in self.engine.logs(trigger)]

    def errors(self, trigger: str = "t") -> list[str]:
        """The texts of the trigger's log rows of level ERROR."""
        return [row["log_text"] for row in self.engine.logs(trigger) if row["log_level"] == "ERROR"]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``, at most five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
