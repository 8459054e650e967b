"""The view and the metrics of alerts: what fires, who was notified, and what is due."""

from typing import Any

import pytest

from tests.contract.test_alerts import ALONE, GROUPED, create, event, send
from tests.harness import Standin, Trigger, Triggers


def shown(trigger: Trigger, **query: str) -> dict[str, Any]:
    """The view of alerts."""
    response = trigger.notify(b"", query={"view": "alerts", **query}, method="GET")
    assert response.status == 200, response.text
    view: dict[str, Any] = response.json
    return view


def test_the_view_shows_alerts_and_who_knows_them(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    assert shown(trigger)["alerts"] == shown(trigger)["groups"] == []
    fields = {"host": "db1", "rack": 7}
    send(trigger, event("a", "firing", title="disk", fields=fields, link="https://example.com/a"))
    view = shown(trigger)
    assert (view["status"], view["results"], view["state"], view["left_out"]) == ("ok", {}, "memory", 0)
    (alert,) = view["alerts"]
    group_key = 'receivers "ops"' if "receivers" in alert["groups"][0] else alert["groups"][0]
    times = [alert.pop(name) for name in ("starts_at", "updated_at", "resolves_at")]
    assert times == sorted(times)
    assert alert == {
        "dedup_key": "a",
        "status": "firing",
        "level": "error",
        "title": "disk",
        "text": "disk full",
        "labels": fields,
        "link": "https://example.com/a",
        "table": None,
        "ends_at": None,
        "muted_by": None,
        "notified": ["ops"],
        "groups": [group_key],
    }
    (group,) = view["groups"]
    (destination,) = group.pop("destinations")
    route = group.pop("route")
    assert group_key.startswith(route)
    assert group == {
        "group_key": group_key,
        "status": "firing",
        "labels": None,
        "alerts": 1,
        "firing": 1,
        "due_at": None,
    }
    assert destination.pop("notified_at") >= times[0]
    assert destination.pop("destination").startswith("http 127.0.0.1:")
    assert destination == {
        "receiver": "ops",
        "sender": "http",
        "state": "notified",
        "firing": 1,
        "retry_at": None,
        "task_id": None,
    }
    send(trigger, event("a", "resolved"))
    view = shown(trigger)
    assert (view["counts"]["firing"], view["counts"]["resolved"]) == (0, 1)
    (alert,) = view["alerts"]
    assert (alert["status"], alert["resolves_at"], alert["notified"]) == ("resolved", None, [])
    assert alert["ends_at"] is not None


def test_the_view_shows_groups_and_what_is_due(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, GROUPED.replace('group_wait = "1s"', 'group_wait = "1h"'))
    for host in ("db1", "db2"):
        send(trigger, event(host, "firing", fields={"region": "eu", "host": host}))
    view = shown(trigger)
    (group,) = view["groups"]
    assert (group["labels"], group["alerts"], group["firing"]) == ({"fields.region": "eu"}, 2, 2)
    assert group["due_at"] > view["alerts"][0]["starts_at"]
    (destination,) = group["destinations"]
    assert (destination["state"], destination["firing"], destination["notified_at"]) == ("waiting", 0, None)
    assert all(alert["notified"] == [] for alert in view["alerts"])
    assert view["counts"] == {
        "firing": 2,
        "acknowledged": 0,
        "resolved": 0,
        "one_off": 0,
        "groups_firing": 1,
        "groups_resolved": 0,
    }


SILENCED_ALERTS = ALONE + '[[silences]]\nname = "planned work"\nmatch = { fields.host = "web1" }\n'


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ({}, ["c", "a", "b"]),
        ({"level": "error"}, ["a"]),
        ({"level": "err"}, ["a"]),
        ({"level": "!error"}, ["c", "b"]),
        ({"level": "~error|critical"}, ["c", "a"]),
        ({"status": "firing"}, ["c", "a", "b"]),
        ({"status": "resolved"}, []),
        ({"status": "acknowledged"}, []),
        ({"text": "~full"}, ["c", "a", "b"]),
        ({"title": "disk"}, []),
        ({"table": "!cpu"}, ["c", "a", "b"]),
        ({"fields.host": "~^db", "level": "critical"}, ["c"]),
        ({"fields.absent": ""}, []),
        ({"receiver": "ops"}, ["c", "a", "b"]),
        ({"receiver": "mute"}, []),
        ({"receiver": ""}, []),
        ({"limit": "1"}, ["c"]),
        ({"limit": "2000"}, ["c", "a", "b"]),
    ],
    ids=str,
)
def test_the_view_takes_conditions(
    query: dict[str, str], keys: list[str], triggers: Triggers, standin: Standin
) -> None:
    trigger = create(triggers, standin, SILENCED_ALERTS)
    for key, level, host in (("a", "error", "db1"), ("b", "info", "web1"), ("c", "critical", "db2")):
        send(trigger, event(key, "firing", level=level, fields={"host": host}))
    view = shown(trigger, **query)
    assert [alert["dedup_key"] for alert in view["alerts"]] == keys
    assert view["left_out"] == (2 if query.get("limit") == "1" else 0)
    assert view["counts"]["firing"] == 3
    assert len(view["groups"]) == len(keys)
    muted = {alert["dedup_key"]: alert["muted_by"] for alert in view["alerts"]}
    assert muted == {key: "planned work" if key == "b" else None for key in keys}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"levl": "error"}, "did you mean level?"),
        ({"host": "db1"}, "unknown parameter"),
        ({"limit": "0"}, "must be 1 to 2000"),
        ({"limit": "2001"}, "must be 1 to 2000"),
        ({"limit": "x"}, "must be 1 to 2000"),
        ({"level": "loud"}, "must be one of"),
        ({"status": "open"}, "must be one of"),
        ({"title": "~("}, "the regular expression"),
        ({"https://user:secret@example.com/?": ""}, "unknown parameter"),
    ],
    ids=str,
)
def test_a_wrong_condition_of_the_view_is_400(
    query: dict[str, str], words: str, triggers: Triggers, standin: Standin
) -> None:
    trigger = create(triggers, standin, ALONE)
    response = trigger.notify(b"", query={"view": "alerts", **query}, method="GET")
    assert (response.status, response.json["error"]["code"]) == (400, "invalid_filter")
    assert words in response.json["message"]
    assert "secret" not in response.text


def test_the_view_of_alerts_without_state_is_empty(triggers: Triggers) -> None:
    view = shown(triggers.create())
    assert (view["state"], view["alerts"], view["groups"]) == ("off", [], [])


def test_the_view_of_alerts_needs_settings(triggers: Triggers) -> None:
    response = triggers.create({"max_attempts": "x"}).notify(b"", query={"view": "alerts"}, method="GET")
    assert (response.status, response.json["error"]["code"]) == (503, "invalid_argument")


def test_the_view_is_bounded_in_bytes(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    for key in range(12):
        send(trigger, event(str(key), "firing", notification_text="x" * 500_000))
    view = shown(trigger)
    assert 0 < len(view["alerts"]) < 12
    assert view["left_out"] == 12 - len(view["alerts"])
    assert all(len(alert["text"]) <= 500 for alert in view["alerts"])


def sample(trigger: Trigger, name: str) -> float:
    text = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    (value,) = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name + " "))
    return float(value)


def test_the_metrics_count_alerts_and_groups(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    names = ['notifier_alerts{status="firing"}', 'notifier_alerts{status="resolved"}']
    names += ['notifier_alert_groups{status="firing"}', "notifier_alert_leader", "notifier_alert_flushes_failed_total"]
    before = [sample(trigger, name) for name in names]
    standin.rule("/hook/ops", reply={"status": 404, "body": ""}, times=1)
    trigger.notify(event("a", "firing"))
    send(trigger, event("b", "firing"), event("b", "resolved"))
    after = [sample(trigger, name) for name in names]
    assert [after[n] - before[n] for n in range(len(names))] == [1, 1, 1, 1, 1]
    assert sample(trigger, "notifier_alert_timers_overdue") == 0


BY_LEVEL = """\
[[routes]]
match = { level = "critical" }
receivers = ["mute"]

[[routes]]
match = { level = "!critical" }
receivers = ["ops"]
resolve_timeout = "1h"
"""


@pytest.mark.parametrize("end", [{"status": "resolved", "level": "ok"}, {"status": None, "level": "ok"}], ids=str)
def test_a_resolved_goes_to_the_receivers_of_the_firing_whatever_its_level(
    end: dict[str, Any], triggers: Triggers, standin: Standin
) -> None:
    config = ALONE[: ALONE.index("[[routes]]")].replace("send_resolved = false\n", "") + BY_LEVEL
    trigger = create(triggers, standin, config)
    results = [send(trigger, event("a", "firing", level="critical")), send(trigger, event("a", **end))]
    assert results == [[(True, None)], [(True, None)]]
    assert [request["path"] for request in standin.requests()] == ["/hook/mute"] * 2
    assert shown(trigger)["counts"]["resolved"] == 1
