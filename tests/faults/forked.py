"""Notifies, forks, and notifies again from both processes: ``python -m tests.faults.forked URL SILENT_URL``.

Prints a line of JSON for each response: ``who``, ``status``, ``body``, ``rows`` of the history that the call wrote.
"""

import json
import os
import sys
import time
from typing import Any

import influxdb3_notifier
from tests.recording_local import RecordingLocal


def notify(who: str, url: str, arguments: dict[str, str]) -> None:
    """Send one notification and print the answer."""
    body = {"notification_text": who, "senders_config": {"http": {"http_webhook_url": url}}}
    local = RecordingLocal()
    response: tuple[Any, ...] = influxdb3_notifier.process_request(
        1, local, {}, {}, json.dumps(body).encode(), arguments
    )
    print(json.dumps({"who": who, "status": response[1], "body": response[0], "rows": local.rows}), flush=True)


def in_flight() -> int:
    """The number of unfinished deliveries. The call has another configuration file, so it does not write a row."""
    view: tuple[Any, ...] = influxdb3_notifier.process_request(
        1, RecordingLocal(), {"view": "status"}, {}, b"", {"config_file_path": "/another"}
    )
    return int(view[0]["in_flight"])


def main(url: str, silent: str) -> None:
    """Fork with a pooled connection, a delivery in flight and a waiting history row."""
    background = {"response_timeout": "0s", "attempt_timeout": "1s", "max_attempts": "1"}
    notify("before", f"{url}/hook/fork", {})
    notify("background", silent, background)
    notify("late", f"{url}/hook/late", {"response_timeout": "0s", "history_table": "notifications"})
    while in_flight() > 1:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        notify("child", f"{url}/hook/fork", {})
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"who": "child's end", "status": os.waitstatus_to_exitcode(status), "body": {}}), flush=True)
    notify("after", f"{url}/hook/fork", {})


if __name__ == "__main__":
    main(*sys.argv[1:])
