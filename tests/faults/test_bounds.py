"""Limits of concurrent work, and the errors beyond them."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import influxdb3_notifier
from tests.faults.isolation import TooLateError, best_of_three
from tests.harness import Response, Standin, Trigger, Triggers, eventually

WAITING_CALLS = 64


def webhooks(text: str, *urls: str) -> dict[str, object]:
    """A request to these addresses."""
    return {"notification_text": text, "senders_config": {"http": [{"http_webhook_url": url} for url in urls]}}


def metric(trigger: Trigger, name: str) -> float:
    """The value of a metric without labels."""
    text = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def until_idle(trigger: Trigger) -> None:
    """Wait until every delivery of the process has ended."""
    eventually(lambda: metric(trigger, "notifier_in_flight") == 0, "nothing is in flight", timeout=30)


@best_of_three
def test_calls_beyond_the_waiting_limit_are_answered_at_once(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/wait", hang=True)
    trigger = triggers.create({"response_timeout": "2s", "delivery_timeout": "3s", "max_attempts": "1"})
    url = f"{standin.url}/hook/wait"

    def ask(n: int) -> Response:
        return trigger.notify(webhooks(str(n), url))

    with ThreadPoolExecutor(WAITING_CALLS + 16) as pool:
        responses = list(pool.map(ask, range(WAITING_CALLS + 16)))
    # Before another try: requests like those in flight would join them.
    until_idle(trigger)
    assert all(response.json["results"] == {"http": "pending"} for response in responses)
    elapsed = sorted(response.elapsed for response in responses)
    soon, waited = elapsed[:-WAITING_CALLS], elapsed[-WAITING_CALLS:]
    assert min(waited) > 1.9
    if max(soon) > 1.0:
        raise TooLateError(f"{max(soon):.3f} s")


class _Held:
    """An ``influxdb3_local`` that lets lines of later wait until the test opens the gate."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gate = threading.Event()
        self._caller = threading.get_ident()

    def _write(self, line: str) -> None:
        if threading.get_ident() != self._caller:
            self.gate.wait()
        self.lines.append(line)

    info = warn = error = _write


def test_log_lines_beyond_the_buffer_are_counted_and_delay_no_delivery(triggers: Triggers, standin: Standin) -> None:
    """12,000 deliveries wait for a rate limit, and end while no call writes their log lines."""
    view = triggers.create()
    before = metric(view, "notifier_log_lines_dropped_total")
    standin.rule("/hook/limited", reply={"status": 429, "headers": [["retry-after", "1"]]})
    arguments = {"response_timeout": "0s", "delivery_timeout": "2s", "max_in_flight": "20000"}
    log = _Held()
    url = f"{standin.url}/hook/limited"

    def ends() -> int:
        return sum(": failed" in line for line in log.lines)

    def send(text: str, count: int) -> None:
        body = json.dumps(webhooks(text, *[url] * count)).encode()
        response: Any = influxdb3_notifier.process_request(1, log, {}, {}, body, arguments)
        # Long answers come as text.
        said = json.loads(response[0]) if isinstance(response[0], str) else response[0]
        assert said["results"] == {"http": "pending"}

    try:
        send("first", 1)
        standin.wait_for("/hook/limited")
        for n in range(12):
            send(f"{n}", 1000)
        until_idle(view)
        assert ends() == 0
        dropped = metric(view, "notifier_log_lines_dropped_total") - before
        assert 1_700 < dropped < 2_200, "ten thousand have found a place"
    finally:
        log.gate.set()
    eventually(lambda: ends() + dropped >= 12_000, "every line is written, or counted as dropped", timeout=20)
