"""A server of InfluxDB 3, from the program in ``INFLUXDB3``, in place of the engine host."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Unpack
from urllib.parse import urlencode

from tests.engine_host.tokens import bearer
from tests.engine_host.trigger import DEFAULTS, TriggerOptions
from tests.harness.http import Response, http_request
from tests.harness.processes import PLUGIN, ROOT, eventually, free_port


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
        # The server gets none of the caller's settings, only the variables that a plugin may read.
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("INFLUXDB3")}
        self._environment.pop("VIRTUAL_ENV", None)
        self.token: str | None = None
        self._server = self._start()
        try:
            eventually(self._is_up, "the server answers", timeout=120)
            self._create_token()
            self._command("create", "database", self.DATABASE, "--host", self.url)
            self._install(wheel)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._server.pid

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._port}"

    def create_trigger(self, name: str, **options: Unpack[TriggerOptions]) -> None:
        """Create a trigger with the command line. Before 3.7 ``--path`` was ``--plugin-filename``."""
        asked: TriggerOptions = {**DEFAULTS, **options}
        spec, arguments = asked["spec"], asked["arguments"]
        words = ["--trigger-spec", spec, *(["--run-asynchronous"] if asked["run_asynchronous"] else [])]
        words += ["--error-behavior", asked["error_behavior"]]
        if arguments:
            words += ["--trigger-arguments", ",".join(f"{key}={value}" for key, value in arguments.items())]
        failure: subprocess.CalledProcessError | None = None
        for flag in ("--path", "--plugin-filename"):
            try:
                self._trigger("create", name, flag, asked["path"], *words)
            except subprocess.CalledProcessError as error:
                failure = failure or error
            else:
                break
        else:
            assert failure is not None
            raise RuntimeError(f"create trigger: {failure.stderr}") from failure
        if spec.startswith("request:"):
            eventually(lambda: self._get(f"{route_of(spec)}?view=status").status != 404, spec)

    def delete_trigger(self, name: str) -> None:
        """Delete the trigger, running or not."""
        self._trigger("delete", name, "--force")

    def logs(self, trigger: str | None = None) -> list[dict[str, str]]:
        """Query the server's log table with SQL."""
        sql = "SELECT event_time, trigger_name, log_level, log_text FROM system.processing_engine_logs"
        if trigger is not None:
            sql += f" WHERE trigger_name = '{trigger}'"
        parameters = urlencode({"db": self.DATABASE, "q": sql + " ORDER BY event_time", "format": "json"})
        response = self._get(f"/api/v3/query_sql?{parameters}")
        if response.status != 200:
            raise RuntimeError(f"query: {response.status} {response.text}")
        return list(response.json)

    def stop(self) -> None:
        """Stop the server, and remove its directory."""
        self._server.terminate()
        try:
            self._server.wait(40)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [str(self._program), "serve", "--node-id", "demo", "--object-store", "file"]
        command += ["--data-dir", str(self._home / "data"), "--plugin-dir", str(self.plugin_dir)]
        command += ["--http-bind", f"127.0.0.1:{self._port}"]
        return subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=self._environment, cwd=self._home
        )

    def _is_up(self) -> bool:
        if self._server.poll() is not None:
            raise RuntimeError("the server ended:\n" + (self._home / "server.log").read_text(errors="replace")[-4000:])
        try:
            # Before the first token is created, every response is a 401.
            return http_request("GET", f"{self.url}/health", timeout=2).status in (200, 401)
        except OSError:
            return False

    def _create_token(self) -> None:
        """Create the first admin token, and use it for later requests."""
        shown = self._command("create", "token", "--admin", "--host", self.url)
        found = re.search(r"apiv3_[\w-]+", shown)
        if found is None:
            raise RuntimeError(f"create token: no token in what it prints:\n{shown}")
        self.token = found[0]
        self._environment["INFLUXDB3_AUTH_TOKEN"] = self.token

    def _get(self, path: str) -> Response:
        return http_request("GET", self.url + path, headers=bearer(self.token))

    def _install(self, wheel: Path) -> None:
        """Install the wheel as a user does, and check that it is installed, because the exit status does not show it.

        The server makes its virtual environment by itself, at its start, with the Python that it embeds.
        """
        eventually((self.plugin_dir / ".venv" / "bin" / "activate").exists, "the virtual environment", timeout=60)
        self._command("install", "package", str(wheel.resolve()), "--host", self.url, timeout=300)
        if not list((self.plugin_dir / ".venv").glob("lib/python*/site-packages/influxdb3_notifier")):
            log = (self._home / "server.log").read_text(errors="replace")
            raise RuntimeError(f"{wheel.name} was not installed:\n{log[-4000:]}")

    def _trigger(self, verb: str, name: str, *options: str) -> None:
        self._command(verb, "trigger", "--database", self.DATABASE, *options, "--host", self.url, name)

    def _command(self, *words: str, timeout: float = 60) -> str:
        """Run a command of the server's command line, and return its output; ``timeout`` in seconds."""
        process = subprocess.run(
            [str(self._program), *words],
            check=True,
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=timeout,
        )
        return process.stdout


def route_of(spec: str) -> str:
    """The path of a ``request:`` trigger."""
    return "/api/v3/engine/" + spec.partition(":")[2]


def real_server_program() -> Path | None:
    """The program in ``INFLUXDB3``; None: tests use the engine host."""
    given = os.environ.get("INFLUXDB3", "").strip()
    return Path(given) if given else None


def newest_wheel() -> Path:
    """The newest wheel of ``make build``, ``make wheel`` or ``make wheels`` for this machine."""
    ours = f"*_{platform.machine()}.whl"
    wheels = [*(ROOT / "target" / "wheels").glob(ours), *(ROOT / "dist").glob(ours)]
    if not wheels:
        raise RuntimeError("there is no wheel: make build")
    return max(wheels, key=lambda wheel: wheel.stat().st_mtime)
