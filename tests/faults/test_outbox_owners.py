"""Processes that share an outbox: one is stopped or killed, and nothing is lost, sent twice or out of order."""

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import run as command
from tests.faults.site import HOOK, MESSAGES, Site, arrived, to, wake
from tests.harness import ProcessEngine, Standin, eventually

STOPPED = float(os.environ.get("OUTBOX_STOP_SECONDS", "2"))
"""``make soak`` asks for more than a lease."""
TRY_LATER = {"status": 503, "body": json.dumps({"code": 20503, "message": "Service unavailable", "status": 503})}
SLOW = {"initial_backoff": "1500ms", "max_backoff": "1500ms"}


def stop(engine: ProcessEngine) -> None:
    """As a container or a virtual machine that is paused."""
    engine.process.send_signal(signal.SIGSTOP)


def go_on(engine: ProcessEngine) -> None:
    """Let it run again."""
    engine.process.send_signal(signal.SIGCONT)


def posted(standin: Standin) -> list[dict[str, Any]]:
    """Every SMS that was asked for."""
    return [request for request in standin.requests(MESSAGES) if request["method"] == "POST"]


def sent(standin: Standin) -> list[dict[str, Any]]:
    """Every SMS that was taken."""
    return [message for message in standin.messages() if message["provider"] == "twilio"]


def texts(standin: Standin) -> list[str]:
    """The texts that the webhook accepted."""
    taken = [request for request in standin.requests(HOOK) if request["status"] == 200]
    return [json.loads(request["body"])["message"] for request in taken]


@pytest.mark.timeout(120 + 2 * STOPPED)
def test_a_stopped_process_recovers_nothing_of_its_own(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    site.standin.rule(MESSAGES, method="POST", reply=TRY_LATER, times=1)
    engine, trigger = site.start(SLOW)
    for receiver in ("hook", "phone"):
        assert trigger.notify(to(receiver)).json["results"] == {receiver: "pending"}
    stop(engine)
    time.sleep(STOPPED)
    go_on(engine)
    eventually(lambda: texts(site.standin) == ["hi"] and sent(site.standin), "both are delivered")
    wake(trigger)
    # It checks every second for deliveries without an owner.
    time.sleep(2.5)
    assert len(posted(site.standin)) == 2
    assert len(sent(site.standin)) == 1
    assert len(site.standin.requests(HOOK)) == 2
    eventually(lambda: site.states() in ([], ["ended"]), "nothing waits")


def test_wall_clocks_that_jump_all_the_time_make_nothing_late_and_nothing_twice(
    site: Site, jumping_clock: Mapping[str, str]
) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    site.standin.rule(HOOK, times=1)
    site.standin.rule(HOOK, hang=True, times=1)
    site.standin.rule(MESSAGES, method="POST", reply=TRY_LATER, times=1)
    first, trigger = site.start(SLOW, environment=jumping_clock)
    _, other = site.start(SLOW, environment=jumping_clock)
    wake(other)
    for receiver in ("hook", "phone"):
        response = trigger.notify(to(receiver, idempotency_key=receiver)).json
        assert response["results"] == {receiver: "pending"}
    eventually(lambda: texts(site.standin) == ["hi"] and sent(site.standin), "both are delivered")
    # Both check every second for deliveries without an owner.
    time.sleep(2.5)
    assert (len(posted(site.standin)), len(site.standin.requests(HOOK))) == (2, 2)
    eventually(lambda: site.states() == ["ended"] * 2, "both ends are noted")
    assert other.notify(to("phone", idempotency_key="phone")).json["replayed"] is True
    trigger.notify(to("hook", "last"))
    arrived(site.standin, HOOK, 3)
    first.kill()
    eventually(lambda: texts(site.standin) == ["hi", "last"], "what the killed process had is delivered", timeout=5)


@pytest.mark.timeout(120 + 2 * STOPPED)
def test_a_stopped_process_leaves_rows_that_another_recovered(site: Site) -> None:
    """An SMS and a webhook wait for their retries, others for the rate limit."""
    site.standin.rule(MESSAGES, method="POST", reply=TRY_LATER, times=1)
    limited = {**SLOW, "rate_limit": "4/1s", "response_timeout": "0s"}
    first, trigger = site.start(limited)
    trigger.notify(to("phone"))
    arrived(site.standin, MESSAGES, 1)
    for n in range(12):
        trigger.notify(to("hook", f"message {n}"))
    eventually(lambda: len(site.states()) >= 12, "all are stored")
    stop(first)
    _, other = site.start(limited)
    wake(other)
    before = len(site.standin.requests(HOOK))
    # It has been silent for a lease.
    site.rows("DELETE FROM owners WHERE id IN (SELECT owner FROM requests)")
    eventually(lambda: len(set(texts(site.standin))) == 12 and sent(site.standin), "the other has delivered all")
    assert before < 12
    go_on(first)
    trigger.wait_for_log("left to the process that took it over")
    time.sleep(2)
    assert len(sent(site.standin)) == 1
    assert len(posted(site.standin)) == 2
    # One may have been under way when the process was stopped.
    assert len(texts(site.standin)) <= 13
    eventually(lambda: site.states() in ([], ["ended"]), "nothing waits")


def test_a_waiting_resolved_of_a_killed_process_is_sent_before_the_next_firing(site: Site) -> None:
    first, trigger = site.start()
    alert = {"dedup_key": "disk"}
    assert trigger.notify(to("hook", "firing", **alert)).json["results"] == {"hook": True}
    site.standin.rule(HOOK, reply={"status": 503})
    trigger.notify(to("hook", "resolved", status="resolved", **alert))
    first.kill()
    _, again = site.start()
    site.standin.clear()
    again.notify(to("hook", "firing again", **alert))
    eventually(lambda: len(texts(site.standin)) == 2, "both have arrived")
    assert texts(site.standin) == ["resolved", "firing again"]


def test_a_delivery_waits_for_an_older_one_of_its_key_that_another_process_has(site: Site) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    later = {"initial_backoff": "1h", "max_backoff": "1h", "response_timeout": "500ms"}
    first, trigger = site.start(later)
    alert = {"dedup_key": "disk"}
    trigger.notify(to("hook", "resolved", status="resolved", **alert))
    arrived(site.standin, HOOK, 1)
    _, other = site.start(later)
    assert other.notify(to("hook", "firing again", **alert)).json["results"] == {"hook": "pending"}
    # The call before has used the time that the trigger's calls may wait.
    assert other.notify(to("hook", "another disk", dedup_key="other")).status == 200
    eventually(lambda: texts(site.standin) == ["another disk"], "it waits for nothing")
    first.kill()
    eventually(lambda: len(texts(site.standin)) == 3, "all have arrived")
    assert texts(site.standin) == ["another disk", "resolved", "firing again"]


def test_history_rows_that_a_killed_process_has_not_written_are_written_by_the_next(site: Site) -> None:
    site.standin.rule(HOOK, delay_ms=100)
    arguments = {"history_table": "notifications", "response_timeout": "0s"}
    engine, trigger = site.start(arguments)
    task = trigger.notify(to("hook")).json["task_id"]
    eventually(lambda: site.rows("SELECT 1 FROM history"), "the row is stored")
    assert engine.lines() == []
    engine.kill()
    again, trigger = site.start(arguments)

    def lines() -> list[str]:
        wake(trigger)
        return again.lines()

    eventually(lines, "it is written")
    assert task in again.lines()[0]
    eventually(lambda: site.rows("SELECT count(*) FROM history") == [(0,)], "it is not stored any more")


# A full disk


def test_a_full_disk_stores_outcomes_and_drops_and_then_recovers(site: Site, small_disk: Path) -> None:
    outbox = small_disk / "outbox.db"
    site.change('"outbox.db"', f'"{outbox}"')
    site.outbox = outbox
    site.standin.rule(HOOK, reply={"status": 503})
    _, trigger = site.start({"response_timeout": "0s", "initial_backoff": "1h", "max_backoff": "1h"})
    accepted = 0
    for n in range(200):
        response = trigger.notify(to("hook", f"{n}" + "x" * 20_000))
        if response.status != 200:
            break
        accepted += 1
    assert response.status == 503, response.text
    assert response.json["error"]["code"] == "outbox"
    assert accepted >= 5
    # No further request fits.
    for _ in range(5):
        assert trigger.notify(to("hook", "y" * 20_000)).status == 503
    listed = command("outbox", "list", "--format", "json", "--limit", "1000", outbox)
    assert len(listed.json["deliveries"]) == accepted, listed.out
    dropped = command("outbox", "drop", "--all", "--format", "json", outbox)
    assert dropped.json["deliveries"] == accepted, dropped.out + dropped.err
    site.standin.clear()
    eventually(lambda: trigger.notify(to("hook", "after")).status == 200, "it is accepted again", timeout=15)
    eventually(lambda: "after" in texts(site.standin), "it is delivered")
