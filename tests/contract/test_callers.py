"""The official callers' loop against every status and every slowness: how often they post, how many messages arrive."""

import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.caller_double import TIMEOUT, CallerDouble, Report
from tests.contract.case import write_config
from tests.faults.isolation import TooLateError, best_of_three
from tests.harness import PLUGIN, Standin, Trigger, Triggers, eventually

FAST = {"initial_backoff": "10ms", "max_backoff": "20ms", "max_attempts": "3", "delivery_timeout": "2s"}
LOOPS = {"three tries": 3, "one try": 1}


def caller(trigger: Trigger, tries: int = 3) -> CallerDouble:
    """A caller of this trigger with a hundredth of the real pauses."""
    return CallerDouble(trigger.url, tries, sleep=lambda seconds: time.sleep(seconds / 100), token=trigger.engine.token)


def webhook(url: str) -> dict[str, dict[str, str]]:
    """Senders of one generic webhook."""
    return {"http": {"http_webhook_url": url}}


def slack(standin: Standin) -> dict[str, dict[str, str]]:
    """Senders of one Slack webhook."""
    return {"slack": {"slack_webhook_url": f"{standin.url}/services/T0/B0/caller"}}


STATUSES: list[tuple[int, object, int]] = [
    *((status, True, 1) for status in (200, 201, 202, 204, 206, 226, 299)),
    *((status, False, 1) for status in (300, 301, 302, 303, 304, 307, 308)),
    *((status, False, 1) for status in (400, 401, 402, 403, 404, 405, 406, 409, 410, 413, 415, 418, 422, 451, 499)),
    *((status, False, 3) for status in (408, 425, 500, 501, 502, 503, 504, 507, 511, 599)),
]


@pytest.mark.parametrize("tries", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize(("status", "result", "attempts"), STATUSES)
def test_a_caller_posts_once_for_every_reply_of_the_destination(
    status: int, result: object, attempts: int, tries: int, triggers: Triggers, standin: Standin
) -> None:
    path = f"/status/{status}/{tries}"
    report = caller(triggers.create(FAST), tries).alert("hi", webhook(standin.url + path))
    assert (report.posts, report.results, report.failures) == (1, {"http": result}, [])
    assert report.slowest < TIMEOUT
    assert len(standin.requests(path)) == attempts


def test_a_callers_response_does_not_wait_for_a_rate_limit(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/services/*", reply={"status": 429, "headers": [["retry-after", "0.2"]], "body": ""}, times=2)
    trigger = triggers.create({"response_timeout": "50ms"})
    report = caller(trigger).alert("hi", slack(standin))
    assert (report.posts, report.results) == (1, {"slack": "pending"})
    trigger.wait_for_log("delivered in")
    assert [message["text"] for message in standin.messages()] == ["hi"]


@dataclass(frozen=True)
class Slowness:
    """A slow destination, and the number of messages among its requests."""

    name: str
    rule: dict[str, Any]
    result: object
    messages: int
    attempt_timeout: str = "15s"

    def __str__(self) -> str:
        return self.name


SLOW = [
    Slowness("an answer within the response timeout", {"delay_ms": 50}, True, 1),
    Slowness("an answer after the response timeout", {"delay_ms": 500}, "pending", 1),
    Slowness("no answer", {"hang": True}, "pending", 0),
    Slowness("an accepted message and a late reply", {"accept_first": True, "delay_ms": 500}, "pending", 1),
    # The result is unknown, and Slack does not detect duplicates.
    Slowness(
        "an accepted message and no reply", {"accept_first": True, "hang": True, "times": 1}, "pending", 2, "300ms"
    ),
    Slowness("an error first", {"reply": {"status": 500, "body": ""}, "times": 1}, True, 1),
    Slowness(
        "an error after the response timeout", {"delay_ms": 400, "reply": {"status": 404, "body": ""}}, "pending", 0
    ),
]


@pytest.mark.parametrize("run_asynchronous", [True, False], ids=["asynchronous", "serial"])
@pytest.mark.parametrize("slowness", SLOW, ids=str)
def test_a_caller_posts_once_to_a_slow_destination(
    slowness: Slowness, run_asynchronous: bool, triggers: Triggers, standin: Standin
) -> None:
    standin.rule("/services/*", **slowness.rule)
    arguments = FAST | {"response_timeout": "200ms", "delivery_timeout": "1s"}
    arguments |= {"attempt_timeout": slowness.attempt_timeout}
    trigger = triggers.create(arguments, run_asynchronous=run_asynchronous)
    report = caller(trigger).alert("hi", slack(standin))
    assert (report.posts, report.results, report.failures) == (1, {"slack": slowness.result}, [])
    assert report.slowest < 1
    trigger.wait_for_log("delivered in" if slowness.messages else "failed after")
    assert [message["text"] for message in standin.messages()] == ["hi"] * slowness.messages


FAULTS = ["refuse", "blackhole", "stall", "reset", "reset_before_body", "close", "silent", "slow_headers"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_caller_posts_once_for_every_network_fault(kind: str, triggers: Triggers, standin: Standin) -> None:
    fault = standin.fault(kind)
    arguments = FAST | {"response_timeout": "300ms", "attempt_timeout": "50ms", "delivery_timeout": "1s"}
    trigger = triggers.create(arguments)
    report = caller(trigger).alert("hi", webhook(fault["url"]))
    assert report.posts == 1
    assert report.results in ({"http": "pending"}, {"http": False})
    assert report.slowest < 1
    trigger.wait_for_log("failed after")


@dataclass(frozen=True)
class Rejected:
    """A cause of an error response, after which callers with three attempts retry."""

    name: str
    payload: object
    arguments: dict[str, str]
    status: str

    def __str__(self) -> str:
        return self.name


HI = {"notification_text": "hi", "senders_config": {"pager": {}}}
REJECTED = [
    Rejected("no text", {"senders_config": {}}, {}, "400 Client Error"),
    Rejected("no senders", {"notification_text": "hi"}, {}, "400 Client Error"),
    Rejected("an argument that cannot be used", HI, {"max_attempts": "many"}, "503 Server Error"),
    Rejected("failure_status 502", HI, {"failure_status": "502"}, "502 Server Error"),
]


@pytest.mark.parametrize("tries", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("rejected", REJECTED, ids=str)
def test_a_caller_repeats_after_an_error_status_without_an_exception(
    rejected: Rejected, tries: int, triggers: Triggers, standin: Standin
) -> None:
    report = caller(triggers.create(rejected.arguments), tries).post(json.dumps(rejected.payload))
    assert (report.posts, report.results, len(report.failures)) == (tries, None, tries)
    assert all(rejected.status in failure for failure in report.failures)
    assert standin.requests() == []


def test_with_failure_status_502_a_caller_retries_only_failed_deliveries(triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create(FAST | {"failure_status": "502"})
    dead = {"slack": {"slack_webhook_url": f"{standin.url}/services/T0/B0/gone"}}
    assert caller(trigger).alert("hi", dead).posts == 3
    assert len(standin.requests("/services/")) == 3
    report = caller(trigger).alert("hi", dead | webhook(f"{standin.url}/hook/good"))
    assert (report.posts, report.results) == (1, {"slack": False, "http": True})


@pytest.mark.parametrize(
    "senders", [{}, {"slack": None}, {"pager": {}}, {"slack": {}}, {"sms": []}, {"http": {"http_webhook_url": "x"}}]
)
def test_a_configuration_that_cannot_be_used_is_posted_once(senders: object, triggers: Triggers) -> None:
    report = caller(triggers.create()).alert("hi", senders)
    assert (report.posts, report.failures) == (1, [])
    assert isinstance(report.results, dict)


def test_a_caller_tries_an_unknown_path_three_times(triggers: Triggers) -> None:
    double = caller(triggers.create())
    double.url += "/nobody"
    report = double.alert("hi", {})
    assert (report.posts, len(report.failures)) == (3, 3)


# Secrets that callers never see

SERVER_SIDE = """
[settings]
request_destinations = "ignore"
default_receivers = ["log"]

[receivers.oncall.slack]
webhook_url = {{ file = "{directory}/hook" }}

[receivers.log.http]
webhook_url = "{url}/hook/log"

[[routes]]
match = {{ level = ["error", "critical"] }}
receivers = ["oncall"]
"""
TEXTS = [
    # As the official plugins' own templates begin.
    ("[CRITICAL] Threshold Alert on table cpu: usage of host db1 is 97.3", "oncall"),
    ("[INFO] Field state of host db1 changed", "log"),
    ("Deadman Alert: no data from host db1", "log"),
]


@pytest.mark.parametrize("tries", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize(("text", "receiver"), TEXTS)
def test_a_callers_request_reaches_a_receiver_without_knowing_its_secret(
    text: str, receiver: str, tries: int, triggers: Triggers, standin: Standin, tmp_path: Path
) -> None:
    (tmp_path / "hook").write_text(f"{standin.url}/services/T0/B0/servers-secret\n")
    file = write_config(tmp_path, SERVER_SIDE.format(directory=tmp_path, url=standin.url))
    trigger = triggers.create({"config_file_path": str(file)})
    # The callers require a configuration of at least one sender, and send it unchanged.
    report = caller(trigger, tries).alert(text, {"slack": {"slack_webhook_url": "configured on the server"}})
    assert (report.posts, report.failures) == (1, [])
    assert report.results == {"slack": "ignored", receiver: True}
    [message] = standin.messages()
    assert message["text"] == text
    assert message["provider"] == ("slack" if receiver == "oncall" else "webhook")


# Callers side by side


@pytest.fixture
def own_standin() -> Iterator[Standin]:
    """A separate stand-in, whose end also ends the requests that it delays."""
    with Standin() as standin:
        yield standin


def all_at_once(calls: Sequence[Callable[[], Report]]) -> tuple[list[Report], float]:
    """Run calls side by side; their reports, and the seconds until the last had its answer."""
    with ThreadPoolExecutor(len(calls)) as pool:
        started = time.monotonic()
        reports = [future.result() for future in [pool.submit(call) for call in calls]]
        return reports, time.monotonic() - started


@best_of_three
def test_requests_at_once_on_a_serial_trigger_are_answered_within_5_s_while_the_destination_hangs(
    triggers: Triggers, own_standin: Standin
) -> None:
    own_standin.rule("/services/*", hang=True)
    # The default of all that bears on the answer.
    trigger = triggers.create({"delivery_timeout": "6s"}, run_asynchronous=False)
    double = CallerDouble(trigger.url, timeout=30, token=trigger.engine.token)
    senders = slack(own_standin)
    reports, elapsed = all_at_once([functools.partial(double.alert, f"text {n}", senders) for n in range(60)])
    assert [report.posts for report in reports] == [1] * 60
    # After that long the deliveries themselves end.
    if elapsed >= TIMEOUT:
        raise TooLateError(f"the last was answered after {elapsed:.2f} s")
    assert all(report.results == {"slack": "pending"} for report in reports)


SLOW_ENGINE = "import time\n\ntime.sleep(0.03)\n"
"""Before the plugin's source, which runs at every call."""


@best_of_three
@pytest.mark.parametrize("before", ["", SLOW_ENGINE], ids=["as fast as it is", "an engine with gaps of 30 ms"])
def test_a_serial_trigger_answers_in_time_beside_a_busy_asynchronous_one_with_the_same_arguments(
    before: str, triggers: Triggers, own_standin: Standin
) -> None:
    own_standin.rule("/services/*", hang=True)
    arguments = {"delivery_timeout": "8s", "max_attempts": "1"}
    asynchronous = triggers.create(arguments)
    serial = triggers.create(arguments, run_asynchronous=False, source=before + PLUGIN.read_text())
    senders = slack(own_standin)
    ended = threading.Event()

    def keep_busy(n: int) -> int:
        """Calls that overlap with those of others, one after the other until the test ends."""
        double = CallerDouble(asynchronous.url, timeout=30, token=asynchronous.engine.token)
        calls = 0
        while not ended.is_set():
            calls += 1
            double.alert(f"busy {n} {calls}", senders)
        return calls

    double = CallerDouble(serial.url, timeout=30, token=serial.engine.token)
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(keep_busy, n) for n in range(4)]
        time.sleep(0.2)
        reports, elapsed = all_at_once([functools.partial(double.alert, f"text {n}", senders) for n in range(60)])
        ended.set()
        assert min(future.result() for future in busy) >= 1
    assert [report.posts for report in reports] == [1] * 60
    assert all(report.results == {"slack": "pending"} for report in reports)
    if elapsed >= TIMEOUT:
        raise TooLateError(f"the last was answered after {elapsed:.2f} s")


@best_of_three
def test_six_callers_with_six_texts_on_a_serial_trigger_make_six_messages_while_slack_takes_3_s(
    triggers: Triggers, own_standin: Standin
) -> None:
    own_standin.rule("/services/*", delay_ms=3000)
    trigger = triggers.create({"delivery_timeout": "10s"}, run_asynchronous=False)
    texts = [f"alert {n}" for n in range(6)]
    alert, senders = CallerDouble(trigger.url, token=trigger.engine.token).alert, slack(own_standin)
    calls: list[Callable[[], Report]] = [functools.partial(alert, text, senders) for text in texts]
    reports, elapsed = all_at_once(calls)
    if any("ReadTimeout" in failure for report in reports for failure in report.failures) or elapsed >= TIMEOUT:
        raise TooLateError(f"{[report.failures for report in reports]} after {elapsed:.2f} s")
    assert [(report.posts, report.results) for report in reports] == [(1, {"slack": "pending"})] * 6
    eventually(lambda: len(own_standin.messages()) >= 6, "six messages")
    eventually(lambda: sum("delivered in" in text for _, text in trigger.log_lines()) == 6, "six lines")
    assert sorted(message["text"] for message in own_standin.messages()) == texts
    assert len(own_standin.requests()) == 6
