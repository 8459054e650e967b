"""The rows of ``system.processing_engine_logs``: a ring in memory, shared by all triggers of a node."""

import threading
import time
from collections import deque
from dataclasses import dataclass

CAPACITY = 10_000
"""The number of rows in the engine's log, for all triggers together."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row. ``event_time`` is in nanoseconds since 1970, UTC."""

    event_time: int
    trigger_name: str
    log_level: str
    log_text: str

    def as_dict(self) -> dict[str, str]:
        """The row as a query with ``format=json`` returns it."""
        seconds, nanoseconds = divmod(self.event_time, 1_000_000_000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return {
            "event_time": f"{moment}.{nanoseconds:09d}",
            "trigger_name": self.trigger_name,
            "log_level": self.log_level,
            "log_text": self.log_text,
        }


class LogRing:
    """The newest :data:`CAPACITY` rows. Any thread can write."""

    def __init__(self) -> None:
        self._rows: deque[LogRow] = deque(maxlen=CAPACITY)
        self._lock = threading.Lock()

    def record(self, trigger_name: str, log_level: str, log_text: str) -> None:
        """Append a row. A full ring drops the oldest row."""
        row = LogRow(time.time_ns(), trigger_name, log_level, log_text)
        with self._lock:
            self._rows.append(row)

    def rows(self, trigger_name: str | None = None) -> list[dict[str, str]]:
        """All rows, or one trigger's, oldest first."""
        with self._lock:
            rows = list(self._rows)
        return [row.as_dict() for row in rows if trigger_name in (None, row.trigger_name)]
