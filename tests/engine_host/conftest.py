"""Fixtures of the engine host's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine_host.host import EngineHost
from tests.engine_host.text_plugins import TextPluginHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[TextPluginHost]:
    """An engine host for plugins as text. It flushes only on request."""
    with EngineHost(tmp_path, flush_interval=3600, query=lambda *asked: [{"asked": list(asked)}]) as engine:
        yield TextPluginHost(engine)
