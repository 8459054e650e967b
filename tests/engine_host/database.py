"""The databases of the host. Written lines wait for the next flush of the write-ahead log."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from tests.engine_host.line_protocol import LineError, Point, conflict, parse_line, split_lines

Query = Callable[[str, Mapping[str, str], str], list[dict[str, object]]]
"""A function of the test that answers plugins' queries: (sql, args, database) to rows."""
Rows = list[dict[str, object]]
Batch = dict[str, Rows]
"""The rows of one flush and one database, by table. A row has tags, fields and ``time`` in nanoseconds."""

_NS_PER_UNIT = {
    **dict.fromkeys(("second", "s"), 1_000_000_000),
    **dict.fromkeys(("millisecond", "ms"), 1_000_000),
    **dict.fromkeys(("microsecond", "us", "u"), 1_000),
    **dict.fromkeys(("nanosecond", "ns", "n"), 1),
}
PRECISIONS = {"auto", *_NS_PER_UNIT}
_TIMESTAMPS = range(-(2**63), 2**63)


class EmptyWriteError(Exception):
    """A write without lines."""

    def __init__(self) -> None:
        super().__init__("incoming write was empty")


@dataclass
class LineWriteError(Exception):
    """A write that was rejected because of one line."""

    line: str
    line_number: int
    """The number of the line from 1, without comments and empty lines."""
    message: str

    def __str__(self) -> str:
        return "parsing for line protocol failed"

    def as_dict(self) -> dict[str, object]:
        """The error in the server's response."""
        return {"original_line": self.line, "line_number": self.line_number, "error_message": self.message}


@dataclass
class WriteResult:
    """The result of a write."""

    flushed: "Future[None]"
    """Done when the write-ahead log is flushed and the triggers are notified."""
    rejected: list[LineWriteError] = field(default_factory=list)
    """The rejected lines of a partial write."""


class Database:
    """All databases of the host. Any thread can write.

    :param name: the database of the triggers.
    :param flush_interval: seconds between two flushes of the write-ahead log.
    """

    def __init__(self, name: str, flush_interval: float) -> None:
        if flush_interval <= 0:
            raise ValueError(f"flush_interval is {flush_interval}: it must be more than 0 seconds")
        self.name = name
        self.flush_interval = flush_interval
        self.query: Query = lambda _sql, _args, _database: []
        self.lines: list[tuple[str, str]] = []
        """All written lines as (database, line), oldest first."""
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], dict[str, str]] = {}
        """The types of columns by (database, table). The first write of a column decides its type."""
        self._unflushed: dict[str, Batch] = {}
        self._flushed: Future[None] = Future()

    def until_flush(self) -> float:
        """Seconds until the next flush of the write-ahead log."""
        return self.flush_interval - (time.monotonic() - self._started) % self.flush_interval

    def has_table(self, table: str) -> bool:
        """Whether the triggers' database has this table."""
        return (self.name, table) in self._kinds

    def write(
        self, database: str, text: str, *, precision: str = "nanosecond", accept_partial: bool = False
    ) -> WriteResult:
        """Write the lines of ``text``. New tables and columns are created.

        :param precision: the unit of the timestamps, one of :data:`PRECISIONS`; ``auto`` guesses it from each.
        :param accept_partial: skip invalid lines; otherwise the first one raises :class:`LineWriteError`.
        """
        now_ns = time.time_ns()
        with self._lock:
            kinds = {table: dict(known) for (owner, table), known in self._kinds.items() if owner == database}
            points: list[tuple[Point, int]] = []
            rejected = []
            for number, line in enumerate(split_lines(text), start=1):
                try:
                    point = parse_line(line)
                    moment = _nanoseconds(point.timestamp, precision, now_ns)
                    _check_kinds(kinds.setdefault(point.table, {"time": "timestamp"}), point)
                except LineError as error:
                    rejected.append(LineWriteError(line, number, str(error)))
                    if not accept_partial:
                        raise rejected[0] from None
                else:
                    points.append((point, moment))
            if not points and not rejected:
                raise EmptyWriteError
            self._store(database, kinds, points)
            return WriteResult(self._flushed, rejected)

    def _store(self, database: str, kinds: dict[str, dict[str, str]], points: list[tuple[Point, int]]) -> None:
        for point, moment in points:
            self._kinds[database, point.table] = kinds[point.table]
            row: dict[str, object] = {name: value for name, (_, value) in point.columns.items()}
            row["time"] = moment
            self._unflushed.setdefault(database, {}).setdefault(point.table, []).append(row)
            self.lines.append((database, point.line))

    def take_unflushed(self) -> tuple[dict[str, Batch], "Future[None]"]:
        """Begin a flush. Returns its batches by database, and a future for its end."""
        with self._lock:
            unflushed, self._unflushed = self._unflushed, {}
            flushed, self._flushed = self._flushed, Future()
            return unflushed, flushed

    def close(self) -> None:
        """Release all current and later waiters for a flush, because there are no more flushes."""
        with self._lock:
            self._flushed.set_result(None)


def _check_kinds(known: dict[str, str], point: Point) -> None:
    """Add the point's columns to the table, unless a column has another type."""
    for name, (kind, _) in point.columns.items():
        if known.get(name, kind) != kind:
            raise LineError(conflict(name, known[name], kind))
    known.update({name: kind for name, (kind, _) in point.columns.items()})


def _nanoseconds(timestamp: int | None, precision: str, now_ns: int) -> int:
    """The time of a point. The default is the current time, truncated to the precision."""
    unit = _NS_PER_UNIT.get(precision)
    if timestamp is None:
        return now_ns if unit is None else now_ns // unit * unit
    if unit is None:
        size = abs(timestamp) // 1_000_000_000
        unit = 1_000_000_000 if size < 5 else 1_000_000 if size < 5_000 else 1_000 if size < 5_000_000 else 1
    if timestamp * unit not in _TIMESTAMPS:
        raise LineError(f"timestamp, {timestamp}, out of range for precision: {precision.capitalize()}")
    return timestamp * unit
