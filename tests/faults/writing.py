"""A process that calls a write trigger: ``python -m tests.faults.writing CONFIG_FILE``.

Each line of standard input is a number of rows for one call. The answer is a line with the seconds that the call took,
and the log's lines so far. The process ends when standard input does.
"""

import json
import sys
import time

from influxdb3_notifier import process_writes
from tests.recording_local import RecordingLocal


class Calls:
    """Calls of one trigger."""

    def __init__(self, arguments: dict[str, str]) -> None:
        self.arguments = arguments
        self.log = RecordingLocal()
        self.written = 0

    def write(self, rows: int) -> float:
        """Write ``rows`` rows with consecutive numbers as texts; returns the duration of the call in seconds."""
        numbers = range(self.written, self.written + rows)
        self.written += rows
        batch = [{"message": str(number), "host": f"db{number % 7}", "time": number} for number in numbers]
        begun = time.perf_counter()
        process_writes(1, self.log, [{"table_name": "alerts", "rows": batch}], self.arguments)
        return time.perf_counter() - begun


def main(path: str) -> None:
    """Make a call for each line of standard input."""
    calls = Calls({"config_file_path": path})
    for line in sys.stdin:
        took = calls.write(int(line))
        print(json.dumps({"seconds": took, "lines": calls.log.lines}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
