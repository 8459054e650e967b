"""Fixtures of the fault tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.scene import Scene
from tests.faults.site import Site
from tests.harness import Standin, Triggers


@pytest.fixture
def scene(triggers: Triggers, standin: Standin, capfd: pytest.CaptureFixture[str]) -> Iterator[Scene]:
    """Sends to what is hostile and looks whether it holds; no panic may have happened by the test's end."""
    yield Scene(triggers, standin)
    printed = capfd.readouterr()
    assert "internal error at" not in printed.err


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Site]:
    """A plugin directory with an outbox."""
    with ExitStack() as stack:
        yield Site(tmp_path, standin, stack)
