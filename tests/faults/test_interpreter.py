"""Other Python threads run while the notifier works: no step holds the interpreter for long.

Another plugin's call is such a thread. CPython asks for the interpreter after 5 ms; native code must then give it back.
"""

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from influxdb3_notifier import process_request, process_scheduled_call, process_writes
from tests.faults.isolation import TooLateError, best_of
from tests.harness import Standin, eventually
from tests.recording_local import RecordingLocal

PLUGIN_API = 1
while_others_may_be_busy = best_of(12, pause=0.5)
"""A thread that waits for a processor is late too, and other tests run beside these. Who holds the interpreter is late
each time."""
HELD_SECONDS = 0.015
"""The longest that another thread may be held up, in processor time of the thread that works: on a busy machine both
wait for a processor besides. CPython asks after 5 ms, and the notifier gives way after 2 ms. The rest is for the thread
that waits, since it has to wake up to ask."""


class BusyLocal(RecordingLocal):
    """Its writes hold the interpreter for about 0.2 ms, in native code as the engine's are."""

    def __init__(self) -> None:
        super().__init__()
        self.write_sync = partial(max, *range(5_000), key=id)  # type: ignore[method-assign]

    def count_lines(self, part: str) -> int:
        """How many lines have ``part`` in them."""
        return sum(part in line for line in self.lines)


def others_run_during(work: Callable[[], object]) -> float:
    """Do some work while another thread looks how long it is held up; gives back the seconds that the work took."""
    clock = time.pthread_getcpuclockid(threading.get_ident())
    longest, begun, done = [0.0], threading.Event(), threading.Event()

    def look() -> None:
        before = time.clock_gettime(clock)
        while not done.is_set():
            now = time.clock_gettime(clock)
            longest[0] = max(longest[0], now - before)
            before = now
            begun.set()
            # Lets the other thread have the interpreter.
            time.sleep(0)

    thread = threading.Thread(target=look)
    thread.start()
    begun.wait()
    started = time.thread_time()
    try:
        work()
    finally:
        took = time.thread_time() - started
        done.set()
        thread.join()
    if longest[0] > HELD_SECONDS:
        raise TooLateError(f"held up for {longest[0] * 1000:.1f} ms of {took * 1000:.1f} ms")
    return took


@pytest.fixture
def silenced(tmp_path: Path) -> dict[str, str]:
    """Arguments under which nothing is sent."""
    path = tmp_path / f"{time.monotonic_ns()}.toml"
    path.write_text(
        """\
[receivers.hook]
http = { webhook_url = "http://127.0.0.1:9/hook" }
[[routes]]
receivers = ["hook"]
[[silences]]
name = "all"
until = 2099-01-01T00:00:00Z
"""
    )
    return {"config_file_path": str(path)}


@while_others_may_be_busy
def test_other_threads_run_while_wide_rows_are_read(silenced: dict[str, str]) -> None:
    wide = {f"column{n}": n for n in range(500)}
    rows = [{"message": f"{n}", "time": n, **wide} for n in range(1000)]
    batches = [{"table_name": "alerts", "rows": rows}]
    took = others_run_during(lambda: process_writes(PLUGIN_API, BusyLocal(), batches, silenced))
    assert took > 2 * HELD_SECONDS, "so many columns were read"


@while_others_may_be_busy
@pytest.mark.parametrize("destinations", [100, 5_000])
def test_other_threads_run_while_a_response_is_built(destinations: int) -> None:
    """The first is the longest answer that is a dict; longer ones are text."""
    hooks = [{"http_webhook_url": f"http://127.0.0.1:9/{n}"} for n in range(destinations)]
    request = {"notification_text": "x" * 100, "senders_config": {"http": hooks}, "dry_run": True}
    body = json.dumps(request).encode()
    others_run_during(lambda: process_request(PLUGIN_API, BusyLocal(), {}, {}, body, {}))


@while_others_may_be_busy
def test_other_threads_run_while_the_history_is_written(standin: Standin) -> None:
    count = 500
    arguments = {"history_table": f"history{time.monotonic_ns()}", "response_timeout": "0s"}
    hooks = [{"http_webhook_url": f"{standin.url}/hook/{n}"} for n in range(count)]
    body = json.dumps({"notification_text": "x", "senders_config": {"http": hooks}}).encode()
    local = BusyLocal()
    # The call waits for no delivery, so it writes few rows.
    process_request(PLUGIN_API, local, {}, {}, body, arguments)
    eventually(lambda: local.count_lines("delivered in") == count)
    took = others_run_during(lambda: process_scheduled_call(PLUGIN_API, local, None, arguments))
    assert took > 2 * HELD_SECONDS, "so many rows were written"
