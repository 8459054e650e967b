"""The databases behind the plugins: what is written waits for the next flush of the write-ahead log."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from tests.engine_host.line_protocol import LineError, Point, conflict, parse_line, split_lines

Query = Callable[[str, Mapping[str, str], str], list[dict[str, object]]]
"""(sql, args, database) to rows: what answers a plugin's queries, given by the test."""
Rows = list[dict[str, object]]
Batch = dict[str, Rows]
"""What one flush holds of one database: rows by table, tags and fields in one, ``time`` in nanoseconds."""

_NS_PER_UNIT = {
    **dict.fromkeys(("second", "s"), 1_000_000_000),
    **dict.fromkeys(("millisecond", "ms"), 1_000_000),
    **dict.fromkeys(("microsecond", "us", "u"), 1_000),
    **dict.fromkeys(("nanosecond", "ns", "n"), 1),
}
PRECISIONS = {"auto", *_NS_PER_UNIT}
_TIMESTAMPS = range(-(2**63), 2**63)


class EmptyWriteError(Exception):
    """A write without a line."""

    def __init__(self) -> None:
        super().__init__("incoming write was empty")


@dataclass
class LineWriteError(Exception):
    """A write of which nothing was taken, for the sake of one line."""

    line: str
    line_number: int
    """Counted from 1, without comments and empty lines."""
    message: str

    def __str__(self) -> str:
        return "parsing for line protocol failed"

    def as_dict(self) -> dict[str, object]:
        """As the server's answer has it."""
        return {"original_line": self.line, "line_number": self.line_number, "error_message": self.message}


@dataclass
class Written:
    """What became of a write."""

    flushed: "Future[None]"
    """Done when the write-ahead log is flushed, and the triggers have been told."""
    refused: list[LineWriteError] = field(default_factory=list)
    """The lines left out, where some may be."""


class Database:
    """All databases of the host. Writable from any thread.

    :param name: the one that the triggers belong to.
    :param flush_interval: seconds between two flushes of the write-ahead log.
    """

    def __init__(self, name: str, flush_interval: float) -> None:
        if flush_interval <= 0:
            raise ValueError(f"flush_interval is {flush_interval}: it must be more than 0 seconds")
        self.name = name
        self.flush_interval = flush_interval
        self.query: Query = lambda _sql, _args, _database: []
        self.lines: list[tuple[str, str]] = []
        """(database, line) of all that was written, oldest first."""
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], dict[str, str]] = {}
        """Kinds of columns by (database, table): a column keeps the one it was first written with."""
        self._unflushed: dict[str, Batch] = {}
        self._flushed: Future[None] = Future()

    def until_flush(self) -> float:
        """Seconds until the write-ahead log is to be flushed next."""
        return self.flush_interval - (time.monotonic() - self._started) % self.flush_interval

    def has_table(self, table: str) -> bool:
        """Whether the triggers' database has this table."""
        return (self.name, table) in self._kinds

    def write(
        self, database: str, text: str, *, precision: str = "nanosecond", accept_partial: bool = False
    ) -> Written:
        """Take the lines of ``text``; tables and columns come to be as they are written.

        :param precision: the unit of the timestamps, one of :data:`PRECISIONS`; ``auto`` guesses it from each.
        :param accept_partial: leave out the lines that are wrong; else one of them is a :class:`LineWriteError`.
        """
        now_ns = time.time_ns()
        with self._lock:
            kinds = {table: dict(known) for (owner, table), known in self._kinds.items() if owner == database}
            taken: list[tuple[Point, int]] = []
            refused = []
            for number, line in enumerate(split_lines(text), start=1):
                try:
                    point = parse_line(line)
                    moment = _nanoseconds(point.timestamp, precision, now_ns)
                    _check_kinds(kinds.setdefault(point.table, {"time": "timestamp"}), point)
                except LineError as error:
                    refused.append(LineWriteError(line, number, str(error)))
                    if not accept_partial:
                        raise refused[0] from None
                else:
                    taken.append((point, moment))
            if not taken and not refused:
                raise EmptyWriteError
            self._take(database, kinds, taken)
            return Written(self._flushed, refused)

    def _take(self, database: str, kinds: dict[str, dict[str, str]], taken: list[tuple[Point, int]]) -> None:
        for point, moment in taken:
            self._kinds[database, point.table] = kinds[point.table]
            row: dict[str, object] = {name: value for name, (_, value) in point.columns.items()}
            row["time"] = moment
            self._unflushed.setdefault(database, {}).setdefault(point.table, []).append(row)
            self.lines.append((database, point.line))

    def take_unflushed(self) -> tuple[dict[str, Batch], "Future[None]"]:
        """Begin a flush: what it holds, by database, and what is to be done when it is over."""
        with self._lock:
            unflushed, self._unflushed = self._unflushed, {}
            flushed, self._flushed = self._flushed, Future()
            return unflushed, flushed

    def close(self) -> None:
        """Let go of everybody who waits for the next flush, which does not come, now and from now on."""
        with self._lock:
            self._flushed.set_result(None)


def _check_kinds(known: dict[str, str], point: Point) -> None:
    """Add the point's columns to the table's, unless one is of another kind there."""
    for name, (kind, _) in point.columns.items():
        if known.get(name, kind) != kind:
            raise LineError(conflict(name, known[name], kind))
    known.update({name: kind for name, (kind, _) in point.columns.items()})


def _nanoseconds(timestamp: int | None, precision: str, now_ns: int) -> int:
    """The time of a point; one without is of now, cut to the precision."""
    unit = _NS_PER_UNIT.get(precision)
    if timestamp is None:
        return now_ns if unit is None else now_ns // unit * unit
    if unit is None:
        size = abs(timestamp) // 1_000_000_000
        unit = 1_000_000_000 if size < 5 else 1_000_000 if size < 5_000 else 1_000 if size < 5_000_000 else 1
    if timestamp * unit not in _TIMESTAMPS:
        raise LineError(f"timestamp, {timestamp}, out of range for precision: {precision.capitalize()}")
    return timestamp * unit
