"""Fixtures of the fault tests."""

import os
import subprocess
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
    """The shared check of the fault tests. At the end of the test it checks that there was no panic."""
    yield IsolationCheck(triggers, standin)
    printed = capfd.readouterr()
    assert "internal error at" not in printed.err


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Cleans up at the end of the test."""
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
    """Environment variables for a process whose wall clock jumps by hours."""
    return preloaded(ROOT / "tests" / "faults" / "clock.c", tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can mount a file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
