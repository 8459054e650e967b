"""Colours and a wait indicator, on terminals only: files and pipes get plain text."""

import os
import sys
import threading
import time
from types import TracebackType
from typing import Final, Self, TextIO

STYLES: Final = {"good": "32", "bad": "31", "warning": "33"}
"""The codes of the terminal's green, red and yellow, whose shades the user's theme sets."""
INTERVAL: Final = 1.0
"""Seconds before the indicator appears, and between its updates."""
CLEAR_LINE = "\r\x1b[K"


def is_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that supports cursor movement."""
    if sys.platform == "win32" or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour ``text`` if ``stream`` is a terminal and the environment variable NO_COLOR is not set.

    :param style: a key of ``STYLES``.
    :param stream: the stream on which the text is printed; None: standard output.
    """
    if os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


class WaitIndicator:
    """A line on a terminal's standard error that shows how long a command has been waiting.

    :meth:`print` prints other lines above it, from any thread.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_visible = False
        self._thread = threading.Thread(target=self._update, daemon=True) if is_terminal(sys.stderr) else None

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
        """Print a line on standard error."""
        with self._lock:
            self._clear()
            print(line, file=sys.stderr, flush=True)

    def _update(self) -> None:
        started = time.monotonic()
        while not self._ended.wait(INTERVAL):
            with self._lock:
                waited = int(time.monotonic() - started)
                print(f"{CLEAR_LINE}{self._text}, {waited} s", end="", file=sys.stderr, flush=True)
                self._is_visible = True

    def _clear(self) -> None:
        if self._is_visible:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
            self._is_visible = False
