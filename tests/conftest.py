"""Fixtures: one stand-in and one engine for the whole run, a fresh trigger for each test."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import harness
from tests.engine_host import EngineHost
from tests.harness import Answer, Engine, Headers, Standin
from tests.rows.scene import Table

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


class Triggers:
    """Makes triggers and deletes them when the test has ended."""

    _numbers = itertools.count(1)

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self.engine = engine
        self._stack = stack

    def create(self, arguments: Mapping[str, str] | None = None, *, run_asynchronous: bool = True) -> "Trigger":
        """A new trigger on a path of its own."""
        name = f"t{next(self._numbers)}"
        self.engine.create_trigger(
            name, spec=f"request:{name}", arguments=dict(arguments or {}), run_asynchronous=run_asynchronous
        )
        self._stack.callback(self.engine.delete_trigger, name)
        return Trigger(self.engine, name)


class Trigger:
    """One trigger; its name is its path."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.url = f"{engine.url}/api/v3/engine/{name}"

    def notify(
        self,
        body: object,
        *,
        headers: Headers = (),
        query: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        method: str = "POST",
        timeout: float = 30.0,
    ) -> Answer:
        """Send a request: bytes and str as they are, anything else as JSON."""
        return harness.post(
            self.engine, body, route=self.name, headers=headers, query=query, method=method, timeout=timeout
        )

    def log_lines(self) -> list[tuple[str, str]]:
        """(level, text) of the notifier's own lines, oldest first; the engine's two a call are left out."""
        rows = self.engine.logs(self.name)
        return [(row["log_level"], row["log_text"]) for row in rows if row["log_text"].startswith("notifier ")]

    def wait_for_log(self, part: str, *, timeout: float = 10.0) -> str:
        """The first line that holds ``part``, as soon as there is one."""
        found = harness.eventually(
            lambda: [text for _, text in self.log_lines() if part in text],
            f"a log line with {part!r}",
            timeout=timeout,
        )
        return str(found[0])


@pytest.fixture
def triggers(engine: Engine) -> Iterator[Triggers]:
    """Makes triggers on the shared engine: ``triggers.create({"dry_run": "true"})``."""
    with ExitStack() as stack:
        yield Triggers(engine, stack)


Notify = Callable[..., Answer]


@pytest.fixture
def notify(triggers: Triggers) -> Notify:
    """``notify(body, args=…, headers=…, query=…)``: one request to a trigger with these arguments.

    Equal arguments within a test are the same trigger.
    """
    made: dict[tuple[tuple[str, str], ...], Trigger] = {}

    def notify(body: object, *, args: Mapping[str, str] | None = None, **request: object) -> Answer:
        key = tuple(sorted((args or {}).items()))
        if key not in made:
            made[key] = triggers.create(args)
        return made[key].notify(body, **request)  # type: ignore[arg-type]

    return notify
