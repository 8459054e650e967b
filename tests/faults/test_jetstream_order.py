"""Processes that share an outbox on NATS deliver in order, and write each other's history rows."""

import json
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.site import HOOK, arrived, to, wake
from tests.faults.streams import Streams, until_line
from tests.harness import ProcessEngine, Standin, Trigger, eventually
from tests.harness.nats import NatsServer

ALERT = {"dedup_key": "disk"}
DOWN = {"status": 503}
LATER = {"initial_backoff": "1h", "max_backoff": "1h", "response_timeout": "500ms"}


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """A plugin directory with an outbox on it."""
    return Streams(tmp_path, standin, stack, server)


@pytest.fixture
def other(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """The plugin directory of another machine, with the same outbox."""
    (tmp_path / "other").mkdir()
    return Streams(tmp_path / "other", standin, stack, server)


def texts(standin: Standin) -> list[str]:
    """The texts that the webhook accepted."""
    taken = [request for request in standin.requests(HOOK) if request["status"] == 200]
    return [json.loads(request["body"])["message"] for request in taken]


def leave_a_resolved(site: Streams) -> ProcessEngine:
    """Have a process deliver a firing; its resolved waits, since the provider is down."""
    engine, trigger = site.start()
    assert trigger.notify(to("hook", "firing", status="firing", **ALERT)).json["results"] == {"hook": True}
    site.standin.rule(HOOK, reply=DOWN)
    response = trigger.notify(to("hook", "resolved", status="resolved", **ALERT))
    assert response.json["results"] == {"hook": "pending"}
    return engine


def fire_again(site: Streams) -> ProcessEngine:
    """Have another process accept a firing under the same key, while the provider works."""
    # The other machine keeps the configuration file elsewhere.
    file = {"config_file_path": str(site.config)}
    engine, trigger = site.start(file)
    engine.create_trigger("schedule", spec="every:3600s", arguments=file)
    response = trigger.notify(to("hook", "firing again", status="firing", **ALERT))
    assert response.json["results"] == {"hook": "pending"}
    response = trigger.notify(to("hook", "another disk", status="firing", dedup_key="other"))
    assert response.json["results"] == {"hook": True}
    return engine


@pytest.mark.parametrize("by_a_worker", [True, False], ids=["by a worker", "by itself"])
def test_a_firing_waits_for_the_delivery_of_an_earlier_resolved_of_a_killed_process(
    site: Streams, other: Streams, standin: Standin, by_a_worker: bool
) -> None:
    leave_a_resolved(site).kill()
    standin.clear()
    engine = fire_again(other)
    time.sleep(1)
    assert texts(standin) == ["another disk"]
    site.lapse()
    if by_a_worker:
        site.worker()
    else:
        engine.run_schedule("schedule")
    eventually(lambda: len(texts(standin)) == 3, "all have arrived", timeout=30)
    assert texts(standin) == ["another disk", "resolved", "firing again"]
    eventually(lambda: site.server.messages() == 0, "all have ended")


def test_no_delivery_waits_for_an_older_one_that_an_operator_dropped(
    site: Streams, other: Streams, standin: Standin
) -> None:
    from tests.cli.program import run as command

    engine, trigger = site.start(LATER)
    standin.rule(HOOK, reply=DOWN, times=1)
    trigger.notify(to("hook", "resolved", status="resolved", **ALERT))
    arrived(standin, HOOK, 1)
    engine.kill()
    fire_again(other)
    assert texts(standin) == ["another disk"]
    waiting = command("outbox", "list", site.server.url, "--state", "waiting", "--format", "json").json["deliveries"]
    dropped = command("outbox", "drop", site.server.url, waiting[0]["id"], "--format", "json")
    assert dropped.json["deliveries"] == 1, dropped.out
    eventually(lambda: texts(standin) == ["another disk", "firing again"], "it leaves", timeout=10)


def test_a_delivery_that_waits_for_an_older_one_is_sent_while_nats_is_unreachable(
    site: Streams, other: Streams, standin: Standin
) -> None:
    leave_a_resolved(site).kill()
    standin.clear()
    fire_again(other)
    site.server.kill()
    # Whether there is an older one cannot be found out: no alert is held up for that.
    eventually(lambda: texts(standin) == ["another disk", "firing again"], "it leaves", timeout=20)


def test_a_worker_full_of_waiting_deliveries_recovers_the_older_one(site: Streams, standin: Standin) -> None:
    site.use(site.server.url, 'delivered_by = "workers"\nmax_in_flight = 4')
    standin.rule(HOOK, reply=DOWN)
    _, trigger = site.start()
    trigger.notify(to("hook", "resolved", status="resolved", **ALERT))
    first = site.worker()
    arrived(standin, HOOK, 1)
    first.send_signal(signal.SIGSTOP)
    standin.clear()
    second = site.worker(log=subprocess.DEVNULL)
    firings = [f"firing {n}" for n in range(4)]
    for text in firings:
        trigger.notify(to("hook", text, status="firing", **ALERT))
    time.sleep(1)
    assert texts(standin) == []
    first.kill()
    site.lapse()
    eventually(lambda: len(texts(standin)) == 5, "all have arrived", timeout=20)
    assert texts(standin) == ["resolved", *firings]
    assert second.poll() is None


STATUSES = ("firing", "acknowledged", "resolved")
KEYS = 20


def test_deliveries_that_a_worker_releases_at_sigterm_are_delivered_in_order(site: Streams, standin: Standin) -> None:
    site.use(site.server.url, 'delivered_by = "workers"')
    standin.rule(HOOK, reply=DOWN)
    _, trigger = site.start({"response_timeout": "0s"})
    for status in STATUSES:
        for key in range(KEYS):
            alert = {"status": status, "dedup_key": f"key {key}"}
            assert trigger.notify(to("hook", f"{key} {status}", **alert)).json["results"] == {"hook": "pending"}
    first = site.worker("--grace", "0", *worker_arguments(LATER))
    arrived(standin, HOOK, KEYS)
    first.send_signal(signal.SIGTERM)
    assert f"{KEYS * len(STATUSES)} deliveries released" in until_line(first, "has stopped")
    standin.clear()
    for _ in range(2):
        site.worker()
    eventually(lambda: site.server.messages() == 0, "all have ended", timeout=30)
    told: dict[str, list[str]] = defaultdict(list)
    for text in texts(standin):
        number, status = text.split()
        told[number].append(status)
    assert dict(told) == {str(key): list(STATUSES) for key in range(KEYS)}


def worker_arguments(arguments: dict[str, str]) -> list[str]:
    """As options of the command line."""
    return [word for name, value in arguments.items() for word in ("--argument", f"{name}={value}")]


# The history

HISTORY = {"history_table": "notifications", "response_timeout": "0s"}


def written(engine: ProcessEngine, trigger: Trigger) -> Callable[[], list[str]]:
    """The lines that a process has written, after a call that lets it."""

    def lines() -> list[str]:
        wake(trigger)
        return engine.lines()

    return lines


def test_history_rows_that_a_killed_process_has_not_written_are_written_by_another(
    site: Streams, other: Streams, standin: Standin
) -> None:
    standin.rule(HOOK, delay_ms=100)
    engine, trigger = site.start(HISTORY)
    tasks = [trigger.notify(to("hook", f"text {n}")).json["task_id"] for n in range(3)]
    eventually(lambda: site.server.messages("notifier_history") == 3, "the rows are stored")
    eventually(lambda: site.server.messages() == 0, "all have ended")
    assert engine.lines() == []
    engine.kill()
    site.lapse()
    following, trigger = other.start(HISTORY)
    lines = written(following, trigger)
    eventually(lambda: len(lines()) == 3, "they are written", timeout=30)
    assert all(any(task in line for line in following.lines()) for task in tasks)
    eventually(lambda: site.server.messages("notifier_history") == 0, "they are not stored any more")


def test_history_rows_of_workers_are_written_by_servers(site: Streams, standin: Standin) -> None:
    site.use(site.server.url, 'delivered_by = "workers"\nhistory_table = "notifications"')
    _, trigger = site.start()
    task = trigger.notify(to("hook")).json["task_id"]
    until_line(site.worker(), "delivered in")
    eventually(lambda: site.server.messages("notifier_history") == 1, "the row is stored")
    site.lapse()
    engine, trigger = site.start()
    eventually(written(engine, trigger), "it is written", timeout=30)
    assert [task in line for line in engine.lines()] == [True]


def test_without_a_history_table_no_rows_are_stored(site: Streams, standin: Standin) -> None:
    _, trigger = site.start()
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}
    eventually(lambda: site.server.messages() == 0, "it has ended")
    assert site.server.messages("notifier_history") == 0
