"""Fixtures of the fault tests."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.scene import Scene
from tests.faults.site import Site
from tests.harness import ROOT, Standin, Triggers


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


@pytest.fixture
def jumping_clock(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process whose wall clock jumps by hours all the time."""
    if sys.platform != "linux":
        pytest.skip("clocks can be preloaded on Linux only")
    library = tmp_path / "clock.so"
    source = ROOT / "tests" / "faults" / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
