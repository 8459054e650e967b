"""Exits while a log line is being written: ``python -m tests.faults.ending URL``, where no server listens at the URL.

The log thread needs the interpreter after it has written the line, and the interpreter takes a second to exit.
"""

import json
import sys
import threading
import time
import types

import influxdb3_notifier


class Lingering:
    """Takes 1 s to be deleted."""

    def __init__(self) -> None:
        self._sleep = time.sleep

    def __del__(self) -> None:
        self._sleep(1)


class SlowLocal:
    """An ``influxdb3_local`` that takes 0.3 s to log a line after the call has returned."""

    def __init__(self) -> None:
        self.writes = threading.Event()
        self._caller = threading.get_ident()

    def _log(self, _line: str) -> None:
        if threading.get_ident() != self._caller:
            self.writes.set()
            time.sleep(0.3)

    info = warn = error = _log


def main(url: str) -> None:
    """Start a delivery that ends after the response, and exit while its end is logged."""
    module = types.ModuleType("lingering")
    module.lingering = Lingering()  # type: ignore[attr-defined]
    # Only objects in modules are deleted after the interpreter has begun to exit.
    sys.modules["lingering"] = module
    local = SlowLocal()
    body = {"notification_text": "x", "senders_config": {"http": {"http_webhook_url": url}}}
    arguments = {"response_timeout": "0s", "max_attempts": "1", "attempt_timeout": "300ms"}
    influxdb3_notifier.process_request(1, local, {}, {}, json.dumps(body).encode(), arguments)
    assert local.writes.wait(20)


if __name__ == "__main__":
    main(*sys.argv[1:])
