"""Alert state in the outbox's file: it outlives the process, and no alert is lost or sent twice."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.faults.site import HOOK, Site, arrived
from tests.harness import Standin, Trigger, eventually, free_port

ROUTE = '[[routes]]\nreceivers = ["hook"]\nresolve_timeout = "1h"\n'
GROUP = '[[routes]]\nreceivers = ["hook"]\ngroup_by = ["fields.region"]\ngroup_wait = "2s"\ngroup_interval = "1s"\n'


@pytest.fixture
def site(tmp_path: Path, standin: Standin) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, standin, stack)


def route(site: Site, text: str) -> None:
    site.configure(site.config.read_text() + text)


def event(status: str, key: str = "a") -> dict[str, Any]:
    body = {"notification_text": "disk full", "title": key, "dedup_key": key, "status": status, "level": "error"}
    return body | {"fields": {"region": "eu"}}


def result(trigger: Trigger, body: dict[str, Any]) -> Any:
    (delivery,) = trigger.notify(body).json["deliveries"]
    return delivery.get("rule") or delivery["reason"] or delivery["outcome"]


def statuses(site: Site) -> list[str]:
    return [json.loads(request["body"])["status"] for request in site.standin.requests(HOOK)]


def wait_until_idle(site: Site) -> None:
    pending = "SELECT 1 FROM alert_state WHERE json LIKE '%\"pending\":{%'"
    eventually(lambda: not site.rows(pending), "no notification is open")


def test_alerts_are_known_after_a_kill(site: Site) -> None:
    route(site, ROUTE)
    engine, trigger = site.start()
    assert result(trigger, event("firing")) == "delivered"
    wait_until_idle(site)
    again = site.killed_and_started_again(engine)
    assert [result(again, event(status)) for status in ("firing", "resolved", "resolved")] == [
        "unchanged",
        "delivered",
        "not_firing",
    ]
    assert statuses(site) == ["firing", "resolved"]


def test_a_group_that_waits_is_notified_by_the_next_process(site: Site) -> None:
    route(site, GROUP)
    engine, trigger = site.start()
    assert [result(trigger, event("firing", key)) for key in "ab"] == ["grouped", "grouped"]
    again = site.killed_and_started_again(engine)
    assert result(again, event("firing", "c")) == "grouped"
    (message,) = arrived(site.standin, HOOK, 1)
    assert json.loads(message["body"])["title"] == "[3 firing] region=eu"


def test_a_notification_in_flight_ends_in_the_next_process_and_is_known_there(site: Site) -> None:
    route(site, ROUTE)
    site.standin.rule(HOOK, hang=True, times=1)
    engine, trigger = site.start()
    assert result(trigger, event("firing")) in ("pending", "timeout")
    arrived(site.standin, HOOK, 1)
    again = site.killed_and_started_again(engine)
    assert result(again, event("firing")) == "unchanged"
    wait_until_idle(site)
    assert result(again, event("resolved")) == "delivered"
    assert statuses(site)[1:] == ["firing", "resolved"]


def test_a_notification_that_was_never_accepted_is_sent_by_the_next_process(site: Site) -> None:
    route(site, ROUTE)
    site.standin.rule(HOOK, hang=True, times=1)
    engine, trigger = site.start()
    assert result(trigger, event("firing")) in ("pending", "timeout")
    arrived(site.standin, HOOK, 1)
    engine.kill()
    # As if the process had ended between the two writes.
    for table in ("deliveries", "request_bodies", "requests"):
        site.rows(f"DELETE FROM {table}")  # noqa: S608
    _, again = site.start()
    assert result(again, event("firing")) == "unchanged"
    arrived(site.standin, HOOK, 2)
    wait_until_idle(site)
    assert result(again, event("resolved")) == "delivered"
    assert statuses(site) == ["firing", "firing", "resolved"]


def test_alerts_of_one_file_have_one_leader(site: Site) -> None:
    route(site, ROUTE)
    first, trigger = site.start()
    assert result(trigger, event("firing")) == "delivered"
    _, other = site.start()
    response = other.notify(event("resolved"))
    assert (response.status, response.json["error"]["code"]) == (503, "outbox")
    assert "in use by another process" in response.json["message"]
    wait_until_idle(site)
    first.kill()
    assert result(other, event("resolved")) == "delivered"


def unreachable(site: Site) -> int:
    """Let the receiver's server be one that does not run."""
    port = free_port()
    site.change(f'http_webhook_url = "{site.standin.url}', f'http_webhook_url = "http://127.0.0.1:{port}')
    return port


def test_an_alert_that_ends_before_its_server_is_reached_is_never_sent(site: Site) -> None:
    route(site, ROUTE)
    unreachable(site)
    _, trigger = site.start()
    assert result(trigger, event("firing")) == "connect"
    assert result(trigger, event("resolved")) == "grouped"
    assert "superseded" in trigger.wait_for_log("superseded")
    wait_until_idle(site)
    assert site.rows("SELECT count(*) FROM alert_state WHERE kind = 'group'") == [(0,)]


def test_a_server_that_is_reached_at_last_gets_the_present_level_once(site: Site) -> None:
    route(site, ROUTE)
    port = unreachable(site)
    _, trigger = site.start()
    assert result(trigger, event("firing")) == "connect"
    assert result(trigger, event("firing") | {"level": "critical"}) == "grouped"
    bodies: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", port), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        eventually(lambda: bodies, "the notification arrives")
        wait_until_idle(site)
        assert result(trigger, event("resolved")) == "delivered"
        server.shutdown()
    assert [(body["status"], body["level"]) for body in bodies] == [("firing", "critical"), ("resolved", "critical")]
