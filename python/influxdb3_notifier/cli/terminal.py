"""What people at a terminal get besides: colours, and a sign of life while a command waits.

Neither is written to a file or a pipe, so that what programs read is the same everywhere.
"""

import os
import sys
import threading
import time
from types import TracebackType
from typing import Final, Self, TextIO

STYLES: Final = {"good": "32", "bad": "31", "doubtful": "33"}
"""The terminal's own green, red and yellow, which fit its background."""
QUIET: Final = 1.0
"""Seconds for which a command may wait without a word."""
CLEAR_LINE = "\r\x1b[K"


def is_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which a cursor can be moved."""
    if sys.platform == "win32" or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """``text`` in a colour, where ``stream`` is a terminal and the environment does not have NO_COLOR.

    :param style: one of ``STYLES``.
    :param stream: where it will be printed; None: standard output.
    """
    if os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


class Waiting:
    """A line on standard error that says for how long a command has been waiting; only on a terminal.

    Lines that come meanwhile are printed above it. Any thread may print.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._shown = False
        self._thread = threading.Thread(target=self._tick, daemon=True) if is_terminal(sys.stderr) else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
            self._clear()

    def print(self, line: str) -> None:
        """Print a line of standard error."""
        with self._lock:
            self._clear()
            print(line, file=sys.stderr, flush=True)

    def _tick(self) -> None:
        started = time.monotonic()
        while not self._ended.wait(QUIET):
            with self._lock:
                waited = int(time.monotonic() - started)
                print(f"{CLEAR_LINE}{self._what}, {waited} s", end="", file=sys.stderr, flush=True)
                self._shown = True

    def _clear(self) -> None:
        if self._shown:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
            self._shown = False
