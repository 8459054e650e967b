"""Support for the tests of the engine host: plugins as text, and an object that plugins and tests share."""

import sys
import textwrap
import threading
from typing import Any

from tests.engine_host.host import EngineHost
from tests.engine_host.trigger import ErrorBehavior
from tests.harness import Headers, Response, authenticated, http_request

HEADS = {
    "request": "def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):\n",
    "schedule": "def process_scheduled_call(influxdb3_local, call_time, args=None):\n",
    "writes": "def process_writes(influxdb3_local, table_batches, args=None):\n",
}
BLOCK = """
import engine_host_meeting as meeting
meeting.entered.release()
meeting.gate.wait(10)
"""
"""The beginning of a plugin that reports that it runs, and waits until the test releases it."""


class TextPluginHost:
    """An engine host with plugins as text."""

    def __init__(self, engine: EngineHost) -> None:
        self.engine = engine
        # Plugins share the interpreter with the tests, and import this object.
        sys.modules["engine_host_meeting"] = self  # type: ignore[assignment]
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.notes: list[Any] = []

    def plugin(
        self,
        body: str,
        name: str = "t",
        spec: str | None = None,
        *,
        asynchronous: bool = True,
        arguments: dict[str, str] | None = None,
        error_behavior: ErrorBehavior = "log",
    ) -> None:
        """Create a trigger whose function has ``body``. By default it is a request trigger whose route is its name."""
        spec = spec or f"request:{name}"
        self.write_plugin(body, name, spec)
        self.engine.create_trigger(
            name,
            path=f"{name}.py",
            spec=spec,
            run_asynchronous=asynchronous,
            arguments=arguments,
            error_behavior=error_behavior,
        )

    def write_plugin(self, body: str, name: str, spec: str) -> None:
        """Write the plugin's file, or overwrite it."""
        kind = spec.partition(":")[0]
        head = HEADS["request" if kind == "request" else "schedule" if kind in ("every", "cron") else "writes"]
        (self.engine.plugin_dir / f"{name}.py").write_text(head + textwrap.indent(textwrap.dedent(body), "    "))

    def send(
        self,
        route: str = "t",
        *,
        method: str = "POST",
        body: bytes = b"",
        headers: Headers = (),
    ) -> Response:
        """Send a request to a trigger."""
        return self.http(method, f"/api/v3/engine/{route}", body=body, headers=headers)

    def write(self, body: str | bytes, query: str = "", headers: Headers = ()) -> Response:
        """Write line protocol to the triggers' database. Does not wait for the flush unless ``query`` asks for it."""
        path = f"/api/v3/write_lp?db=notifications&no_sync=true{query}"
        return self.http("POST", path, body=body if isinstance(body, bytes) else body.encode(), headers=headers)

    def http(self, method: str, path: str, *, body: bytes = b"", headers: Headers = ()) -> Response:
        """Send one authenticated request."""
        headers = authenticated(self.engine, headers)
        return http_request(method, self.engine.url + path, body=body, headers=headers)

    def texts(self, trigger: str = "t") -> list[str]:
        """The texts of the trigger's log rows, oldest first."""
        return [row["log_text"] for row in self.engine.logs(trigger)]

    def errors(self, trigger: str = "t") -> list[str]:
        """The texts of the trigger's log rows of level ERROR."""
        return [row["log_text"] for row in self.engine.logs(trigger) if row["log_level"] == "ERROR"]
