"""A Processing Engine, whichever it is, and how it is asked."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Unpack
from urllib.parse import urlencode

from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import TriggerOptions
from tests.harness.http import Answer, Headers, http_request
from tests.harness.processes import PLUGIN
from tests.harness.real_server import RealServer, newest_wheel, real_server_program


class Server(Protocol):
    """What answers requests."""

    @property
    def url(self) -> str:
        """The base address; triggers are under ``/api/v3/engine/``."""

    @property
    def token(self) -> str | None:
        """What authenticates a request; None where none is wanted."""


class Engine(Server, Protocol):
    """A Processing Engine: the engine host, or a real server."""

    plugin_dir: Path

    def create_trigger(self, name: str, **options: Unpack[TriggerOptions]) -> None:
        """Create and enable a trigger."""

    def delete_trigger(self, name: str) -> None:
        """Disable and delete a trigger."""

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Rows of ``system.processing_engine_logs``, oldest first."""

    def stop(self) -> None:
        """End the engine."""


def start_engine(plugin_dir: Path) -> Engine:
    """A real server when ``INFLUXDB3`` names one, else an engine host with the plugin file in ``plugin_dir``."""
    program = real_server_program()
    if program is not None:
        return RealServer(program, newest_wheel())
    # Programs that start no engine import this module too: the host's HTTP server is a quarter of a second.
    from tests.engine_host.host import EngineHost

    shutil.copy(PLUGIN, plugin_dir)
    return EngineHost(plugin_dir).start()


# Requests


def authenticated(server: Server, headers: Headers = ()) -> list[tuple[str, str]]:
    """The headers, and the server's token unless they bring an ``Authorization`` of their own."""
    own = list(headers.items() if isinstance(headers, Mapping) else headers)
    if any(name.lower() == "authorization" for name, _ in own):
        return own
    return [*bearer(server.token).items(), *own]


def post(
    engine: Server,
    body: object,
    *,
    route: str = "notify",
    headers: Headers = (),
    query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    method: str = "POST",
    timeout: float = 30.0,
) -> Answer:
    """Send a notification to a trigger. ``body`` is sent as it is when it is bytes or str, else as JSON."""
    if isinstance(body, str):
        body = body.encode()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{engine.url}/api/v3/engine/{route}"
    if query:
        url += "?" + urlencode(query)
    return http_request(method, url, body=content, headers=authenticated(engine, headers), timeout=timeout)


def write_lp(
    engine: Server, lines: str, *, database: str = "notifications", precision: str = "auto", no_sync: bool = False
) -> Answer:
    """Write line protocol, as a user does; returns when it is flushed, unless ``no_sync``.

    Write triggers have been told of a flush by then, which does not mean that they have run.
    """
    query = {"db": database, "precision": precision, "no_sync": str(no_sync).lower()}
    url = f"{engine.url}/api/v3/write_lp?{urlencode(query)}"
    return http_request("POST", url, body=lines.encode(), headers=bearer(engine.token))
