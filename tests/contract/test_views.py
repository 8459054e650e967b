"""The views status and metrics."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import influxdb3_notifier
from influxdb3_notifier import _native
from tests.contract.case import ENGINE_LINE, ERROR_MEMBERS, body_bytes
from tests.contract.provider_requests import HTTP, SLACK
from tests.harness import Response, Standin, Trigger, Triggers

MEMBERS = ["status", "results", "version", "plugin_api", "channels", "receivers", "in_flight", "pending", "paused"]
MEMBERS += ["last_errors", "warnings"]


def look(trigger: Trigger, view: str, **request: Any) -> Response:
    """A view; a view writes no line into the log."""
    response = trigger.notify(request.pop("body", b""), query={"view": view}, method=request.pop("method", "GET"))
    lines = [row for row in trigger.engine.logs(trigger.name) if not ENGINE_LINE.match(row["log_text"])]
    assert lines == []
    return response


def say(triggers: Triggers, standin: Standin, senders: dict[str, Any], **arguments: str) -> Response:
    """A request to a new trigger."""
    body = {"notification_text": "hi", "senders_config": senders}
    return triggers.create(arguments).notify(body_bytes(body, f"127.0.0.1:{standin.port}"))


def samples(trigger: Trigger) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The metrics view, parsed as Prometheus parses it."""
    response = look(trigger, "metrics")
    assert response.status == 200
    assert [value for name, value in response.headers if name.lower() == "content-type"] == [
        "text/plain; version=0.0.4; charset=utf-8"
    ]
    families = list(text_string_to_metric_families(response.text))
    assert families
    assert all(family.documentation and family.type != "unknown" for family in families)
    found = [sample for family in families for sample in family.samples]
    values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in found}
    assert len(values) == len(found), "a series stands twice"
    return values


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_status_view_shows_the_state(method: str, triggers: Triggers) -> None:
    response = look(triggers.create(), "status", method=method)
    got = response.json
    assert (response.status, list(got)) == (200, MEMBERS)
    assert (got["status"], got["results"], got["receivers"], got["warnings"]) == ("ok", {}, [], [])
    assert (got["version"], got["plugin_api"]) == (influxdb3_notifier.__version__, [1])
    assert got["channels"] == [channel["sender"] for channel in json.loads(_native.channels())]


def test_the_status_view_shows_work_in_flight_and_failures(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/*", delay_ms=200)
    response = say(triggers, standin, {"http": HTTP, "carrier_pigeon": {}}, response_timeout="0s")
    trigger = triggers.create()
    got = look(trigger, "status").json
    assert (got["in_flight"], got["pending"]) == (1, 1)
    error = got["last_errors"][0]
    assert error["line"].startswith(f"notifier [{response.json['task_id']}] carrier_pigeon: failed, unknown_sender: ")
    age = datetime.now(UTC) - datetime.fromisoformat(error["time"])
    assert timedelta(seconds=-1) < age < timedelta(seconds=30)
    standin.wait_for("/hook/")


def test_the_status_view_works_with_unusable_settings(triggers: Triggers) -> None:
    response = look(triggers.create({"max_attempts": "x"}), "status")
    got = response.json
    assert (response.status, list(got)) == (200, [*MEMBERS, "error"])
    assert got["status"] == "unusable"
    assert list(got["error"]) == ["message", "code", "path", "hint"]
    assert (got["error"]["code"], got["error"]["path"]) == ("invalid_argument", "max_attempts")


def test_the_status_view_shows_the_warnings_of_the_settings(triggers: Triggers) -> None:
    got = look(triggers.create({"max_atempts": "5"}), "status").json
    assert got["warnings"] == ["trigger argument max_atempts: unknown, ignored; did you mean max_attempts?"]


def test_the_metrics_count_deliveries_and_responses(triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create()
    before = samples(trigger)
    standin.rule("/hook/*", reply={"status": 503, "body": ""}, times=1)
    fast = {"initial_backoff": "10ms", "max_backoff": "10ms"}
    assert say(triggers, standin, {"slack": [SLACK, SLACK], "http": HTTP, "carrier_pigeon": {}}, **fast).status == 200
    after = samples(trigger)

    def more(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    assert more("notifier_deliveries_total", sender="slack", outcome="delivered", reason="") == 2
    assert more("notifier_deliveries_total", sender="http", outcome="delivered", reason="") == 1
    assert more("notifier_deliveries_total", sender="unknown", outcome="failed", reason="unknown_sender") == 1
    assert sum(v - before.get(k, 0) for k, v in after.items() if k[0] == "notifier_attempts_total") == 4
    assert sum(v - before.get(k, 0) for k, v in after.items() if k[0].endswith("_seconds_count")) >= 3
    assert not any("carrier_pigeon" in value for _, labels in after for _, value in labels)


def test_the_metrics_view_works_with_unusable_settings(triggers: Triggers) -> None:
    assert samples(triggers.create({"max_attempts": "x"}))


@pytest.mark.parametrize("view", ["status", "metrics", "alerts", "nonsense", ""])
def test_a_view_with_a_body_is_400_and_sends_nothing(view: str, triggers: Triggers, standin: Standin) -> None:
    body = body_bytes({"notification_text": "hi", "senders_config": {"http": HTTP}}, f"127.0.0.1:{standin.port}")
    response = look(triggers.create(), view, body=body, method="POST")
    assert (response.status, list(response.json)) == (400, ERROR_MEMBERS)
    assert (response.json["results"], response.json["error"]["code"]) == ({}, "view_with_body")
    assert standin.requests() == []


@pytest.mark.parametrize("view", ["nonsense", "STATUS", "", "status "])
def test_an_unknown_view_is_400_and_names_the_known_ones(view: str, triggers: Triggers) -> None:
    response = look(triggers.create(), view)
    assert (response.status, list(response.json)) == (400, ERROR_MEMBERS)
    assert response.json["error"] == {
        "code": "unknown_view",
        "path": "view",
        "hint": "The views are: status, metrics, alerts.",
    }


def test_other_query_parameters_change_nothing(triggers: Triggers, standin: Standin) -> None:
    body = body_bytes({"notification_text": "hi", "senders_config": {"http": HTTP}}, f"127.0.0.1:{standin.port}")
    response = triggers.create().notify(body, query={"views": "status", "dry_run": "true"})
    assert response.json["results"] == {"http": True}
