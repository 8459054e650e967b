"""Fixtures: one stand-in and one engine for the whole run, new triggers for each test."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import harness
from tests.engine_host.host import EngineHost
from tests.harness import Engine, Notify, Response, Standin, Trigger, Triggers
from tests.rows.table import Table

collect_ignore = [] if os.environ.get("TEST_SERVERS") else ["servers"]
"""Tests with real servers run only with ``make test-servers``."""


def pytest_report_header() -> str:
    """Name the engine of the end-to-end tests."""
    program = harness.real_server_program()
    if program is None:
        return "engine: the engine host of these tests (INFLUXDB3=/path/to/influxdb3 runs them on a real server)"
    return f"engine: {program}"


@pytest.fixture(scope="session")
def standin_process() -> Iterator[Standin]:
    """The stand-in's process."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def standin(standin_process: Standin) -> Standin:
    """The stand-in providers, with nothing recorded and no rules."""
    standin_process.clear()
    return standin_process


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine that the tests share: the engine host, or a real server."""
    engine = harness.start_engine(tmp_path_factory.mktemp("plugins"))
    yield engine
    engine.stop()


@pytest.fixture
def engine_host(tmp_path: Path) -> Iterator[EngineHost]:
    """A new engine host with the plugin file in its directory, even if ``INFLUXDB3`` names a server."""
    plugin_dir = tmp_path / "plugins"
    plugin_dir.mkdir()
    shutil.copy(harness.PLUGIN, plugin_dir)
    with EngineHost(plugin_dir) as host:
        yield host


@pytest.fixture
def table(tmp_path: Path, standin: Standin) -> Iterator[Table]:
    """An empty table without a trigger."""
    (tmp_path / "notifier_plugin.py").write_text(harness.PLUGIN.read_text())
    with EngineHost(tmp_path, flush_interval=3600) as engine:
        table = Table(engine, standin)
        table.configure()
        yield table


@pytest.fixture
def triggers(engine: Engine) -> Iterator[Triggers]:
    """Creates triggers on the shared engine: ``triggers.create({"dry_run": "true"})``."""
    with ExitStack() as stack:
        yield Triggers(engine, stack)


@pytest.fixture
def notify(triggers: Triggers) -> Notify:
    """``notify(body, args=…, headers=…, query=…)``: one request to a trigger with these arguments.

    Calls with equal arguments within a test share a trigger.
    """
    by_arguments: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def notify(body: object, *, args: Mapping[str, str] | None = None, **request: object) -> Response:
        key = tuple(sorted((args or {}).items()))
        if key not in by_arguments:
            by_arguments[key] = triggers.create(args)
        return by_arguments[key].notify(body, **request)  # type: ignore[arg-type]

    return notify
