"""Alert state end to end: events become alerts, and a destination gets one notification for each change."""

from typing import Any

import pytest

from tests.contract.case import HOST, write_config
from tests.harness import Standin, Trigger, Triggers, eventually

RECEIVER = f"""\
[receivers.ops.http]
webhook_url = "http://{HOST}/hook/ops"

[receivers.mute]
send_resolved = false
http.webhook_url = "http://{HOST}/hook/mute"
"""
MEMORY = '[settings]\nstate = "memory"\n'
ALONE = MEMORY + 'alert_key = ["title"]\n' + RECEIVER + '[[routes]]\nreceivers = "ops"\nresolve_timeout = "1h"\n'
GROUPED = (
    MEMORY
    + RECEIVER
    + '[[routes]]\nreceivers = ["ops"]\ngroup_by = ["fields.region"]\ngroup_wait = "1s"\ngroup_interval = "1s"\n'
)


def create(triggers: Triggers, standin: Standin, config: str) -> Trigger:
    text = config.replace(HOST, f"127.0.0.1:{standin.port}")
    return triggers.create({"config_file_path": str(write_config(triggers.engine.plugin_dir, text))})


def event(key: str | None, status: str | None, **members: Any) -> dict[str, Any]:
    body = {"notification_text": "disk full", "dedup_key": key, "status": status, "level": "error"}
    return {name: value for name, value in (body | members).items() if value is not None}


def send(trigger: Trigger, *events: dict[str, Any]) -> list[Any]:
    """The result of the only receiver, with the rule or the reason."""
    found = []
    for body in events:
        response = trigger.notify(body).json
        (delivery,) = response["deliveries"]
        (result,) = response["results"].values()
        found.append((result, delivery.get("rule") or delivery["reason"]))
    return found


def messages(standin: Standin) -> list[dict[str, Any]]:
    return [message["detail"] for message in standin.messages()]


SENT, UNCHANGED, GROUP = (True, None), ("suppressed", "unchanged"), ("pending", "grouped")


def test_an_alert_is_sent_once_until_it_changes(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    firing, resolved = event("a", "firing"), event("a", "resolved", level="ok")
    assert send(trigger, firing, firing, resolved, resolved, firing) == [
        SENT,
        UNCHANGED,
        SENT,
        ("suppressed", "not_firing"),
        SENT,
    ]
    sent = [(message["status"], message["level"]) for message in messages(standin)]
    assert sent == [("firing", "error"), ("resolved", "error"), ("firing", "error")]
    # An event without a change is not logged.
    assert not [line for _, line in trigger.log_lines() if "unchanged" in line]


def test_the_values_of_alert_key_identify_an_alert_without_a_dedup_key(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    named = [event(None, "firing", title=title) for title in ("a", "b", "a")]
    assert send(trigger, *named) == [SENT, SENT, UNCHANGED]
    responses = [trigger.notify(event(None, "firing")).json for _ in range(2)]
    assert [response["results"] for response in responses] == [{"ops": True}] * 2
    assert responses[0]["warnings"] == ["title of alert_key is absent: this is sent once, and no alert of it fires"]


def test_events_are_never_the_same_request(triggers: Triggers, standin: Standin) -> None:
    config = ALONE.replace("[settings]\n", '[settings]\ndedup_window = "1h"\n')
    trigger = create(triggers, standin, config)
    assert send(trigger, event("a", "firing"), event("a", "resolved"), event("a", "firing")) == [SENT] * 3
    keyed = event("b", "firing", idempotency_key="k")
    responses = [trigger.notify(keyed).json for _ in range(2)]
    assert [response.get("replayed") for response in responses] == [None, True]
    assert responses[0]["results"] == responses[1]["results"] == {"ops": True}


def test_a_repeated_request_does_not_change_its_alert(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    firing = event("a", "firing", idempotency_key="k")
    assert send(trigger, firing, event("a", "resolved")) == [SENT, SENT]
    replayed = trigger.notify(firing).json
    assert (replayed["replayed"], replayed["results"]) == (True, {"ops": True})
    # Another body with the key is refused, and its alert does not fire either.
    assert trigger.notify(firing | {"title": "other"}).status == 400
    view = trigger.notify(b"", query={"view": "alerts"}, method="GET").json
    assert not [alert for alert in view["alerts"] if alert["status"] == "firing"]
    assert len(messages(standin)) == 2


def test_a_dry_run_touches_no_state(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    assert send(trigger, event("a", "firing", dry_run=True), event("a", "firing")) == [("dry_run", None), SENT]


def test_a_group_is_one_message(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, GROUPED)

    def alert(host: str, status: str, **members: Any) -> dict[str, Any]:
        return event(host, status, title=f"disk {host}", fields={"region": "eu", "host": host}, **members)

    assert send(trigger, alert("db1", "firing"), alert("db2", "firing", level="critical")) == [GROUP, GROUP]
    (first,) = eventually(lambda: messages(standin), "the group's message")
    assert first["title"] == "[2 firing] region=eu"
    assert (first["status"], first["level"], first["fields"]) == ("firing", "critical", {"region": "eu"})
    assert [line.partition(", for")[0] for line in first["message"].splitlines()] == [
        "1 critical, 1 error",
        "- [critical] disk db2 (host=db2)",
        "- [error] disk db1 (host=db1)",
    ]
    assert send(trigger, alert("db1", "resolved")) == [GROUP]
    second = eventually(lambda: messages(standin)[1:], "the next message")[0]
    assert second["title"] == "[1 firing, 1 resolved] region=eu"
    assert send(trigger, alert("db2", "resolved")) == [GROUP]
    third = eventually(lambda: messages(standin)[2:], "the last message")[0]
    assert (third["title"], third["status"]) == ("[1 resolved] region=eu", "resolved")


def test_a_group_is_logged_and_answered_like_any_delivery(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, GROUPED)
    send(trigger, event("a", "firing"))
    assert "/hook" not in trigger.wait_for_log("delivered in")


def test_a_receiver_without_send_resolved_gets_no_resolved_notification(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE.replace('receivers = "ops"', 'receivers = "mute"'))
    assert send(trigger, event("a", "firing"), event("a", "resolved")) == [SENT, ("suppressed", "not_firing")]


def test_receivers_that_an_event_names_have_state_too(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE)
    named = event("a", "firing", receivers=["ops", "nobody"])
    responses = [trigger.notify(named).json["results"] for _ in range(2)]
    assert responses == [{"nobody": "Invalid sender", "ops": True}, {"nobody": "Invalid sender", "ops": "suppressed"}]


SILENCE = '[[silences]]\nname = "planned work"\n'


def test_a_silence_mutes_an_alert_and_lets_its_end_pass(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, ALONE + SILENCE)
    assert send(trigger, event("a", "firing"), event("a", "firing")) == [("suppressed", "planned work"), UNCHANGED]
    assert standin.requests() == []


@pytest.mark.parametrize("place", ["", 'outbox = "nats://127.0.0.1:1"\n'])
def test_state_needs_a_place(place: str, triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, GROUPED.replace('state = "memory"\n', place))
    response = trigger.notify(event("a", "firing"))
    assert (response.status, response.json["error"]["code"]) == (503, "config_file")


MUTING = """\
default_receivers = ["ops"]

[[routes]]
receivers = ["ops"]
match = { title = "batch" }
mute_time_intervals = ["always"]

[[time_intervals.always]]
time_zone = "UTC"
weekly = "Mon-Sun 00:00-24:00"

[[inhibitions]]
source = { title = "host down" }
target = { level = "warning" }
"""


def test_muted_alerts_have_the_rule_in_the_response_and_in_the_view(triggers: Triggers, standin: Standin) -> None:
    settings, rest = MUTING.split("\n", 1)
    trigger = create(triggers, standin, f"{MEMORY}{settings}\n{RECEIVER}{rest}")
    assert send(
        trigger,
        event("a", "firing", title="host down"),
        event("b", "firing", title="disk", level="warning"),
        event("c", "firing", title="batch"),
    ) == [SENT, ("suppressed", "inhibition:1"), ("suppressed", "time_interval:always")]
    alerts = trigger.notify(b"", query={"view": "alerts"}, method="GET").json["alerts"]
    assert {alert["title"]: alert["muted_by"] for alert in alerts} == {
        "host down": None,
        "disk": "inhibition:1",
        "batch": "time_interval:always",
    }
