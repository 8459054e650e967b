"""Bodies of Prometheus, Alertmanager and Grafana: each alert is a separate event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.test_alerts import ALONE, GROUPED, RECEIVER, create, messages
from tests.harness import Standin, Triggers, eventually

NO_STATE = RECEIVER + '[[routes]]\nreceivers = "ops"\n'
NONE = "0001-01-01T00:00:00Z"


def rfc3339(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


START = rfc3339(-60)


def alert(name: str, *, ends: str | None = None, **labels: str) -> dict[str, Any]:
    """An alert as Prometheus 2.42 posts it, which has an end four minutes ahead."""
    return {
        "labels": {"alertname": name, "severity": "critical", "region": "eu", **labels},
        "annotations": {"summary": f"{name} is bad", "description": "97 % for 5 min"},
        "startsAt": START,
        "endsAt": ends or rfc3339(240),
        "generatorURL": "http://prometheus.example:9090/graph",
    }


def webhook(*alerts: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The webhook of Alertmanager, https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="a"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "influxdb",
        "groupLabels": {"alertname": "a"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
    }
    return body | members


# The webhook of a Grafana contact point, written after
# https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
GRAFANA = {
    "receiver": "influxdb",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "High memory usage", "team": "blue", "grafana_folder": "ops"},
            "annotations": {
                "description": "The system has high memory usage",
                "runbook_url": "https://runbook.example/1234",
                "summary": "This alert was triggered for zone us-1",
            },
            "startsAt": "2026-10-12T09:51:03.157076+02:00",
            "endsAt": NONE,
            "generatorURL": "https://grafana.example/alerting/1afz29v7z/edit",
            "fingerprint": "c6eadffa33fcdf37",
            "silenceURL": "https://grafana.example/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 44.23943737541908, "C": 1},
        }
    ],
    "groupLabels": {},
    "commonLabels": {"team": "blue"},
    "commonAnnotations": {},
    "externalURL": "https://grafana.example/",
    "version": "1",
    "groupKey": "{}:{}",
    "truncatedAlerts": 2,
    "title": "[FIRING:1]  (blue)",
    "state": "alerting",
    "message": "**Firing**",
}


def test_prometheus_repeats_an_alert_and_ends_it(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    responses = [trigger.notify([alert("a"), alert("b")]).json]
    lines = trigger.log_lines()
    responses += [trigger.notify([alert("a"), alert("b")]).json for _ in range(2)]
    # Repetitions write no line.
    assert trigger.log_lines() == lines
    assert [(len(response["alerts"]), response["unchanged"]) for response in responses] == [(2, 0), (0, 2), (0, 2)]
    assert responses[0]["results"] == {"ops": True}
    assert [entry["results"] for entry in responses[0]["alerts"]] == [{"ops": True}] * 2
    ended = trigger.notify([alert("a", ends=rfc3339(-1)), alert("b")]).json
    assert ([entry["index"] for entry in ended["alerts"]], ended["unchanged"]) == ([0], 1)
    found = [(message["title"], message["status"], message["level"]) for message in messages(standin)]
    assert sorted(found[:2]) == [("a is bad", "firing", "critical"), ("b is bad", "firing", "critical")]
    assert found[2:] == [("a is bad", "resolved", "critical")]


def test_an_alert_of_both_ways_is_one_alert(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    direct = alert("a")
    by_webhook = {**direct, "status": "firing", "endsAt": NONE, "fingerprint": "c6eadffa33fcdf37"}
    assert trigger.notify([direct]).json["unchanged"] == 0
    assert trigger.notify(webhook(by_webhook)).json["unchanged"] == 1
    assert trigger.notify(webhook({**by_webhook, "status": "resolved", "endsAt": rfc3339(-1)})).json["unchanged"] == 0
    assert [message["status"] for message in messages(standin)] == ["firing", "resolved"]


def test_the_webhook_of_grafana(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    response = trigger.notify(GRAFANA)
    assert (response.status, response.json["status"]) == (200, "success")
    (warning,) = response.json["warnings"]
    assert warning.startswith("truncatedAlerts: the sender left out 2 alerts")
    (message,) = messages(standin)
    assert message["title"] == "This alert was triggered for zone us-1"
    assert message["link"] == "https://grafana.example/alerting/1afz29v7z/edit"
    assert message["fields"] == {"alertname": "High memory usage", "team": "blue", "grafana_folder": "ops"}


def test_an_alert_of_several_receivers_is_one_alert(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    one = {**alert("a", **{"größe/µ": "ü"}), "status": "firing", "endsAt": NONE}
    answers = [trigger.notify(webhook(one, receiver=name)).json for name in ("database", "all")]
    assert [answer["unchanged"] for answer in answers] == [0, 1]
    (message,) = messages(standin)
    # Newer versions allow any UTF-8 in the names of labels.
    assert message["fields"]["größe/µ"] == "ü"


def test_alerts_of_a_list_make_one_group(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, GROUPED)
    response = trigger.notify([alert("a"), alert("b")]).json
    assert (response["status"], response["results"]) == ("pending", {"ops": "pending"})
    (message,) = eventually(lambda: messages(standin))
    assert message["title"].startswith("[2 firing]")


def test_without_state_a_repeated_alert_is_replayed(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, NO_STATE)
    for _ in range(3):
        assert trigger.notify([alert("a")]).json["status"] == "success"
    trigger.notify([alert("a", ends=rfc3339(-1))])
    assert [message["status"] for message in messages(standin)] == ["firing", "resolved"]


@pytest.mark.parametrize("config", [ALONE, NO_STATE], ids=["state", "no state"])
def test_invalid_alerts_are_refused_one_by_one(config: str, triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, config)
    response = trigger.notify([alert("a"), {"labels": {}}, {"labels": {"alertname": 1}}, alert("b")])
    assert (response.status, response.json["status"]) == (400, "partial")
    refused = [entry for entry in response.json["alerts"] if entry["status"] == "failed"]
    assert [(entry["index"], entry["error"]["path"]) for entry in refused] == [
        (1, "[1].labels"),
        (2, "[2].labels.alertname"),
    ]
    assert sorted(message["title"] for message in messages(standin)) == ["a is bad", "b is bad"]
    trigger.wait_for_log("[1].labels (and 1 more alerts): The alert has no label with a value.")


def test_an_alert_without_a_receiver_is_refused(triggers: Triggers, standin: Standin) -> None:
    config = ALONE.replace("[[routes]]\n", '[[routes]]\nmatch.fields.alertname = "b"\n')
    trigger = create(triggers, standin, config)
    response = trigger.notify(webhook({**alert("a"), "status": "firing"}, {**alert("b"), "status": "firing"}))
    assert response.status == 400
    refused = [entry for entry in response.json["alerts"] if entry["status"] == "failed"]
    assert [entry["error"]["path"] for entry in refused] == ["alerts[0]"]
    assert [message["title"] for message in messages(standin)] == ["b is bad"]


def test_a_body_of_no_known_form_names_all_forms(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    bodies: tuple[Any, ...] = ([1], {"alerts": []})
    for body in bodies:
        response = trigger.notify(body)
        assert response.status == 400
        assert "as Prometheus posts it" in response.json["error"]["hint"]
