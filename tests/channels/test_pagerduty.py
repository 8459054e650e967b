"""PagerDuty's Events API v2."""

import json
from typing import Any

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

ROUTING_KEY = "R0151XYZ0151XYZ0151XYZ0151XYZ015"
TAKEN = delivered(202, {"status": "success", "message": "Event processed", "dedup_key": "samplekeyhere"})
JSON = {"Content-Type": "application/json"}


PAYLOAD = ("summary", "source", "severity", "timestamp", "custom_details", "component")


def invalid(*errors: str) -> dict[str, object]:
    """As PagerDuty writes it."""
    return {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}


def event(**members: object) -> bytes:
    """An event that is in order, but for these members."""
    payload: dict[str, Any] = {"summary": "s", "source": "s", "severity": "info"}
    whole: dict[str, Any] = {"routing_key": ROUTING_KEY, "event_action": "trigger", "payload": payload}
    for name, value in members.items():
        (payload if name in PAYLOAD else whole)[name] = value
    return json.dumps(whole).encode()


CHANNEL = ChannelSpec(
    "pagerduty",
    destination=lambda base, _: {"pagerduty_routing_key": ROUTING_KEY, "base_url": base},
    path="/v2/enqueue",
    plain={
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": ...,
        "payload": {"summary": "hi", "source": "InfluxDB 3", "severity": "error"},
    },
    rich={
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": ...,
        "payload": {
            "summary": "CPU of db1 above 95 %",
            "source": "db1",
            "severity": "critical",
            "timestamp": "2026-11-25T02:41:58Z",
            "custom_details": {
                "notification_text": "cpu_usage is 97.3 %",
                "host": "db1",
                "limit": "95",
                "primary": "true",
            },
        },
        "links": [{"href": FIRING["link"], "text": "Open grafana.example.com"}],
    },
    headers={"content-type": "application/json"},
    success=TAKEN,
    # Success is in the body as well.
    statuses=dict.fromkeys(range(200, 300), ("failed", "rejected")),
    replies=[
        TAKEN,
        Reply(202, {"status": "failed"}, reason="rejected"),
        Reply(200, "<html>", reason="rejected"),
        Reply(
            400, invalid("Invalid routing key"), reason="unauthorized", hint="pagerduty_routing_key", detail="Invalid r"
        ),
        Reply(400, invalid("Length of 'routing_key' is incorrect (should be 32 characters)"), reason="unauthorized"),
        Reply(
            400,
            invalid("'payload.severity' is invalid", "and more"),
            reason="rejected",
            detail="PagerDuty: Event object is invalid; 'payload.severity' is invalid; and more",
        ),
        Reply(404, "", reason="unknown_destination", hint="base_url"),
        Reply(429, {"status": "throttle exceeded", "message": "later"}, reason="rate_limited", detail="later"),
        Reply(500, "Internal Server Error", reason="server_error"),
    ],
    invalid_values=[
        InvalidValue(
            "pagerduty_routing_key", ROUTING_KEY[:-1], f"must be 32 letters and digits, such as {ROUTING_KEY}"
        ),
        InvalidValue("pagerduty_routing_key", ROUTING_KEY[:-1] + "-", "must be 32 letters and digits"),
        InvalidValue("pagerduty_source", "x" * 256, "pagerduty_source must be one line of at most 255 characters"),
        InvalidValue("pagerduty_group", "a\nb", "pagerduty_group must be one line"),
        InvalidValue(
            "pagerduty_links", ["https://example.com"], "pagerduty_links must be a table of strings, found an array"
        ),
        InvalidValue(
            "pagerduty_links", {"Runbook": "example.com"}, "pagerduty_links must be web addresses by their texts"
        ),
        InvalidValue(
            "pagerduty_links", {" ": "https://example.com"}, "pagerduty_links must be web addresses by their texts"
        ),
        InvalidValue("pagerduty_links", {str(n): "https://a.example" for n in range(21)}, "at most 20, found 21"),
        InvalidValue(
            "pagerduty_images",
            "http://example.com/a.png",
            "pagerduty_images must be web addresses that begin with https",
        ),
        InvalidValue("pagerduty_images", ["https://example.com/a.png", "x"], "pagerduty_images must be web addresses"),
    ],
    secrets={"pagerduty_routing_key": lambda number: f"Qz{number:05}s3cr3tM4rk".ljust(32, "x")},
    rejected_requests=[
        (JSON, body, 400)
        for body in [
            b"hi",
            event(routing_key="bad" + ROUTING_KEY[3:]),
            event(routing_key="x"),
            event(event_action="open"),
            event(event_action="resolve"),
            event(dedup_key="x" * 256),
            event(summary=""),
            event(summary="x" * 1025),
            event(source=""),
            event(severity="ok"),
            event(timestamp="yesterday"),
            event(custom_details="x"),
            event(links=[{"href": "x"}]),
            event(links={"href": "https://a.example"}),
            event(links=[{"href": "https://a.example", "text": 5}]),
            event(images=[{"src": "http://a.example/a.png"}]),
            event(images=["https://a.example/a.png"]),
            event(images=[{"src": "https://a.example/a.png", "alt": 5}]),
            event(component=5),
            event(client="x" * 512_000),
        ]
    ],
)


def test_an_incident_is_triggered_acknowledged_and_resolved_by_its_dedup_key(
    request_sender: RequestSender, standin: Standin
) -> None:
    for key in ("cpu db1", "x" * 256):
        standin.clear()
        destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
        for status in ("firing", "acknowledged", "resolved"):
            sent = request_sender.send([destination], **{**FIRING, "status": status}, dedup_key=key)
            assert sent.entry["outcome"] == "delivered", sent.response.text
        events = [message["detail"] for message in standin.messages()]
        assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
        [dedup_key] = {event["dedup_key"] for event in events}
        assert dedup_key == key or len(dedup_key) == 32


def test_an_alert_without_a_dedup_key_cannot_be_closed_and_a_warning_says_so(
    request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, number))], **{**FIRING, "status": "resolved"})
    assert (sent.entry["outcome"], sent.entry["reason"]) == ("failed", "missing_dedup_key")
    assert (sent.entry["path"], sent.entry["attempts"]) == ("dedup_key", 0)
    assert standin.requests(f"/at/{number}/") == []


def test_a_long_text_is_whole_in_the_details_and_cut_in_the_summary(
    request_sender: RequestSender, standin: Standin
) -> None:
    text = "one\n" + "x" * 2_000
    request_sender.send([(CHANNEL, CHANNEL.at(standin, next(NUMBERS)))], notification_text=text)
    [message] = standin.messages()
    payload = message["detail"]["payload"]
    assert payload["summary"] == "one " + "x" * 1_019 + "…"
    assert payload["custom_details"] == {"notification_text": text}


def test_levels_including_one_at_the_texts_start_become_severities(
    request_sender: RequestSender, standin: Standin
) -> None:
    destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
    levels = {"critical": "critical", "error": "error", "warning": "warning", "info": "info", "ok": "info", "": "error"}
    for level in levels:
        request_sender.send([destination], notification_text=f"[{level.upper()}] x")
    assert [message["detail"]["payload"]["severity"] for message in standin.messages()] == list(levels.values())


def test_source_component_and_class_come_from_parameters_or_fields(
    request_sender: RequestSender, standin: Standin
) -> None:
    given = {f"pagerduty_{name}": f"a {name}" for name in ("source", "component", "group", "class")}
    fields = {"host": "db1", "source": " ", "component": "mysql", "group": 7, "class": "x" * 300}
    for parameters, expected in [
        ({}, {"source": "db1", "component": "mysql", "group": "7", "class": "x" * 254 + "…"}),
        ({"pagerduty_source": "db2"}, {"source": "db2", "component": "mysql", "group": "7", "class": "x" * 254 + "…"}),
        (given, {name: f"a {name}" for name in ("source", "component", "group", "class")}),
    ]:
        standin.clear()
        destination = {**CHANNEL.at(standin, next(NUMBERS)), **parameters}
        sent = request_sender.send([(CHANNEL, destination)], **{**FIRING, "fields": fields})
        assert sent.entry["outcome"] == "delivered", sent.response.text
        [message] = standin.messages()
        payload = message["detail"]["payload"]
        assert {name: payload[name] for name in expected} == expected
        assert payload["custom_details"]["class"] == "x" * 300


def test_an_incident_has_further_links_and_images(request_sender: RequestSender, standin: Standin) -> None:
    images = ["https://a.example/1.png", "https://a.example/2.png"]
    more = {"pagerduty_links": {"Runbook": "https://wiki.example.com/cpu"}, "pagerduty_images": images}
    for link in (FIRING["link"], None):
        standin.clear()
        destination = {**CHANNEL.at(standin, next(NUMBERS)), **more}
        sent = request_sender.send([(CHANNEL, destination)], **{**FIRING, "link": link})
        assert sent.entry["outcome"] == "delivered", sent.response.text
        [message] = standin.messages()
        own = [{"href": link, "text": "Open grafana.example.com"}] if link else []
        assert message["detail"]["links"] == [*own, {"href": "https://wiki.example.com/cpu", "text": "Runbook"}]
        assert message["detail"]["images"] == [{"src": image} for image in images]
