"""With an outbox on NATS, accepted notifications survive the end of any process or server."""

import json
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests import harness
from tests.cli.program import run as command
from tests.faults.isolation import MARK
from tests.faults.site import HOOK, MESSAGES, arrived, one_key, to, wake
from tests.faults.streams import PASSWORD, Streams, until_line
from tests.harness import Standin, eventually
from tests.harness.nats import NatsServer

USER = f'authorization {{ user: alerts, password: "{PASSWORD}" }}\n'


@pytest.fixture
def site(tmp_path: Path, standin: Standin, stack: ExitStack, server: NatsServer) -> Streams:
    """A plugin directory with an outbox on it."""
    return Streams(tmp_path, standin, stack, server)


def texts(site: Streams) -> list[str]:
    """The texts of the received SMS."""
    return [str(message["text"]) for message in site.standin.messages() if message["provider"] == "twilio"]


def test_a_delivered_request_leaves_nothing_in_the_streams(site: Streams) -> None:
    _, trigger = site.start()
    for text in ("one", "two"):
        assert trigger.notify(to("hook", text)).json["results"] == {"hook": True}
    both = {"notification_text": "three", "receivers": ["hook", "phone"]}
    assert trigger.notify(both).json["results"] == {"hook": True, "phone": True}
    eventually(lambda: site.server.messages() == 0, "all have ended")
    assert len(site.standin.requests(HOOK)) == 3
    assert len(texts(site)) == 1
    eventually(lambda: site.server.messages("KV_notifier_attempts") == 0, "no note is left")


def test_after_a_kill_during_an_attempt_a_worker_continues(site: Streams) -> None:
    site.standin.rule(HOOK, hang=True, times=1)
    engine, trigger = site.start()
    response = trigger.notify(to("hook"))
    assert response.json["results"] == {"hook": "pending"}
    arrived(site.standin, HOOK, 1)
    engine.kill()
    site.lapse()
    worker = site.worker()
    assert response.json["task_id"] in until_line(worker, "delivered in")
    one_key(arrived(site.standin, HOOK, 2))
    eventually(lambda: site.server.messages() == 0, "it has ended")


def test_after_a_kill_during_an_sms_the_sms_is_looked_up(site: Streams) -> None:
    site.standin.rule(MESSAGES, method="POST", accept_first=True, hang=True, times=1)
    engine, trigger = site.start()
    assert trigger.notify(to("phone")).json["results"] == {"phone": "pending"}
    arrived(site.standin, MESSAGES, 1)
    engine.kill()
    site.server.lapse(as_if_a_minute_had_passed=True)
    until_line(site.worker(), "delivered in")
    assert len(texts(site)) == 1


def test_a_worker_stops_gracefully_and_leaves_the_rest_to_others(site: Streams) -> None:
    engine, trigger = site.start({"initial_backoff": "1h", "max_backoff": "1h"})
    site.standin.rule(HOOK, reply={"status": 503}, times=2)
    assert trigger.notify(to("hook")).json["results"] == {"hook": "pending"}
    engine.kill()
    site.lapse()
    first = site.worker("--argument", "initial_backoff=1h", "--argument", "max_backoff=1h", "--grace", "0")
    until_line(first, "next attempt in")
    first.send_signal(signal.SIGTERM)
    assert "1 delivery released" in until_line(first, "has stopped")
    assert first.wait(10) == 0
    # At once: it has given it back.
    until_line(site.worker(), "delivered in")
    assert len(site.standin.requests(HOOK)) == 3


def test_a_worker_serves_metrics(site: Streams) -> None:
    _, trigger = site.start()
    wake(trigger)
    worker = site.worker("--metrics", "0")
    url = until_line(worker, "metrics at").split()[-1]
    response = harness.http_request("GET", url)
    assert (response.status, response.header("Content-Type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "notifier_outbox_depth 0" in response.text
    assert harness.http_request("GET", url.replace("/metrics", "/")).status == 404


def test_workers_deliver_requests_of_a_server_in_worker_mode(site: Streams) -> None:
    site.use(site.server.url, 'delivered_by = "workers"')
    _, trigger = site.start()
    first = trigger.notify(to("hook", idempotency_key="k1")).json
    assert (first["status"], first["results"]) == ("pending", {"hook": "pending"})
    assert trigger.notify(to("hook", idempotency_key="k1")).json["results"] == {"hook": "pending"}
    # A server takes over nothing either.
    _, other = site.start()
    wake(other)
    assert not site.standin.requests(HOOK)
    assert first["task_id"] in until_line(site.worker(), "delivered in")
    eventually(lambda: site.server.messages() == 0, "its end is noted")
    again = trigger.notify(to("hook", idempotency_key="k1")).json
    assert (again["task_id"], again["results"], again["replayed"]) == (first["task_id"], {"hook": True}, True)
    assert len(site.standin.requests(HOOK)) == 1


def test_the_commands_for_outboxes_work_on_streams_too(site: Streams) -> None:
    site.standin.rule(HOOK, reply={"status": 404}, times=1)
    _, trigger = site.start({"max_attempts": "1"})
    task = trigger.notify(to("hook", "the dead one")).json["task_id"]
    eventually(lambda: site.server.messages("notifier_dead_letters") == 1, "a dead letter")

    def outbox(verb: str, *arguments: str) -> dict[str, Any]:
        done = command("outbox", verb, site.server.url, *arguments, "--format", "json")
        assert done.status == 0, done.err + done.out
        result: dict[str, Any] = json.loads(done.out)
        return result

    [listed] = outbox("list")["deliveries"]
    assert (listed["id"], listed["state"]) == (f"{task}/0", "dead")
    assert outbox("show", task[:8])["request"] == {"notification_text": "the dead one"}
    assert outbox("stats")["dead"] == 1
    assert MARK not in command("outbox", "list", site.server.url).out
    assert outbox("retry", f"{task}/0")["deliveries"] == 1
    wake(trigger)
    until_line(site.worker(), "delivered in")
    eventually(lambda: outbox("stats")["dead"] == outbox("stats")["waiting"] == 0, "nothing is left")

    site.standin.rule(HOOK, reply={"status": 404}, times=1)
    trigger.notify(to("hook", "another"))
    eventually(lambda: site.server.messages("notifier_dead_letters") == 1, "a dead letter")
    assert outbox("drop", "--all")["deliveries"] == 1
    assert outbox("list")["deliveries"] == []


# Faults


def refused(site: Streams, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The error of a notification that is not kept: nothing of it was sent."""
    engine, trigger = site.start(environment=environment)
    response = trigger.notify(to("hook"), timeout=10)
    assert response.status == 503, response.text
    assert response.elapsed < 4
    assert not site.standin.requests(HOOK)
    error = response.json["error"]
    assert error["code"] in ("outbox", "invalid_argument", "secret_in_argument")
    assert MARK not in response.text
    assert not any(MARK in text for _, text in trigger.log_lines())
    engine.kill()
    return {"message": response.json["message"], "hint": error["hint"]}


def test_unreachable_servers_at_the_start_are_waited_for_and_then_an_error(site: Streams) -> None:
    site.server.kill()
    _, trigger = site.start()
    response = trigger.notify(to("hook"), timeout=10)
    assert (response.status, response.json["error"]["code"]) == (503, "outbox")
    assert "cannot be reached" in response.json["message"]
    assert not site.standin.requests(HOOK)
    site.server.start()
    assert eventually(lambda: trigger.notify(to("hook", "now")).status == 200, "it is accepted")
    arrived(site.standin, HOOK, 1)


def test_while_servers_are_unreachable_requests_wait_and_nothing_accepted_is_lost(site: Streams) -> None:
    site.standin.rule(HOOK, reply={"status": 503}, times=1)
    site.standin.rule(MESSAGES, method="POST", reply={"status": 429, "headers": [["Retry-After", "1"]]}, times=1)
    _, trigger = site.start()
    both = {"notification_text": "hi", "receivers": ["hook", "phone"]}
    assert trigger.notify(both).json["status"] == "pending"
    site.server.kill()
    # A webhook is sent. An SMS waits until its attempt can be stored.
    arrived(site.standin, HOOK, 2)
    response = trigger.notify(to("hook", "not this one"), timeout=10)
    assert (response.status, response.json["error"]["code"]) == (503, "outbox")
    assert texts(site) == []
    site.server.start()
    eventually(lambda: len(texts(site)) == 1, "the SMS", timeout=30)
    eventually(lambda: site.server.messages() == 0, "both have ended", timeout=30)
    bodies = [json.loads(request["body"])["message"] for request in site.standin.requests(HOOK)]
    assert set(bodies) == {"hi"}


def test_an_error_of_the_servers_is_reported_and_nothing_is_sent(site: Streams) -> None:
    def restart(more: str, *, jetstream: bool = True) -> None:
        site.server.kill()
        site.server.configure(more, jetstream=jetstream)
        site.server.start()

    login = 'nats_credentials = { env = "NATS_LOGIN" }'
    restart(USER)
    site.use(site.server.url, login)
    error = refused(site, {"NATS_LOGIN": f"alerts:not {PASSWORD}"})
    assert "does not accept the credentials" in error["message"]
    assert "nats_credentials" in error["hint"]
    error = refused(site, {"NATS_LOGIN": f"-----BEGIN {MARK}"})
    assert "no known form" in error["message"]

    site.use(site.server.url)
    assert "does not accept the credentials" in refused(site)["message"]

    restart("", jetstream=False)
    assert "has no JetStream" in refused(site)["message"]

    denied = '{ publish: { deny: ["$JS.API.STREAM.CREATE.>"] } }'
    restart(f'authorization {{ users: [{{ user: alerts, password: "{PASSWORD}", permissions: {denied} }}] }}\n')
    site.use(site.server.url, login)
    error = refused(site, {"NATS_LOGIN": f"alerts:{PASSWORD}"})
    assert "denies this user a permission" in error["message"]
    assert "notifier.>" in error["hint"]

    # With its permission, it goes.
    restart(USER)
    _, trigger = site.start(environment={"NATS_LOGIN": f"alerts:{PASSWORD}"})
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


def test_a_stream_with_other_settings_is_named_and_not_changed(site: Streams) -> None:
    from tests.harness.nats import run

    async def make() -> None:
        async with site.server.client() as client:
            await client.jetstream().add_stream(name="notifier_work", subjects=["notifier.work.>"])

    run(make())
    error = refused(site)
    assert "stream notifier_work, has other settings" in error["message"]
    assert "docs/cluster.md" in error["hint"]


def test_tls_to_the_servers_uses_certificates_of_the_configuration_file(site: Streams) -> None:
    authority, plugins = trustme.CA(), site.directory / "plugins"
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(plugins / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(site.server.directory / "server.pem"))
    authority.issue_cert("alerts").private_key_and_cert_chain_pem.write_to_path(str(plugins / "client.pem"))
    pem = site.server.directory / "server.pem"
    site.server.kill()
    site.server.configure(
        f'tls {{ cert_file: "{pem}", key_file: "{pem}", ca_file: "{plugins / "ca.pem"}", verify: true }}\n'
    )
    site.server.start()
    tls = site.server.url.replace("nats://", "tls://")
    site.use(tls)
    assert "with TLS" in refused(site)["message"]
    site.use(tls, 'nats_ca_file = "ca.pem"\nnats_client_certificate = "client.pem"')
    _, trigger = site.start()
    assert trigger.notify(to("hook")).json["results"] == {"hook": True}


@pytest.mark.parametrize("place", ["nats://user:" + MARK + "@127.0.0.1:1", "http://127.0.0.1:1", "nats://"])
def test_an_invalid_server_url_is_refused(site: Streams, place: str) -> None:
    site.use(place)
    refused(site)
