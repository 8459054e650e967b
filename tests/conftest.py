"""Fixtures: one stand-in and one engine for the whole run, a fresh trigger for each test."""

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
"""Real servers are not on every machine: ``make test-servers``."""


def pytest_report_header() -> str:
    """Say which engine the end-to-end tests run on."""
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
    """An engine host of the test's own, with the plugin file in its directory, also when there is a real server."""
    plugin_dir = tmp_path / "plugins"
    plugin_dir.mkdir()
    shutil.copy(harness.PLUGIN, plugin_dir)
    with EngineHost(plugin_dir) as host:
        yield host


@pytest.fixture
def table(tmp_path: Path, standin: Standin) -> Iterator[Table]:
    """A table with nothing in it, and no trigger yet."""
    (tmp_path / "notifier_plugin.py").write_text(harness.PLUGIN.read_text())
    with EngineHost(tmp_path, flush_interval=3600) as engine:
        table = Table(engine, standin)
        table.configure()
        yield table


@pytest.fixture
def triggers(engine: Engine) -> Iterator[Triggers]:
    """Makes triggers on the shared engine: ``triggers.create({"dry_run": "true"})``."""
    with ExitStack() as stack:
        yield Triggers(engine, stack)


@pytest.fixture
def notify(triggers: Triggers) -> Notify:
    """``notify(body, args=…, headers=…, query=…)``: one request to a trigger with these arguments.

    Equal arguments within a test are the same trigger.
    """
    made: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def notify(body: object, *, args: Mapping[str, str] | None = None, **request: object) -> Response:
        key = tuple(sorted((args or {}).items()))
        if key not in made:
            made[key] = triggers.create(args)
        return made[key].notify(body, **request)  # type: ignore[arg-type]

    return notify
