"""Installs a wheel into new environments and uses it: ``python release/smoke.py WHEEL-OR-DIRECTORY [PYTHON …]``.

It needs only the standard library. For a directory it uses the wheel for this machine. Each Python gets a new virtual
environment with only the wheel. There the command line and the plugin file each send a notification to a receiver on
loopback.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

# The machine's name in Python, and in the names of wheels.
MACHINES = {"AMD64": "amd64"}
# Executes the source of the plugin file and calls its function, as the engine does.
CALL = """
import json, sys

class Local:
    def info(self, line): print(line, file=sys.stderr)
    warn = error = info

from influxdb3_notifier import _native
plugin = {}
exec(compile(_native.plugin_source(), "notifier_plugin.py", "exec"), plugin)
body, status, *_ = plugin["process_request"](Local(), {}, {}, sys.argv[1].encode(), None)
print(json.dumps([status, json.loads(body) if isinstance(body, str) else body]))
"""


class Receiver(BaseHTTPRequestHandler):
    """Accepts every message."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        """Record the body."""
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""


def wheel_for_this_machine(path: Path) -> Path:
    """The wheel at ``path``, or in the directory ``path``."""
    if path.is_file():
        return path.resolve()
    machine = MACHINES.get(platform.machine(), platform.machine())
    wheels = sorted(path.glob(f"*_{machine}.whl"))
    if len(wheels) != 1:
        sys.exit(f"{path}: there are {len(wheels)} wheels for {machine}, not one")
    return wheels[0].resolve()


def use(wheel: Path, python: str, url: str, bodies: list[bytes]) -> str:
    """Install and use the wheel; returns the version of the Python."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([python, "-m", "venv", directory], check=True)
        programs = Path(directory) / ("Scripts" if os.name == "nt" else "bin")
        interpreter = str(programs / "python")
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        clean["NO_PROXY"] = "*"

        def output(*command: str) -> str:
            process = subprocess.run(command, capture_output=True, text=True, env=clean, cwd=directory, check=False)
            if process.returncode:
                sys.exit(f"{command}: status {process.returncode}\n{process.stdout}{process.stderr}")
            return process.stdout

        output(interpreter, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel))
        version = wheel.name.split("-")[1]
        program = str(programs / "influxdb3-notifier")
        assert output(program, "--version") == f"influxdb3-notifier {version}\n"
        assert output(interpreter, "-m", "influxdb3_notifier", "completion", "bash")
        senders = {"http": {"http_webhook_url": url}}
        config = Path(directory) / "senders.json"
        config.write_text(json.dumps(senders))
        sent = output(program, "send", "--text", "by the command", "--senders-config", f"@{config}", "--format", "json")
        assert json.loads(sent)["results"] == {"http": True}, sent
        request = json.dumps({"notification_text": "by the plugin", "senders_config": senders})
        status, answer = json.loads(output(interpreter, "-c", CALL, request))
        assert (status, answer["results"]) == (200, {"http": True}), answer
        assert [json.loads(body)["message"] for body in bodies] == ["by the command", "by the plugin"]
        bodies.clear()
        return output(
            interpreter, "-c", "import platform; print(platform.python_version(), platform.machine())"
        ).strip()


def main() -> None:
    """Use the wheel with every given Python, or with this one."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    wheel = wheel_for_this_machine(Path(sys.argv[1]))
    Receiver.bodies = []
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        for python in sys.argv[2:] or [sys.executable]:
            print(f"{wheel.name}: installed and used by Python {use(wheel, python, url, Receiver.bodies)}", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
