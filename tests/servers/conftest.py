"""Fixtures for tests with real servers. A summary lists the servers whose tests did not run, with the reasons."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.harness import eventually, free_port, http_request

SERVERS = {
    "test_alertmanager": "Alertmanager",
    "test_alertmanager_webhook": "Alertmanager as a caller",
    "test_postfix": "Postfix",
    "test_prometheus": "Prometheus",
}
Start = Callable[..., "subprocess.Popen[bytes]"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count each server's tests as run or not run."""
    run: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {module: Counter() for module in SERVERS}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            module = Path(report.nodeid.partition("::")[0]).stem
            if outcome == "skipped":
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
                reasons[module][reason.removeprefix("Skipped: ")] += 1
            elif report.when == "call" or outcome == "error":
                run[module] += 1
    terminalreporter.section("real servers")
    for module, server in SERVERS.items():
        terminalreporter.line(f"{server}: {run[module]} run")
        for reason, count in reasons[module].items():
            terminalreporter.line(f"{server}: {count} not run: {reason}")
    if "INFLUXDB3" not in os.environ:
        terminalreporter.line(
            "InfluxDB 3: not run: the engine host stands in for it (INFLUXDB3=/path/to/influxdb3 make test-python)"
        )


def program(name: str, package: str) -> str:
    """The program's path. Without the program the test is skipped."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(command, ready)``: a process that ends with the test, once ``ready()`` is true."""
    with ExitStack() as stack:

        def start(command: list[str], ready: Callable[[], bool]) -> "subprocess.Popen[bytes]":
            log = stack.enter_context((tmp_path / "server.log").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(end, process)

            def is_ready() -> bool:
                said = (tmp_path / "server.log").read_text(errors="replace")
                assert process.poll() is None, f"{command[0]} ended:\n{said[-2000:]}"
                return ready()

            eventually(is_ready, f"{command[0]} is ready", timeout=30)
            return process

        yield start


def start_alertmanager(start: Start, directory: Path, configuration: str) -> str:
    """Start an Alertmanager with this configuration.

    :returns: its address.
    """
    command = program("prometheus-alertmanager", "prometheus-alertmanager")
    port = free_port()
    (directory / "alertmanager.yml").write_text(configuration, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    options = [f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/data"]
    options += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    start([command, *options], partial(is_ready, url))
    return url


def is_ready(url: str) -> bool:
    """Whether a program of Prometheus answers at its address."""
    try:
        return http_request("GET", f"{url}/-/ready").status == 200
    except OSError:
        return False


def end(process: "subprocess.Popen[bytes]") -> None:
    """Terminate the process, and kill it after a timeout."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
