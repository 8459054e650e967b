"""Faults of the process: exit, fork, no free descriptors, a blocked interpreter, overload."""

import ctypes
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import influxdb3_notifier
from tests.faults.isolation import FAST, MARK, IsolationCheck, best_of_three
from tests.faults.process_usage import open_descriptors, resident_bytes
from tests.harness import ROOT, ProcessEngine, Standin, Trigger, Triggers, eventually, post

MIB = 1024 * 1024


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., ProcessEngine]]:
    """Starts an engine in a separate process, with the arguments of :class:`ProcessEngine`."""
    with ExitStack() as stack:

        def start(**options: Any) -> ProcessEngine:
            return stack.enter_context(ProcessEngine(tmp_path, **options))

        yield start


@pytest.mark.parametrize("end", ["SIGTERM", "orderly"])
def test_the_process_ends_with_a_thousand_deliveries_in_the_background(
    standin: Standin, process: Callable[..., ProcessEngine], end: str
) -> None:
    """Half of them hang, half fail again and again, so that log lines are on their way as well."""
    engine = process()
    with ExitStack() as stack:
        trigger = Triggers(engine, stack).create({**FAST, "response_timeout": "0s", "delivery_timeout": "1min"})
        silent, refuse = standin.fault("silent")["url"], standin.fault("refuse")["url"]
        urls = [f"{url}hook/{n}" for n in range(500) for url in (silent, refuse)]
        response = trigger.notify(
            {"notification_text": "x", "senders_config": {"http": [{"http_webhook_url": url} for url in urls]}}
        )
        assert response.json["results"] == {"http": "pending"}
        trigger.wait_for_log("connect")
        started = time.monotonic()
        if end == "SIGTERM":
            engine.process.send_signal(signal.SIGTERM)
        else:
            assert engine.process.stdin is not None
            engine.process.stdin.close()
        status = engine.process.wait(10)
    assert time.monotonic() - started < 5
    assert status == (-signal.SIGTERM if end == "SIGTERM" else 0), "neither aborted nor crashed"
    assert engine.errors() == ""


def test_the_process_ends_while_a_log_line_is_being_written(standin: Standin) -> None:
    script = [sys.executable, "-m", "tests.faults.ending", standin.fault("silent")["url"]]
    ended = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, ""), "neither aborted nor crashed"


class _Hostile:
    """An ``influxdb3_local`` with methods that raise."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Callable[..., None]:
        def raises(*_: object) -> None:
            raise self._error

        return raises


@pytest.mark.parametrize("error", [RuntimeError(MARK), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_a_logger_that_raises_fails_neither_the_response_nor_the_next_call(
    standin: Standin, error: BaseException
) -> None:
    body = json.dumps(_to(f"{standin.url}/hook/log")).encode()
    for _ in range(2):
        response: Any = influxdb3_notifier.process_request(1, _Hostile(error), {}, {}, body, {})
        assert response[0]["results"] == {"http": True}
    # A line of later: the thread that writes it must live on.
    silent = standin.fault("silent")["url"]
    arguments = {**FAST, "response_timeout": "0s", "max_attempts": "1"}
    late = _Recorder()
    for local in (_Hostile(error), late):
        body = json.dumps(_to(silent + type(local).__name__)).encode()
        influxdb3_notifier.process_request(1, local, {}, {}, body, arguments)
    eventually(lambda: any("failed" in line for line in late.lines), "the end is logged")


class _Recorder:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def _log(self, line: str) -> None:
        self.lines.append(line)

    info = warn = error = _log


def test_a_forked_child_answers_503_and_the_parent_goes_on(standin: Standin) -> None:
    silent = standin.fault("silent")
    standin.rule("/hook/late", delay_ms=200)
    script = [sys.executable, "-W", "ignore", "-m", "tests.faults.forked", standin.url, silent["url"]]
    ended = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    responses = {line["who"]: line for line in map(json.loads, ended.stdout.splitlines())}
    child = responses["child"]
    assert (child["status"], child["body"]["error"]["code"]) == (503, "forked")
    assert child["body"]["results"] == {}
    assert (child["rows"], len(responses["after"]["rows"])) == ([], 1), "the history is the parent's"
    assert responses["child's end"]["status"] == 0
    for who in ("before", "after"):
        assert responses[who]["body"]["results"] == {"http": True}
    sent = standin.requests("/hook/fork")
    assert [json.loads(request["body"])["message"] for request in sent] == ["before", "after"]
    assert len({request["connection"] for request in sent}) == 1, "the child has not closed the parent's connection"
    assert standin.fault_report(silent["port"])["requests"] == 1


@pytest.mark.timeout(120)
def test_ten_thousand_destinations_that_never_answer(standin: Standin, process: Callable[..., ProcessEngine]) -> None:
    engine = process()
    with ExitStack() as stack:
        triggers = Triggers(engine, stack)
        trigger = triggers.create({"response_timeout": "0s"})
        # A first request allocates the engine host's memory before the measurement.
        warm = triggers.create({"dry_run": "true"})
        assert (
            warm.notify(_to(*[f"{standin.url}/hook/warm/{n}" for n in range(1000)])).json["results"]["http"]
            == "dry_run"
        )
        memory, descriptors = resident_bytes(engine.pid), open_descriptors(engine.pid)
        silent = standin.fault("stall")
        for thousand in range(10):
            urls = [f"{silent['url']}hook/{thousand}/{n}" for n in range(1000)]
            assert trigger.notify(_to(*urls)).json["results"] == {"http": "pending"}
        refused = trigger.notify(_to(f"{silent['url']}hook/one-more"))
        assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded")
        assert int(refused.header("Retry-After") or "") > 0
        limit = _max_connections()
        # Two parts are kept back for other servers.
        usable = limit - 2 * min(limit // 16, 12)
        eventually(lambda: standin.fault_report(silent["port"])["connections"] >= usable, timeout=30)
        assert _status(trigger)["in_flight"] == 10_000
        assert resident_bytes(engine.pid) - memory < 64 * MIB
        assert open_descriptors(engine.pid) - descriptors <= limit + 16
        assert standin.fault_report(silent["port"])["connections"] <= usable


def _max_connections() -> int:
    """The default: an eighth of the soft limit of descriptors, between 64 and 1,024."""
    return min(max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8, 64), 1024)


def _to(*urls: str) -> dict[str, Any]:
    return {"notification_text": "x", "senders_config": {"http": [{"http_webhook_url": url} for url in urls]}}


def _status(trigger: Trigger) -> Any:
    return trigger.notify(b"", query={"view": "status"}, method="GET").json


def test_two_triggers_with_other_arguments_do_not_mix(standin: Standin, triggers: Triggers) -> None:
    """Their requests run at the same time, over the same destinations."""
    one = triggers.create({**FAST, "max_attempts": "1", "failure_status": "502"})
    three = triggers.create({**FAST, "max_attempts": "3", "dry_run": "false"})
    dry = triggers.create({**FAST, "dry_run": "true"})
    denied = triggers.create({**FAST, "private_addresses": "deny"})
    refuse = standin.fault("refuse")["url"]

    def ask(n: int) -> None:
        trigger = (one, three, dry, denied)[n % 4]
        response = trigger.notify(_to(f"{refuse}hook/{n // 4}"))
        [entry] = response.json["deliveries"]
        seen = (response.status, entry["outcome"], entry["reason"], entry["attempts"])
        expected = [
            (502, "failed", "connect", 1),
            (200, "failed", "connect", 3),
            (200, "dry_run", None, 0),
            (200, "failed", "address_denied", seen[3]),
        ]
        assert seen == expected[n % 4]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(200)))


def test_a_jumping_clock_loses_no_retry_and_makes_no_wait_endless(
    standin: Standin, process: Callable[..., ProcessEngine], jumping_clock: Mapping[str, str]
) -> None:
    engine = process(environment=jumping_clock)
    with ExitStack() as stack:
        arguments = {"initial_backoff": "50ms", "max_backoff": "50ms", "response_timeout": "4s", "rate_limit": "100/s"}
        triggers = Triggers(engine, stack)
        trigger = triggers.create(arguments)
        limited = {"status": 429, "headers": [["retry-after", "0.2"]]}
        for n in range(10):
            standin.rule(f"/hook/{n}", reply={"status": 503}, times=3)
            standin.rule(f"/hook/limited/{n}", reply=limited, times=2)
        urls = [f"{standin.url}/hook/{n}" for n in range(10)] + [f"{standin.url}/hook/limited/{n}" for n in range(10)]
        response = trigger.notify(_to(*urls))
        assert {entry["outcome"] for entry in response.json["deliveries"]} == {"delivered"}, response.text
        attempts = [entry["attempts"] for entry in response.json["deliveries"]]
        assert attempts == [4] * 10 + [3] * 10
        assert all(120 <= entry["elapsed_ms"] < 3000 for entry in response.json["deliveries"])
        standin.rule("/hook/hang", hang=True)
        pending = triggers.create({"response_timeout": "1s"}).notify(_to(f"{standin.url}/hook/hang"))
        assert pending.json["results"] == {"http": "pending"}
        assert 0.95 < pending.elapsed < 1.5
    assert engine.errors() == ""


@pytest.mark.parametrize("sender", ["sms", "whatsapp"])
@best_of_three
def test_an_sms_never_uses_a_possibly_dead_connection(isolation: IsolationCheck, sender: str) -> None:
    opened = isolation.standin.fault("dead_after_first", provider="twilio")
    for number in (1, 2, 3):
        result = isolation.check_at(sender, opened["url"])
        assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 1)
        report = isolation.standin.fault_report(opened["port"])
        assert (report["connections"], report["requests"]) == (number, number)


@best_of_three
def test_a_webhook_is_resent_on_a_new_connection_after_a_pooled_one_closed(isolation: IsolationCheck) -> None:
    opened = isolation.standin.fault("dead_after_first")
    trigger = isolation.triggers.create(FAST)
    first, second = (trigger.notify(_to(f"{opened['url']}hook/kept")).json["deliveries"][0] for _ in range(2))
    assert (first["outcome"], first["attempts"]) == ("delivered", 1)
    assert (second["outcome"], second["attempts"]) == ("delivered", 2)
    assert isolation.standin.fault_report(opened["port"])["connections"] == 2


HOG = '''
"""Takes every descriptor, for a second."""
import os, time
def process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None):
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        time.sleep(1)
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return {"taken": len(taken)}
'''


def test_without_file_descriptors_attempts_are_retried(standin: Standin, process: Callable[..., ProcessEngine]) -> None:
    engine = process(descriptors=200)
    (engine.plugin_dir / "hog.py").write_text(HOG)
    with ExitStack() as stack:
        # Each try wants a new connection: the server resets the old one.
        arguments = {
            "initial_backoff": "100ms",
            "max_backoff": "100ms",
            "max_attempts": "100",
            "response_timeout": "0s",
        }
        trigger = Triggers(engine, stack).create(arguments)
        engine.create_trigger("hog", path="hog.py", spec="request:hog")
        flaky = standin.fault("flaky", fail_times=4, how="reset")
        standin.rule("/hook/slow", delay_ms=800)
        for url in (f"{flaky['url']}hook/retried", f"{standin.url}/hook/slow"):
            assert trigger.notify(_to(url)).json["results"] == {"http": "pending"}
        eventually(lambda: standin.requests("/hook/slow") and standin.fault_report(flaky["port"])["requests"] >= 2)
        taken = post(engine, b"{}", route="hog").json["taken"]
        assert taken > 50
        trigger.wait_for_log("out_of_descriptors")
        eventually(lambda: _status(trigger)["in_flight"] == 0)
        ends = [text for _, text in trigger.log_lines() if "delivered in" in text]
        assert len(ends) == 2, trigger.log_lines()
        assert trigger.notify(_to(f"{standin.url}/hook/next")).status == 200
        assert standin.wait_for("/hook/next")
    assert engine.errors() == ""


def test_deliveries_go_on_while_another_thread_holds_the_interpreter(standin: Standin, triggers: Triggers) -> None:
    """Twenty messages a second are under way when a call that never lets go of the interpreter takes two seconds."""
    trigger = triggers.create({"rate_limit": "20/s", "response_timeout": "0s"})
    trigger.notify(_to(*[f"{standin.url}/hook/held"] * 50))
    standin.wait_for("/hook/held")
    started = time.monotonic()
    ctypes.PyDLL(None).usleep(2_000_000)
    result = time.monotonic() - started
    arrivals = [request["at_ms"] / 1000 for request in standin.requests("/hook/held")]
    assert result >= 2
    assert len(arrivals) >= 30, "they went out meanwhile"
    assert max(b - a for a, b in pairwise(arrivals)) < 0.5
    standin.wait_for("/hook/held", 50)
    eventually(lambda: sum("delivered" in text for _, text in trigger.log_lines()) == 50, "every end is logged")
