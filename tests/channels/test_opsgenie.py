"""Alerts of Opsgenie, and of Jira Service Management, which takes the same requests at another address."""

import json
from typing import Any

import pytest

from tests.channels.channel import FIRING, KEY, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

API_KEY = "eb243592-faa2-4ba2-a551-1afdf565c889"
TAKEN = delivered(
    202, {"result": "Request will be processed", "took": 0.302, "requestId": "43a29c5c-3dbf-4fa4-9c26-4f4"}
)
HEADERS = {"Content-Type": "application/json", "Authorization": f"GenieKey {API_KEY}"}


def error(status: int, words: str, **errors: str) -> tuple[int, dict[str, object]]:
    """As Opsgenie writes it."""
    return status, {"message": words, "took": 0.001, "requestId": "r", **({"errors": errors} if errors else {})}


def channel(sender: str, name: str, below: str) -> ChannelSpec:
    """The one or the other: they differ by the address and by the key's name."""
    return ChannelSpec(
        sender,
        destination=lambda base, _: {f"{sender}_api_key": API_KEY, "base_url": base + below},
        path=f"{below}/v2/alerts",
        plain={"message": "hi", "alias": ..., "description": "hi", "source": "influxdb3-notifier"},
        rich={
            "message": "CPU of db1 above 95 %",
            "alias": ...,
            "description": "cpu_usage is 97.3 %\n\nCritical · firing since 2026-11-25 02:41 UTC\n" + FIRING["link"],
            "details": {"host": "db1", "limit": "95", "primary": "true"},
            "priority": "P1",
            "source": "influxdb3-notifier",
        },
        headers={"content-type": "application/json", "authorization": f"GenieKey {API_KEY}"},
        success=TAKEN,
        # A reply without a request id is not Opsgenie's.
        statuses=dict.fromkeys(range(200, 300), ("failed", "rejected")),
        replies=[
            TAKEN,
            Reply(200, "<html>", reason="rejected"),
            Reply(*error(401, "Could not authenticate"), reason="unauthorized", hint="the integration is on"),
            Reply(*error(402, "Plan"), reason="rejected", detail=f"{name}: Plan"),
            Reply(*error(403, "You do not have access"), reason="forbidden", hint="API integration"),
            Reply(*error(404, "No such"), reason="unknown_destination", hint="base_url"),
            Reply(
                *error(422, "Request body is not processable.", message="Message can not be empty."),
                reason="rejected",
                detail=f"{name}: Request body is not processable.; message: Message can not be empty.",
            ),
            Reply(*error(429, "You are making too many requests!"), reason="rate_limited"),
            Reply(
                *error(429, "You are making too many requests!"),
                reason="rate_limited",
                headers={"X-RateLimit-Period-In-Sec": "60", "Retry-After": ""},
            ),
            Reply(*error(503, "words"), reason="server_error"),
        ],
        invalid_values=[
            InvalidValue(
                f"{sender}_api_key", "GenieKey " + API_KEY, f"{sender}_api_key must be the key of an API integration"
            ),
            InvalidValue(f"{sender}_api_key", "x", f"such as {API_KEY}"),
            *(
                InvalidValue(f"{sender}_responders", value, f"{sender}_responders must be team:NAME")
                for value in ("Database", "group:db", ["team: "])
            ),
            InvalidValue(f"{sender}_tags", ["x"] * 21, f"{sender}_tags may be at most 20, found 21"),
            InvalidValue(f"{sender}_tags", "x" * 51, f"{sender}_tags must be one line of at most 50 characters"),
            InvalidValue(f"{sender}_actions", ["x"] * 11, f"{sender}_actions may be at most 10, found 11"),
            InvalidValue(f"{sender}_entity", "x" * 513, f"{sender}_entity must be one line of at most 512 characters"),
            InvalidValue(f"{sender}_priority", "P0", f"{sender}_priority must be P1, P2, P3, P4 or P5"),
        ],
        own_tests=(f"{sender}_responders",),
        secrets={f"{sender}_api_key": lambda number: f"Qz{number:05}-s3cr3t-M4rk-a551"},
        rejected_requests=[
            ({**HEADERS, "Authorization": "GenieKey bad"}, b'{"message":"hi"}', 401),
            ({"Content-Type": "application/json"}, b'{"message":"hi"}', 401),
            (HEADERS, b"hi", 400),
            *(
                (HEADERS, json.dumps(body).encode(), 422)
                for body in [
                    {},
                    {"message": "x" * 131},
                    {"message": "x", "alias": "x" * 513},
                    {"message": "x", "description": "x" * 15_001},
                    {"message": "x", "priority": "P6"},
                    {"message": "x", "details": {"a": 1}},
                    {"message": "x", "details": {"a": "x" * 8_000}},
                    {"message": "x", "tags": ["x"] * 21},
                    {"message": "x", "tags": "x"},
                    {"message": "x", "actions": ["x"] * 11},
                    {"message": "x", "actions": ["x" * 51]},
                    {"message": "x", "responders": ["db team"]},
                    {"message": "x", "responders": [{"type": "team"}]},
                    {"message": "x", "responders": [{"type": "group", "name": "db"}]},
                    {"message": "x", "responders": [{"type": "team", "name": "db"}] * 51},
                    {"message": "x", "visibleTo": [{"type": "schedule", "name": "db"}]},
                    {"message": "x", "user": "x" * 101},
                    {"message": "x", "note": 5},
                ]
            ),
        ],
    )


CHANNEL = channel("opsgenie", "Opsgenie", "")
JSM = channel("jsm", "Jira Service Management", "/jsm/ops/integration")
CHANNELS = [CHANNEL, JSM]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.sender)
def test_an_alert_is_acknowledged_and_closed_by_its_alias(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    for key, alias in (("cpu db1", "cpu%20db1"), ("cpu/db1?", None), (".", None), ("x" * 513, None)):
        standin.clear()
        number = next(NUMBERS)
        destination = (channel, channel.at(standin, number))
        for status in ("firing", "acknowledged", "resolved"):
            sent = request_sender.send([destination], **{**FIRING, "status": status}, dedup_key=key)
            assert sent.entry["outcome"] == "delivered", sent.response.text
        firing, *rest = standin.requests(f"/at/{number}/")
        got = json.loads(firing["body"])["alias"]
        assert len(got) <= 512
        alias = alias or got
        place = f"{channel.path_of(number)}/{alias}"
        assert [(request["path"], request["query"]) for request in rest] == [
            (f"{place}/acknowledge", "identifierType=alias"),
            (f"{place}/close", "identifierType=alias"),
        ]
        assert json.loads(rest[1]["body"]) == {"note": "cpu_usage is 97.3 %", "source": "influxdb3-notifier"}


def test_an_alert_without_a_dedup_key_cannot_be_closed_and_a_warning_says_so(
    request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    for status in ("acknowledged", "resolved"):
        sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, number))], **{**FIRING, "status": status})
        assert (sent.entry["reason"], sent.entry["path"]) == ("missing_dedup_key", "dedup_key")
    assert standin.requests(f"/at/{number}/") == []


def test_a_repeated_request_has_the_alias_of_the_first(request_sender: RequestSender, standin: Standin) -> None:
    destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
    for arguments in ({}, {"response_timeout": "3s"}):
        request_sender.send([destination], arguments, idempotency_key=KEY)
    aliases = [message["detail"]["alias"] for message in standin.messages()]
    assert len(aliases) == 2
    assert len(set(aliases)) == 1


def test_levels_including_one_at_the_texts_start_become_priorities(
    request_sender: RequestSender, standin: Standin
) -> None:
    destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
    levels = {"critical": "P1", "error": "P2", "warning": "P3", "info": "P5", "ok": "P5", "": None}
    for level in levels:
        request_sender.send([destination], notification_text=f"[{level.upper()}] x")
    assert [message["detail"].get("priority") for message in standin.messages()] == list(levels.values())


def test_the_opsgenie_channel_reaches_jira_service_management(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    configuration = {"opsgenie_api_key": API_KEY, "base_url": f"{standin.url}/at/{number}/jsm/ops/integration/"}
    for status in ("firing", "resolved"):
        sent = request_sender.send([(CHANNEL, configuration)], **{**FIRING, "status": status}, dedup_key="cpu db1")
        assert sent.entry["outcome"] == "delivered", sent.response.text
    paths = [request["path"] for request in standin.requests(f"/at/{number}/")]
    place = f"/at/{number}/jsm/ops/integration/v2/alerts"
    assert paths == [place, f"{place}/cpu%20db1/close"]


def test_html_markup_in_a_text_is_escaped(request_sender: RequestSender, standin: Standin) -> None:
    request: dict[str, Any] = {
        "title": "<b>CPU</b> > 95 & rising &amp; <3",
        "notification_text": "<img src=x> &lt;",
        "level": "ok",
    }
    sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, next(NUMBERS)))], **request)
    assert sent.response.json["warnings"] == []
    [message] = standin.messages()
    assert message["detail"]["message"] == "&lt;b>CPU&lt;/b> > 95 & rising &amp;amp; <3"
    assert message["detail"]["description"] == "&lt;img src=x> &amp;lt;\n\nOK"


def test_escaped_texts_stay_within_their_limits(request_sender: RequestSender, standin: Standin) -> None:
    request: dict[str, Any] = {"title": "<b" * 200, "notification_text": "<b" * 20_000}
    sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, next(NUMBERS)))], **request)
    assert sent.entry["outcome"] == "delivered", sent.response.text
    assert len(sent.response.json["warnings"]) == 2


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.sender)
def test_an_alert_has_the_configured_responders_and_priority(
    channel: ChannelSpec, request_sender: RequestSender, standin: Standin
) -> None:
    name = channel.sender
    responders = ["team:Database", "user:jane@example.com", "schedule:on call", "escalation:night"]
    own = {f"{name}_responders": responders, f"{name}_priority": "P4"}
    request_sender.send([(channel, {**channel.at(standin, next(NUMBERS)), **own})], **FIRING)
    [message] = standin.messages()
    assert message["detail"]["priority"] == "P4"
    assert message["detail"]["responders"] == [
        {"type": "team", "name": "Database"},
        {"type": "user", "username": "jane@example.com"},
        {"type": "schedule", "name": "on call"},
        {"type": "escalation", "name": "night"},
    ]
