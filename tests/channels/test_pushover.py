"""Pushover. Limits and errors are those of pushover.net/api."""

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered, toml
from tests.harness import ProcessEngine, Standin, Triggers, http_request

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TOKEN = "azGDORePK8gMaC0QOYAMyEEuzJnyUi"
USER = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
TAKEN = delivered(200, {"status": 1, "request": "647d2300-702c-4b38-8b2f-d56326ae460b"})


def form(**fields: str) -> bytes:
    """What arrives."""
    return urlencode({"token": TOKEN, "user": USER, **fields}).encode()


def key(number: int) -> str:
    """A unique key."""
    return f"Qz{number:05}s3cr3tM4rkk3yk3yk3yk3y"[:30].ljust(30, "x")


CHANNEL = ChannelSpec(
    "pushover",
    destination=lambda base, _: {"pushover_token": TOKEN, "pushover_user": USER, "base_url": base},
    path="/1/messages.json",
    plain=form(message="hi"),
    rich=form(
        title="🔴 CPU of db1 above 95 %",
        message="cpu_usage is 97.3 %\n\nhost: db1\nlimit: 95\nprimary: true\n"
        "Critical · firing since 2026-11-25 02:41 UTC",
        priority="1",
        timestamp="1795574518",
        url="https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
        url_title="Open grafana.example.com",
    ),
    headers={"content-type": "application/x-www-form-urlencoded"},
    success=TAKEN,
    has_long_backoff=True,
    statuses={
        # Success is in the body as well, and no 4xx heals by repeating.
        **dict.fromkeys(range(200, 300), ("failed", "rejected")),
        408: ("failed", "rejected"),
        425: ("failed", "rejected"),
        429: ("failed", "quota_exhausted"),
    },
    replies=[
        TAKEN,
        Reply(200, {"status": 0, "errors": ["no such thing"]}, reason="rejected", detail="Pushover: no such thing"),
        Reply(200, "<html>", reason="rejected"),
        Reply(
            400,
            {"token": "invalid", "errors": ["application token is invalid"], "status": 0},
            reason="unauthorized",
            detail="application token is invalid",
            hint="pushover_token",
        ),
        Reply(
            400,
            {"user": "invalid", "errors": ["user identifier is invalid", "and more"], "status": 0},
            reason="unknown_destination",
            detail="user identifier is invalid; and more",
            hint="pushover_user",
        ),
        Reply(
            400, {"message": "cannot be blank", "errors": ["message cannot be blank"], "status": 0}, reason="rejected"
        ),
        Reply(
            429,
            {"token": "invalid", "status": 0, "errors": ["application has exceeded current limit of 10000 messages"]},
            reason="quota_exhausted",
            detail="exceeded current limit",
        ),
        Reply(500, "", reason="server_error"),
    ],
    own_tests=("pushover_retry", "pushover_expire"),
    invalid_values=[
        InvalidValue(
            "pushover_token", TOKEN[:-1], "pushover_token must be 30 letters and digits, such as azGDORePK8gMaC0QOYAMy"
        ),
        InvalidValue(
            "pushover_user", USER + "x", "pushover_user must be 30 letters and digits, such as uQiRzpo4DXghDmr9QzzfQ"
        ),
        InvalidValue("pushover_user", "someone@example.com", "pushover_user must be 30 letters and digits"),
        InvalidValue("pushover_device", "my phone", "pushover_device must be names of letters"),
        InvalidValue("pushover_device", "x" * 26, "pushover_device must be names of letters"),
        InvalidValue("pushover_sound", "a.mp3", "pushover_sound must be 1 to 20 letters"),
        *(
            InvalidValue("pushover_priority", value, "must be a number from -2 to 2")
            for value in (-3, 3, "high", "0.5")
        ),
        *(InvalidValue("pushover_retry", value, "must be a number from 30 to 10800") for value in (0, 29, 10_801)),
        *(InvalidValue("pushover_expire", value, "must be a number from 1 to 10800") for value in (0, 10_801)),
        *(InvalidValue("pushover_ttl", value, "must be a number from 1 to 31536000") for value in (0, -1, 31_536_001)),
    ],
    secrets={"pushover_token": key, "pushover_user": key},
    resolved=("POST", "POST", "POST"),
    rejected_requests=[
        (headers, body, 400)
        for headers in [FORM]
        for body in [
            b"message=hi",
            form(),
            form(message="x" * 1025),
            form(message="x", title="x" * 251),
            form(message="x", url="x" * 513),
            form(message="x", url="https://a.example", url_title="x" * 101),
            form(message="x", html="1", monospace="1"),
            form(message="x", ttl="0"),
            form(message="x", sound="no such sound"),
            form(message="x", priority="3"),
            form(message="x", priority="2"),
            form(message="x", priority="2", retry="29", expire="60"),
            form(message="x", priority="2", retry="30", expire="10801"),
            form(message="x").replace(b"token=az", b"token=badz"),
        ]
    ],
)


def test_an_emergency_has_a_key_that_ends_it(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    destination = (CHANNEL, CHANNEL.at(standin, number))
    for status in ("firing", "acknowledged", "resolved"):
        sent = request_sender.send([destination], **{**FIRING, "status": status}, dedup_key="cpu db1")
        assert sent.entry["outcome"] == "delivered"
    firing, *rest = standin.requests(f"/at/{number}/")
    fields = dict(parse_qsl(firing["body"]))
    assert (fields["priority"], fields["retry"], fields["expire"]) == ("2", "60", "3600")
    assert [request["path"].removeprefix(f"/at/{number}/1/") for request in rest] == [
        "messages.json",
        f"receipts/cancel_by_tag/{fields['tags']}.json",
    ] * 2
    assert [parse_qs(request["body"]).get("priority") for request in rest] == [None] * 4
    assert rest[1]["body"] == f"token={TOKEN}"


@pytest.mark.parametrize("status", ["acknowledged", "resolved"])
def test_no_message_limit_delays_the_end_of_an_emergency(status: str, standin: Standin, tmp_path: Path) -> None:
    number = next(NUMBERS)
    path = tmp_path / "siren.toml"
    own = toml(CHANNEL.at(standin, number))
    path.write_text(f"[settings]\nmax_per_minute = 1\n[receivers.siren]\npushover = {own}\n", encoding="utf-8")
    # The message waits for a minute and uses capacity, so it is in a separate process.
    with ProcessEngine(tmp_path) as engine, ExitStack() as stack:
        trigger = Triggers(engine, stack).create({"config_file_path": str(path)})

        def notify(key: str, status: str) -> str:
            body = {**FIRING, "status": status, "dedup_key": key, "receivers": ["siren"]}
            return str(trigger.notify(body).json["deliveries"][0]["outcome"])

        assert [notify("cpu", "firing"), notify("disk", "firing")] == ["delivered", "pending"]
        assert notify("cpu", status) == "delivered"
    firing, told, cancelled = standin.requests(f"/at/{number}/")[:3]
    tag = dict(parse_qsl(firing["body"]))["tags"]
    assert told["path"].endswith("/1/messages.json")
    assert cancelled["path"] == f"/at/{number}/1/receipts/cancel_by_tag/{tag}.json"
    assert going_on(standin, tag) == 0


def going_on(standin: Standin, tag: str) -> int:
    """How many emergencies of a tag have sounded until now, when they end."""
    body = urlencode({"token": TOKEN}).encode()
    got = http_request("POST", f"{standin.url}/1/receipts/cancel_by_tag/{tag}.json", body=body, headers=FORM)
    return int(got.json["canceled"])


def test_an_emergency_goes_on_until_it_is_cancelled(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    request_sender.send([(CHANNEL, CHANNEL.at(standin, number))], **FIRING, dedup_key="cpu db1")
    [firing] = standin.requests(f"/at/{number}/")
    tag = dict(parse_qsl(firing["body"]))["tags"]
    assert [going_on(standin, tag) for _ in range(2)] == [1, 0]


def test_a_configured_priority_replaces_the_levels_and_sets_an_emergencys_times(
    request_sender: RequestSender, standin: Standin
) -> None:
    times = {"pushover_retry": 30, "pushover_expire": "10800", "pushover_ttl": 60, "pushover_sound": "siren"}
    emergency = {"priority": "2", "retry": "30", "expire": "10800", "sound": "siren"}
    for priority, request, expected in [
        (2, {"notification_text": "hi"}, emergency),
        (2, {**FIRING, "level": "info"}, emergency),
        (-2, FIRING, {"priority": "-2", "ttl": "60", "sound": "siren"}),
        (0, FIRING, {"ttl": "60", "sound": "siren"}),
        (2, {**FIRING, "status": "resolved", "dedup_key": "cpu db1"}, {"ttl": "60", "sound": "siren"}),
    ]:
        standin.clear()
        number = next(NUMBERS)
        destination = {**CHANNEL.at(standin, number), **times, "pushover_priority": priority}
        assert request_sender.send([(CHANNEL, destination)], **request).entry["outcome"] == "delivered"
        [message, *_] = standin.requests(f"/at/{number}/")
        assert (message["accepted"], message["problem"]) == (True, None)
        fields = dict(parse_qsl(message["body"]))
        names = ("priority", "retry", "expire", "ttl", "sound")
        assert {name: fields[name] for name in names if name in fields} == expected


def test_only_the_first_message_of_a_long_text_is_an_emergency(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    destination = {**CHANNEL.at(standin, number), "pushover_priority": 2}
    request_sender.send([(CHANNEL, destination)], notification_text="x" * 2_000)
    priorities = [parse_qs(request["body"]).get("priority") for request in standin.requests(f"/at/{number}/")]
    assert priorities == [["2"], None]


def test_at_most_two_requests_run_at_once(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    standin.rule(f"/at/{number}/*", delay_ms=100)
    users = [{**CHANNEL.at(standin, number), "pushover_user": f"{n:030}"} for n in range(6)]
    sent = request_sender.send([(CHANNEL, user) for user in users], {"response_timeout": "4s"})
    assert {entry["outcome"] for entry in sent.entries} == {"delivered"}
    arrivals = sorted(request["at_ms"] for request in standin.requests(f"/at/{number}/"))
    for first, third in zip(arrivals, arrivals[2:], strict=False):
        assert third - first >= 95
