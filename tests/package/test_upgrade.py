"""Plugin file and wheel of different versions: error messages and compatibility."""

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import pytest

from influxdb3_notifier import __version__
from tests import harness
from tests.engine_host.command import pip_install, served
from tests.engine_host.host import EngineHost
from tests.harness import Response, Standin

OLDER = "0.0.9"
# The older wheel is this one under another name; its answers have a header that tells it.
INIT = f'''
from influxdb3_notifier._native import PLUGIN_APIS, process_request as answer, process_scheduled_call, process_writes

def process_request(*given):
    body, status, *_ = answer(*given)
    return body, status, {{"X-Wheel": "{OLDER}"}}
'''


# An incompatible plugin file. The engine reads the file at each call, so no restart is needed.


def changed(engine: EngineHost, *changes: tuple[str, str]) -> None:
    """Put a plugin file of another version into the engine's directory."""
    source = harness.PLUGIN.read_text(encoding="utf-8")
    for old, new in changes:
        assert source.count(old) >= 1
        source = source.replace(old, new)
    (engine.plugin_dir / "notifier_plugin.py").write_text(source, encoding="utf-8")


def send(engine: harness.Server, to: str) -> Response:
    request = {"notification_text": "hi", "senders_config": {"http": {"http_webhook_url": to}}}
    return harness.post(engine, request)


def status_view(engine: harness.Server) -> Any:
    return harness.post(engine, b"", query={"view": "status"}, method="GET").json


def test_an_older_file_works_with_a_newer_wheel(engine_host: EngineHost, standin: Standin) -> None:
    _, *later = harness.PLUGIN.read_text(encoding="utf-8").partition("\ndef process_scheduled_call")
    older = f'WHEEL_VERSION = "{OLDER}"'
    changed(engine_host, (f'WHEEL_VERSION = "{__version__}"', older), ("".join(later), ""))
    engine_host.create_trigger("notify")
    response = send(engine_host, f"{standin.url}/hook/older")
    assert (response.status, response.json["results"], response.json["warnings"]) == (200, {"http": True}, [])
    assert status_view(engine_host)["status"] == "ok"


@pytest.mark.parametrize("number", ["0", "2", "'1'", "None"], ids=["older", "newer", "str", "none"])
def test_an_incompatible_plugin_file_is_a_503_with_both_solutions(
    engine_host: EngineHost, standin: Standin, number: str
) -> None:
    changed(engine_host, ("(1, *call)", f"({number}, *call)"))
    engine_host.create_trigger("notify")
    response = send(engine_host, f"{standin.url}/hook/other")
    check_incompatible(response)
    hint = response.json["error"]["hint"]
    assert f"the file of this package, {__version__}, with: influxdb3-notifier install-plugin --force" in hint
    assert "influxdb3 install package" in hint
    assert "restart the server" in hint
    errors = [row["log_text"] for row in engine_host.logs() if row["log_level"] == "ERROR"]
    assert len(errors) == 1
    assert "notifier_plugin.py: nothing was sent" in errors[0]
    assert standin.requests("/hook/") == []


def test_a_newer_plugin_file_names_the_wheel_that_it_needs(engine_host: EngineHost, standin: Standin) -> None:
    changed(
        engine_host,
        (f'WHEEL_VERSION = "{__version__}"', 'WHEEL_VERSION = "9.9.9"'),
        ("process_request, wheel", "process_request_of_later, wheel"),
        ('"process_writes"', '"process_request_of_later"'),
    )
    engine_host.create_trigger("notify")
    response = send(engine_host, f"{standin.url}/hook/newer")
    check_incompatible(response)
    hint = response.json["error"]["hint"]
    assert hint.startswith("Run: influxdb3 install package 'influxdb3-notifier==9.9.9'")
    assert "restart the server after an upgrade" in hint
    assert standin.requests("/hook/") == []


def check_incompatible(response: Response) -> None:
    assert (response.status, response.json["results"], response.json["error"]["code"]) == (
        503,
        {},
        "wheel_incompatible",
    )


# The wheel: installed into the environment of a running server, as its own command does.


class UpgradeHost:
    """An engine host with a virtual environment in the plugin directory, as a server has."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plugins = home / ".plugins"
        self.plugins.mkdir()
        (self.plugins / "notifier_plugin.py").write_bytes(harness.PLUGIN.read_bytes())
        self.environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(harness.ROOT)}
        self.environment.pop("VIRTUAL_ENV", None)
        self.url = ""
        self.token: str | None = None

    @contextmanager
    def runs(self, **arguments: str) -> Iterator[None]:
        """Start the host with the trigger ``notify``, and stop it at the end."""
        options = ["--node-id", "n", "--object-store", "file", "--data-dir", "d", "--plugin-dir", str(self.plugins)]
        command = [sys.executable, "-m", "tests.engine_host.command", "serve", *options]
        with served(command, self.environment, self.home) as self.url:
            created = harness.http_request("POST", f"{self.url}/api/v3/configure/token/admin")
            self.token = created.json["token"]
            body = json.dumps({"name": "notify", "arguments": arguments}).encode()
            headers = harness.authenticated(self)
            assert harness.http_request("POST", f"{self.url}/_host/triggers", body=body, headers=headers).status == 200
            yield

    def install(self, wheel: Path) -> None:
        """Install a wheel as ``influxdb3 install package`` does."""
        pip_install(self.plugins / ".venv", wheel)

    def answered_by(self, to: str) -> tuple[Any, str | None]:
        """Send a notification; returns the results and the version of the wheel."""
        response = send(self, to)
        return response.json["results"], response.header("X-Wheel")


@pytest.fixture(scope="module")
def older_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel under another version and with another ``__init__.py``."""
    wheel = harness.newest_wheel()
    older = tmp_path_factory.mktemp("older") / wheel.name.replace(f"-{__version__}-", f"-{OLDER}-")
    info = f"influxdb3_notifier-{__version__}.dist-info"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with ZipFile(wheel) as source, ZipFile(older, "w", ZIP_STORED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            name = entry.filename.replace(info, f"influxdb3_notifier-{OLDER}.dist-info")
            if name.endswith("/RECORD"):
                continue
            if name == "influxdb3_notifier/__init__.py":
                content = INIT.encode()
            elif name.endswith("/METADATA"):
                content = content.replace(f"\nVersion: {__version__}\n".encode(), f"\nVersion: {OLDER}\n".encode())
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            rows.writerow([name, f"sha256={digest}", len(content)])
            target.writestr(name, content)
        rows.writerow([f"influxdb3_notifier-{OLDER}.dist-info/RECORD", "", ""])
        target.writestr(f"influxdb3_notifier-{OLDER}.dist-info/RECORD", record.getvalue())
    return older


@pytest.mark.timeout(180)
def test_after_an_upgrade_the_old_wheel_works_until_the_restart(
    older_wheel: Path, standin: Standin, tmp_path: Path
) -> None:
    server = UpgradeHost(tmp_path)
    hook = f"{standin.url}/hook/upgrade"
    with server.runs(response_timeout="300ms", initial_backoff="10ms", attempt_timeout="200ms", max_attempts="100"):
        missing = send(server, hook)
        assert (missing.status, missing.json["error"]["code"]) == (503, "wheel_missing")
        assert f"influxdb3 install package 'influxdb3-notifier=={__version__}'" in missing.json["error"]["hint"]

        server.install(older_wheel)  # a first wheel needs no restart
        standin.rule("/hook/slow", hang=True)
        assert server.answered_by(f"{standin.url}/hook/slow") == ({"http": "pending"}, OLDER)

        server.install(harness.newest_wheel())
        assert server.answered_by(hook) == ({"http": True}, OLDER)
        # Deliveries in flight during the upgrade continue.
        standin.clear()
        assert standin.wait_for("/hook/slow")[0]["status"] == 200

    with server.runs():
        assert server.answered_by(hook) == ({"http": True}, None)
        view = status_view(server)
        assert (view["status"], view["version"]) == ("ok", __version__)
        program = str(server.plugins / ".venv" / "bin" / "influxdb3-notifier")
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        assert said == f"influxdb3-notifier {__version__}\n"
