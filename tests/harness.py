"""What tests and demo share: the stand-in providers, an engine, and how a request is posted.

An engine is the engine host of these tests, or a real server when ``INFLUXDB3`` names its program: both are used
through :class:`Engine`.
"""

import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlencode, urlsplit

from tests.engine_host import EngineHost
from tests.engine_host.trigger import ErrorBehavior

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "notifier_plugin.py"

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


# HTTP, as it stands on the wire: no proxy, no redirect, no header that was not asked for.


@dataclass
class Answer:
    """An HTTP answer. ``elapsed`` is in seconds, from before the connection to after the body."""

    status: int
    headers: list[tuple[str, str]]
    raw: bytes
    elapsed: float
    json: Any = None
    """The body read as JSON; None when it is none."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.raw.decode("utf-8", "replace")

    def header(self, name: str) -> str | None:
        """The header's value, or None; where it stands twice, both, separated by a comma."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(values) if values else None


def http_request(method: str, url: str, *, body: bytes = b"", headers: Headers = (), timeout: float = 30.0) -> Answer:
    """Send one request and read the whole answer; ``timeout`` in seconds bounds each wait for the socket."""
    address = urlsplit(url)
    started = time.monotonic()
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.putrequest(
            method, address.path + (f"?{address.query}" if address.query else ""), skip_accept_encoding=True
        )
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            connection.putheader(name, value.encode())
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        raw = response.read()
        return Answer(response.status, response.getheaders(), raw, time.monotonic() - started, json=_json_or_none(raw))
    finally:
        connection.close()


def _json_or_none(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def eventually(condition: Callable[[], Any], what: str = "", *, timeout: float = 10.0) -> Any:
    """Ask again until the result of ``condition`` is truthy, and return it; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(0.005)
    return result


# Processes


def until_json_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The one line of JSON that our programs print when they are ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with status {process.wait()} before it was ready")
    ready = json.loads(line)
    assert isinstance(ready, dict)
    return ready


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The stand-in providers


class Standin:
    """The program ``standin`` in a process of its own, and its control interface."""

    def __init__(self, program: Path | None = None) -> None:
        program = program or standin_program()
        self._process = subprocess.Popen(
            [str(program), "--listen", "127.0.0.1:0", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = until_json_line(self._process)
        self.url: str = ready["url"]
        self.port: int = ready["port"]

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """What arrived at paths that begin with ``path``, oldest first."""
        return list(self._control("GET", "requests?" + urlencode({"path": path})))

    def messages(self) -> list[dict[str, Any]]:
        """What the providers accepted, oldest first."""
        return list(self._control("GET", "messages"))

    def wait_for(self, path: str, count: int = 1, *, timeout: float = 10.0) -> list[dict[str, Any]]:
        """The requests at ``path`` that have been answered, as soon as there are ``count`` of them."""

        def answered() -> list[dict[str, Any]]:
            found = [request for request in self.requests(path) if request["status"] is not None]
            return found if len(found) >= count else []

        return list(eventually(answered, f"{count} requests at {path}", timeout=timeout))

    def clear(self) -> None:
        """Forget what arrived, drop all rules, close all faults."""
        self._control("DELETE", "all")

    def sink(self) -> dict[str, Any]:
        """What arrived below ``/sink/`` since all was forgotten: ``requests``, ``body_bytes``, ``by_kind``."""
        return dict(self._control("GET", "sink"))

    def rule(self, path: str, **order: object) -> None:
        """Order something for a path: ``times``, ``delay_ms``, ``reply``, ``hang``, ``take``, ``rate_limit`` …"""
        self._control("POST", "rules", {"path": path, **order})

    def fault(self, kind: str, **parameters: object) -> dict[str, Any]:
        """Open a socket that misbehaves; returns its ``port`` and ``url``."""
        return dict(self._control("POST", "faults", {"kind": kind, **parameters}))

    def fault_report(self, port: int) -> dict[str, Any]:
        """What the fault on ``port`` has seen."""
        return dict(self._control("GET", f"faults/{port}"))

    def tls(self, certificate: bytes | str, key: bytes | str, client_ca: bytes | str = "") -> dict[str, Any]:
        """Open the same providers behind TLS with this chain and key (PEM); returns ``port`` and ``url``.

        :param client_ca: who connects must show a certificate of this authority's.
        """
        pem = {"cert_pem": _text(certificate), "key_pem": _text(key), "client_ca_pem": _text(client_ca)}
        return dict(self._control("POST", "tls", pem))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _control(self, method: str, what: str, body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        answer = http_request(method, f"{self.url}/_standin/{what}", body=content)
        if answer.status >= 300:
            raise RuntimeError(f"{method} /_standin/{what}: {answer.status} {answer.text}")
        return answer.json


def _text(pem: bytes | str) -> str:
    return pem.decode() if isinstance(pem, bytes) else pem


def standin_program() -> Path:
    """Where Cargo has put the stand-in."""
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "standin"
    if not program.exists():
        raise RuntimeError(f"{program} is not there: make build")
    return program


# Engines


class Engine(Protocol):
    """A Processing Engine: the engine host, or a real server."""

    plugin_dir: Path

    @property
    def url(self) -> str:
        """The base address; triggers are under ``/api/v3/engine/``."""

    def create_trigger(
        self,
        name: str,
        *,
        path: str = "notifier_plugin.py",
        spec: str = "request:notify",
        arguments: dict[str, str] | None = None,
        run_asynchronous: bool = True,
        error_behavior: ErrorBehavior = "log",
    ) -> None:
        """Create and enable a trigger: ``request:``, ``every:``, ``cron:``, ``table:`` or ``all_tables``."""

    def delete_trigger(self, name: str) -> None:
        """Disable and delete a trigger."""

    def disable(self, name: str) -> None:
        """Stop the trigger; one for requests leaves its path."""

    def enable(self, name: str) -> None:
        """Start the trigger; one for requests is put on its path."""

    def run_schedule(self, name: str) -> None:
        """Make a scheduled trigger's call now, whatever its schedule; returns when it has returned."""

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Rows of ``system.processing_engine_logs``, oldest first."""

    def stop(self) -> None:
        """End the engine."""


class RealServer:
    """A server of InfluxDB 3 on a free port, with data and plugins in a temporary directory.

    :param program: the ``influxdb3`` program, which is server and command line in one.
    :param wheel: installed into the server's virtual environment, by the server's own command.
    """

    DATABASE = "notifications"

    def __init__(self, program: Path, wheel: Path) -> None:
        self._program = program.resolve()
        self._home = Path(tempfile.mkdtemp(prefix="influxdb3-notifier-"))
        self.plugin_dir = self._home / "plugins"
        self.plugin_dir.mkdir()
        shutil.copy(PLUGIN, self.plugin_dir)
        self._port = free_port()
        self._log = (self._home / "server.log").open("wb")
        # Nothing of the caller's settings may reach the server: only what a plugin may ask of the environment.
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("INFLUXDB3")}
        self._environment.pop("VIRTUAL_ENV", None)
        self._scheduled: dict[str, tuple[str, dict[str, str] | None]] = {}
        self._server = self._start()
        try:
            eventually(self._is_up, "the server answers", timeout=120)
            self._command("create", "database", self.DATABASE, "--host", self.url)
            self._install(wheel)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._server.pid

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._port}"

    def create_trigger(
        self,
        name: str,
        *,
        path: str = "notifier_plugin.py",
        spec: str = "request:notify",
        arguments: dict[str, str] | None = None,
        run_asynchronous: bool = True,
        error_behavior: ErrorBehavior = "log",
    ) -> None:
        """Create a trigger on the command line; before 3.7 it has ``--plugin-filename`` for ``--path``."""
        options = ["--trigger-spec", spec, *(["--run-asynchronous"] if run_asynchronous else [])]
        options += ["--error-behavior", error_behavior]
        if arguments:
            options += ["--trigger-arguments", ",".join(f"{key}={value}" for key, value in arguments.items())]
        failure: subprocess.CalledProcessError | None = None
        for flag in ("--path", "--plugin-filename"):
            try:
                self._trigger("create", name, flag, path, *options)
            except subprocess.CalledProcessError as error:
                failure = failure or error
            else:
                break
        else:
            assert failure is not None
            raise RuntimeError(f"create trigger: {failure.stderr}") from failure
        if spec.startswith("request:"):
            eventually(lambda: http_request("GET", f"{self.url}{route_of(spec)}?view=status").status != 404, spec)
        elif spec.startswith(("every:", "cron:")):
            self._scheduled[name] = (path, arguments)

    def delete_trigger(self, name: str) -> None:
        """Delete the trigger, running or not."""
        self._trigger("delete", name, "--force")

    def disable(self, name: str) -> None:
        """Stop the trigger; one for requests leaves its path."""
        self._trigger("disable", name)

    def enable(self, name: str) -> None:
        """Start the trigger; one for requests is put on its path."""
        self._trigger("enable", name)

    def run_schedule(self, name: str) -> None:
        """Have the server try the plugin, which is the nearest: what it logs and writes is not kept then."""
        path, arguments = self._scheduled[name]
        asked = {"filename": path, "database": self.DATABASE, "schedule": None, "cache_name": name}
        body = json.dumps({**asked, "input_arguments": arguments or None}).encode()
        answer = http_request(
            "POST", f"{self.url}/api/v3/plugin_test/schedule", body=body, headers={"Content-Type": "application/json"}
        )
        if answer.status != 200 or answer.json["errors"]:
            raise RuntimeError(f"plugin_test: {answer.status} {answer.text}")

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Ask the server with SQL, as a user does."""
        sql = "SELECT event_time, trigger_name, log_level, log_text FROM system.processing_engine_logs"
        if trigger is not None:
            sql += f" WHERE trigger_name = '{trigger}'"
        parameters = urlencode({"db": self.DATABASE, "q": sql + " ORDER BY event_time", "format": "json"})
        answer = http_request("GET", f"{self.url}/api/v3/query_sql?{parameters}")
        if answer.status != 200:
            raise RuntimeError(f"query: {answer.status} {answer.text}")
        return list(answer.json)

    def stop(self) -> None:
        """End the server and remove its directory."""
        self._server.terminate()
        try:
            self._server.wait(40)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [str(self._program), "serve", "--node-id", "demo", "--object-store", "file", "--without-auth"]
        command += ["--data-dir", str(self._home / "data"), "--plugin-dir", str(self.plugin_dir)]
        command += ["--http-bind", f"127.0.0.1:{self._port}"]
        return subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=self._environment, cwd=self._home
        )

    def _is_up(self) -> bool:
        if self._server.poll() is not None:
            raise RuntimeError("the server ended:\n" + (self._home / "server.log").read_text(errors="replace")[-4000:])
        try:
            return http_request("GET", f"{self.url}/health", timeout=2).status == 200
        except OSError:
            return False

    def _install(self, wheel: Path) -> None:
        """Install the wheel as a user does, and look whether it is there: pip's exit status does not show.

        The server makes its virtual environment by itself, at its start, with the Python that it embeds.
        """
        eventually((self.plugin_dir / ".venv" / "bin" / "activate").exists, "the virtual environment", timeout=60)
        self._command("install", "package", str(wheel.resolve()), "--host", self.url, timeout=300)
        if not list((self.plugin_dir / ".venv").glob("lib/python*/site-packages/influxdb3_notifier")):
            log = (self._home / "server.log").read_text(errors="replace")
            raise RuntimeError(f"{wheel.name} was not installed:\n{log[-4000:]}")

    def _trigger(self, verb: str, name: str, *options: str) -> None:
        self._command(verb, "trigger", "--database", self.DATABASE, *options, "--host", self.url, name)

    def _command(self, *words: str, timeout: float = 60) -> None:
        """Run the command line against the server; ``timeout`` in seconds."""
        subprocess.run(
            [str(self._program), *words],
            check=True,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=timeout,
        )


def route_of(spec: str) -> str:
    """The path at which a ``request:`` trigger answers."""
    return "/api/v3/engine/" + spec.partition(":")[2]


def real_server_program() -> Path | None:
    """What ``INFLUXDB3`` names; None when the engine host is to be used."""
    given = os.environ.get("INFLUXDB3", "").strip()
    return Path(given) if given else None


def newest_wheel() -> Path:
    """The wheel that ``make build``, ``make wheel`` or ``make wheels`` has made last for this machine."""
    ours = f"*_{platform.machine()}.whl"
    wheels = [*(ROOT / "target" / "wheels").glob(ours), *(ROOT / "dist").glob(ours)]
    if not wheels:
        raise RuntimeError("there is no wheel: make build")
    return max(wheels, key=lambda wheel: wheel.stat().st_mtime)


def start_engine(plugin_dir: Path) -> Engine:
    """A real server when ``INFLUXDB3`` names one, else an engine host with the plugin file in ``plugin_dir``."""
    program = real_server_program()
    if program is not None:
        return RealServer(program, newest_wheel())
    shutil.copy(PLUGIN, plugin_dir)
    return EngineHost(plugin_dir).start()


# Requests


def post(
    engine: Engine,
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
    return http_request(method, url, body=content, headers=headers, timeout=timeout)


def write_lp(
    engine: Engine, lines: str, *, database: str = "notifications", precision: str = "auto", no_sync: bool = False
) -> Answer:
    """Write line protocol, as a user does; returns when it is flushed, unless ``no_sync``.

    Write triggers have been told of a flush by then, which does not mean that they have run.
    """
    query = {"db": database, "precision": precision, "no_sync": str(no_sync).lower()}
    return http_request("POST", f"{engine.url}/api/v3/write_lp?{urlencode(query)}", body=lines.encode())


def encode_headers(headers: Mapping[str, str]) -> str:
    """Headers in the form of ``slack_headers`` and its like: base64 of a JSON object."""
    return b64encode(json.dumps(headers).encode()).decode()
