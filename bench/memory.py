"""The memory of a process, on Linux only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AVAILABLE = Path("/proc/self/status").exists()
SAMPLE_INTERVAL = 0.02
"""The sampling interval in seconds."""


def resident(pid: int | str) -> int:
    """Bytes of resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Peak:
    """The maximum of the samples."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def peak_resident(pid: int) -> Iterator[Peak]:
    """Samples a process until the block ends."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_INTERVAL):
            peak.bytes = max(peak.bytes, resident(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
