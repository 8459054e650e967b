"""A Python process that runs one plugin as the engine does: ``python -m bench.worker PLUGIN_FILE``.

Reads one job a line on standard input, answers with one line on standard output.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench import memory
from tests.recording_local import RecordingLocal


class Counter:
    """A thread that counts, in place of another plugin's thread."""

    def __init__(self) -> None:
        self._count = 0
        self._running = True
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._running:
            self._count += 1

    def stop(self) -> float:
        """Stop counting, and return the counts per second."""
        elapsed = time.perf_counter() - self._started
        count = self._count
        self._running = False
        self._thread.join()
        return count / elapsed


class PluginRunner:
    """Runs the plugin, which it has executed once."""

    def __init__(self, plugin: Path) -> None:
        self._source = plugin.read_text(encoding="utf-8")
        self._scope = self._execute()
        self._function = self._scope["process_request"]
        self._counter: Counter | None = None

    def _execute(self) -> dict[str, Any]:
        scope: dict[str, Any] = {}
        exec(compile(self._source, "<string>", "exec"), scope)  # noqa: S102 - as the engine does
        return scope

    def send(
        self, request: dict[str, Any], arguments: dict[str, str], times: int, read: bool = True, count: bool = False
    ) -> list[dict[str, Any]]:
        """Call the plugin ``times`` times. Times in nanoseconds; CPU time is that of all threads.

        :param read: whether the answer is looked at, which takes memory of its own.
        :param count: whether a thread counts during the calls, and only then.
        """
        body = json.dumps(request, ensure_ascii=False).encode()
        # The memory of the job itself is allocated before the measurement.
        extra: dict[str, float] = {} if read else {"resident_before": memory.resident("self")}
        taken, answers = [], []
        counter = Counter() if count else None
        for _ in range(times):
            local = RecordingLocal()
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            answer = self._function(local, {}, {}, body, arguments or None)
            taken.append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
            # Looked at afterwards: the limit does nothing between two calls either.
            answers.append(answer if read else None)
            del answer
        if counter:
            extra["counted"] = counter.stop()
        return [
            {"wall_ns": wall_ns, "cpu_ns": cpu_ns} | extra | _read(answer)
            for (wall_ns, cpu_ns), answer in zip(taken, answers, strict=True)
        ]

    def write(self, rows: int, arguments: dict[str, str]) -> list[int]:
        """The duration of a write trigger's call with ``rows`` rows, in nanoseconds."""
        start = time.time_ns()
        table = [
            {
                "host": f"db{row % 100}",
                "level": "warning",
                "message": f"CPU usage is {row % 100} %",
                "time": start + row,
            }
            for row in range(rows)
        ]
        batches = [{"table_name": "alerts", "rows": table}]
        write, local = self._scope["process_writes"], RecordingLocal()
        started = time.perf_counter_ns()
        write(local, batches, arguments)
        return [time.perf_counter_ns() - started]

    def execute(self, times: int) -> list[int]:
        """Nanoseconds for compiling and executing the plugin's file, as the engine does at each call."""
        taken = []
        for _ in range(times):
            started = time.perf_counter_ns()
            self._execute()
            taken.append(time.perf_counter_ns() - started)
        return taken

    def count(self) -> None:
        """Start counting."""
        self._counter = Counter()

    def counted(self) -> float:
        """Stop counting, and return the counts per second."""
        assert self._counter is not None
        return self._counter.stop()


def _read(answer: Any) -> dict[str, Any]:
    """The number of delivered messages in a response, and their times; None: undelivered or unknown."""
    if answer is None:
        return {"delivered": 0, "delivered_ns": []}
    body = answer[0] if isinstance(answer, tuple) else answer
    if isinstance(body, str):
        body = json.loads(body)
    delivered = [entry["outcome"] == "delivered" for entry in body["deliveries"]]
    times = [
        int(entry["elapsed_ms"] * 1e6) if good and entry["elapsed_ms"] is not None else None
        for good, entry in zip(delivered, body["deliveries"], strict=True)
    ]
    return {"delivered": sum(delivered), "delivered_ns": times}


def main() -> None:
    """Run jobs until standard input ends."""
    worker = PluginRunner(Path(sys.argv[1]))
    for line in sys.stdin:
        job = json.loads(line)
        result = getattr(worker, job.pop("do"))(**job)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
