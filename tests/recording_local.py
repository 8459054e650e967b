"""A minimal ``influxdb3_local`` for tests and benchmarks that call the plugin's functions directly."""

from typing import Any


class RecordingLocal:
    """Records log lines and written rows. The log methods are native functions, as the engine's are."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.rows: list[str] = []
        self.info = self.warn = self.error = self.lines.append

    def write_sync(self, line: Any, no_sync: bool) -> None:
        """Record a row."""
        assert no_sync
        self.rows.append(line.build())
