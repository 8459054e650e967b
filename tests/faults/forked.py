"""Notifies, forks, and notifies again from both: ``python -m tests.faults.forked URL SILENT_URL``.

Prints a line of JSON for each answer: ``who``, ``status``, ``body``.
"""

import json
import os
import sys

import influxdb3_notifier


class Local:
    """An ``influxdb3_local`` that keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _log(self, *parts: object) -> None:
        self.lines.append(" ".join(map(str, parts)))

    info = warn = error = _log


def notify(who: str, url: str, arguments: dict[str, str]) -> None:
    """Send one notification and print the answer."""
    body = {"notification_text": who, "senders_config": {"http": {"http_webhook_url": url}}}
    answer = influxdb3_notifier.process_request(1, Local(), {}, {}, json.dumps(body).encode(), arguments)
    print(json.dumps({"who": who, "status": answer[1], "body": json.loads(answer[0])}), flush=True)


def main(url: str, silent: str) -> None:
    """Have a kept connection and a delivery under way, then fork."""
    background = {"response_timeout": "0s", "attempt_timeout": "1s", "max_attempts": "1"}
    notify("before", f"{url}/hook/fork", {})
    notify("background", silent, background)
    child = os.fork()
    if child == 0:
        notify("child", f"{url}/hook/fork", {})
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"who": "child's end", "status": os.waitstatus_to_exitcode(status), "body": {}}), flush=True)
    notify("after", f"{url}/hook/fork", {})


if __name__ == "__main__":
    main(*sys.argv[1:])
