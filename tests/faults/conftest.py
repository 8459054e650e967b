"""Fixtures of the fault tests."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.isolation import IsolationCheck
from tests.faults.site import Site
from tests.harness import ROOT, Standin, Triggers
from tests.harness.nats import NatsServer
from tests.harness.preload import preloaded


@pytest.fixture
def isolation(triggers: Triggers, standin: Standin, capfd: pytest.CaptureFixture[str]) -> Iterator[IsolationCheck]:
    """Sends to what is hostile and looks whether it holds; no panic may have happened by the test's end."""
    yield IsolationCheck(triggers, standin)
    printed = capfd.readouterr()
    assert "internal error at" not in printed.err


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what was begun."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server."""
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack) -> Site:
    """A plugin directory with an outbox."""
    return Site(tmp_path, standin, stack)


@pytest.fixture
def jumping_clock(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process whose wall clock jumps by hours all the time."""
    return preloaded(ROOT / "tests" / "faults" / "clock.c", tmp_path)
