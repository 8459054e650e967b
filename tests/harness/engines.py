"""The interface of a Processing Engine, and requests to it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Unpack
from urllib.parse import urlencode

from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import TriggerOptions
from tests.harness.http import Headers, Response, http_request
from tests.harness.processes import PLUGIN
from tests.harness.real_server import RealServer, newest_wheel, real_server_program


class Server(Protocol):
    """A server with triggers."""

    @property
    def url(self) -> str:
        """The base address; triggers are under ``/api/v3/engine/``."""

    @property
    def token(self) -> str | None:
        """The token for requests; None: the server requires none."""


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
    """A real server if ``INFLUXDB3`` names one, otherwise an engine host with the plugin file in ``plugin_dir``."""
    program = real_server_program()
    if program is not None:
        return RealServer(program, newest_wheel())
    # Imported here, because the host's HTTP server takes 0.25 s to import and not every program needs it.
    from tests.engine_host.host import EngineHost

    shutil.copy(PLUGIN, plugin_dir)
    return EngineHost(plugin_dir).start()


# Requests


def authenticated(server: Server, headers: Headers = ()) -> list[tuple[str, str]]:
    """The headers, with the server's token unless they have an ``Authorization``."""
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
) -> Response:
    """Send a notification to a trigger. A ``body`` of another type than bytes and str is sent as JSON."""
    if isinstance(body, str):
        body = body.encode()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{engine.url}/api/v3/engine/{route}"
    if query:
        url += "?" + urlencode(query)
    return http_request(method, url, body=content, headers=authenticated(engine, headers), timeout=timeout)


def write_lp(
    engine: Server, lines: str, *, database: str = "notifications", precision: str = "auto", no_sync: bool = False
) -> Response:
    """Write line protocol. Returns when it is flushed, unless ``no_sync``.

    The flush has notified the write triggers, but their calls may still run.
    """
    query = {"db": database, "precision": precision, "no_sync": str(no_sync).lower()}
    url = f"{engine.url}/api/v3/write_lp?{urlencode(query)}"
    return http_request("POST", url, body=lines.encode(), headers=bearer(engine.token))
