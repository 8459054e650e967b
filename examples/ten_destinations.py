"""One request to ten destinations, of which nine fail or are slow, with the response and the log lines of each.

Run it after ``make build``: ``.venv/bin/python -m examples.ten_destinations``. Everything happens on loopback: the
destinations are stand-ins, the engine is that of the tests, or a real server when ``INFLUXDB3`` names its program.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import harness
from tests.harness import Engine, Response, Standin

ARGUMENTS = {
    "response_timeout": "2s",
    "delivery_timeout": "10s",
    "attempt_timeout": "300ms",
    "initial_backoff": "100ms",
    "max_attempts": "2",
}
"""Short times, so that the example is: by default ten attempts are made over some minutes."""


@dataclass
class Destination:
    """One destination, and its expected result."""

    trouble: str
    sender: str
    url: str
    outcome: str
    """In the answer."""
    reason: str | None = None
    attempts: int = 1

    def configuration(self) -> dict[str, str]:
        """Its path in ``senders_config``."""
        return {f"{self.sender}_webhook_url": self.url}


def destinations(standin: Standin) -> list[Destination]:
    """Create ten destinations, and set the stand-in's rules for them."""
    at = standin.url
    standin.rule("/hook/slow", delay_ms=200)
    standin.rule("/hook/twice", reply={"status": 503}, times=1)
    standin.rule("/hook/moved", reply={"status": 301, "headers": [["location", f"{at}/hook/elsewhere"]]})
    standin.rule("/api/webhooks/5/*", reply={"status": 429, "json": {"retry_after": 3.0}}, times=1)

    def broken(kind: str) -> str:
        return f"{standin.fault(kind)['url']}hook"

    return [
        Destination("works", "slack", f"{at}/services/T0/B0/X0", "delivered"),
        Destination("is slow", "http", f"{at}/hook/slow", "delivered"),
        Destination("needs two tries", "http", f"{at}/hook/twice", "delivered", attempts=2),
        Destination("limits the rate for 3 s", "discord", f"{at}/api/webhooks/5/abc", "pending", "rate_limited"),
        Destination("is gone", "slack", f"{at}/services/T0/B0/gone", "failed", "unknown_destination"),
        Destination("redirects", "http", f"{at}/hook/moved", "failed", "redirected"),
        Destination("refuses the connection", "http", broken("refuse"), "failed", "connect", 2),
        Destination("hangs", "http", broken("silent"), "failed", "timeout", 2),
        Destination("resets the connection", "http", broken("reset"), "failed", "connection_lost", 2),
        Destination("answers garbage", "http", broken("malformed_status"), "ambiguous", "malformed_reply", 1),
    ]


def request(ten: list[Destination]) -> dict[str, Any]:
    """One notification for all of them: a sender with several destinations is a list."""
    senders: dict[str, list[dict[str, str]]] = {}
    for each in ten:
        senders.setdefault(each.sender, []).append(each.configuration())
    return {"notification_text": "CPU usage of db1 is 97 %", "senders_config": senders}


def in_the_answers_order(ten: list[Destination]) -> list[Destination]:
    """By sender, as the request has them."""
    order = list(dict.fromkeys(each.sender for each in ten))
    return sorted(ten, key=lambda each: order.index(each.sender))


def show(answer: Response, ten: list[Destination]) -> list[str]:
    """Print a line for each destination; returns the unexpected results."""
    print(f"HTTP {answer.status} after {answer.elapsed * 1000:.0f} ms, {answer.json['status']}")
    print(json.dumps(answer.json["results"]))
    wrong = []
    for each, entry in zip(in_the_answers_order(ten), answer.json["deliveries"], strict=True):
        print(f"{each.trouble:<24} {entry['outcome']:<10} {entry['attempts']} attempts  {entry['reason'] or ''}")
        if entry["hint"]:
            print(f"{'':<24} {entry['detail']} {entry['hint']}")
        found = (entry["outcome"], entry["reason"], entry["attempts"])
        if found != (each.outcome, each.reason, each.attempts):
            wrong.append(f"{each.trouble}: {found}")
    return wrong


def wait_for_the_end(engine: Engine, task_id: str) -> list[str]:
    """The request's log lines, once the delivery that was pending has ended."""

    def ended() -> list[str]:
        lines = [row["log_text"] for row in engine.logs("notify") if task_id in row["log_text"]]
        return lines if any("discord" in line and "delivered" in line for line in lines) else []

    lines = harness.eventually(ended, "the end of what was pending", timeout=20)
    return list(lines)


def main() -> int:
    """Run the example; 0 when every destination came out as expected."""
    with ExitStack() as stack:
        standin = stack.enter_context(Standin())
        plugin_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = harness.start_engine(plugin_dir)
        stack.callback(engine.stop)
        engine.create_trigger("notify", arguments=ARGUMENTS)
        ten = destinations(standin)
        answer = harness.post(engine, request(ten), headers={"Content-Type": "application/json"})
        wrong = show(answer, ten)
        print("\nThe log, until the last delivery has ended:")
        print("\n".join(wait_for_the_end(engine, answer.json["task_id"])))
    print("\nNot as expected: " + "; ".join(wrong) if wrong else "\nAll as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
