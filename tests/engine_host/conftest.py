"""Fixtures of the engine host's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine_host.host import EngineHost
from tests.engine_host.scene import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """An engine host of the test's own for plugins given as text, which flushes when it is told to."""
    with EngineHost(tmp_path, flush_interval=3600, query=lambda *asked: [{"asked": list(asked)}]) as engine:
        yield Host(engine)
