"""ntfy. Codes are those of its server: errors.go."""

import json

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

TAKEN = delivered(200, {"id": "sPs71M8A2T", "time": 1764038518, "event": "message", "topic": "t", "message": "hi"})


def error(status: int, code: int, sentence: str) -> tuple[int, dict[str, object]]:
    """As the server writes it."""
    return status, {"code": code, "http": status, "error": sentence, "link": "https://ntfy.sh/docs/publish/"}


CHANNEL = ChannelSpec(
    "ntfy",
    destination=lambda base, number: {"ntfy_url": f"{base}/", "ntfy_topic": "alerts"},
    path="/",
    plain=b'{"topic":"alerts","message":"hi"}',
    rich={
        "topic": "alerts",
        "title": "🔴 CPU of db1 above 95 %",
        "message": "cpu_usage is 97.3 %\n\nhost: db1\nlimit: 95\nprimary: true\n"
        "Critical · firing since 2026-11-25 02:41 UTC",
        "priority": 5,
        "click": "https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
    },
    headers={"content-type": "application/json"},
    success=TAKEN,
    # A server that does not name the message is none of ntfy's.
    statuses=dict.fromkeys(range(200, 300), ("failed", "rejected")),
    replies=[
        TAKEN,
        # The replying server is not ntfy.
        Reply(200, "<html>It works!</html>", reason="rejected", hint="ntfy_url must lead to an ntfy server"),
        Reply(200, {"id": 5}, reason="rejected"),
        Reply(*error(400, 40009, "invalid request: topic invalid"), reason="rejected", detail="ntfy 40009: invalid"),
        Reply(*error(401, 40101, "unauthorized"), reason="unauthorized", hint="access token"),
        Reply(*error(403, 40301, "forbidden"), reason="forbidden", hint="ntfy_token"),
        Reply(*error(404, 40401, "page not found"), reason="unknown_destination", hint="https://ntfy.sh"),
        Reply(*error(413, 41303, "JSON body too large"), reason="too_large"),
        Reply(*error(429, 42901, "limit reached: too many requests, please be nice"), reason="rate_limited"),
        Reply(
            *error(429, 42904, "limit reached: the total number of topics on the server has been reached"),
            reason="rate_limited",
            hint="global-topic-limit",
        ),
        Reply(*error(429, 42905, "limit reached: daily bandwidth reached"), reason="quota_exhausted"),
        Reply(*error(429, 42909, "limit reached: too many auth failures"), reason="rate_limited", hint="ntfy_token"),
        Reply(*error(400, 40010, "invalid request: topic name is not allowed"), reason="rejected"),
        Reply(*error(429, 42908, "limit reached: too many messages"), reason="quota_exhausted", detail="too many"),
        Reply(*error(500, 50001, "internal server error"), reason="server_error"),
    ],
    invalid_values=[
        InvalidValue(
            "ntfy_topic",
            "db alerts",
            "ntfy_topic must be 1 to 64 letters, digits, hyphens and underscores, such as db-alerts",
        ),
        InvalidValue("ntfy_topic", "a/b", "such as db-alerts"),
        InvalidValue("ntfy_topic", "x" * 65, "such as db-alerts"),
        *(InvalidValue("ntfy_topic", name, "choose another") for name in ("docs", "v1", "settings")),
        InvalidValue("ntfy_topic", 0.5, "ntfy_topic must be a string, found a number"),
        InvalidValue("ntfy_url", "ntfy.sh", "ntfy_url has no scheme"),
        InvalidValue("ntfy_token", "tk_ä", "ntfy_token must be an access token"),
        InvalidValue("ntfy_token", "user:password", "ntfy_token must be an access token"),
        InvalidValue("ntfy_tags", ["a b"], "ntfy_tags must be 1 to 50 letters, digits"),
        InvalidValue("ntfy_tags", ["a"] * 11, "ntfy_tags may be at most 10, found 11"),
        *(InvalidValue("ntfy_priority", value, "must be a number from 1 to 5") for value in (0, 6, "high", "4.5")),
        InvalidValue("ntfy_buttons", {"a": "ntfy.sh"}, "ntfy_buttons must be web addresses by their texts"),
        InvalidValue("ntfy_buttons", {str(n): "https://a.example" for n in range(4)}, "at most 3, found 4"),
        InvalidValue("ntfy_markdown", "yes", "ntfy_markdown must be true or false"),
        InvalidValue("ntfy_icon", "logo.png", "ntfy_icon must be a web address"),
        InvalidValue(
            "ntfy_attach", "https://a.example/" + "x" * 1_500, "ntfy_attach must be a web address of at most 1500"
        ),
        InvalidValue("ntfy_email", "oncall", "ntfy_email must be a mail address"),
        InvalidValue("ntfy_call", "15558675310", "ntfy_call must be a phone number with +, or yes"),
        InvalidValue("ntfy_delay", "x" * 41, "ntfy_delay must be one line of at most 40 characters"),
    ],
    secrets={
        "ntfy_topic": lambda number: f"Qz{number:05}s3cr3tM4rk",
        "ntfy_token": lambda number: f"tk_Qz{number:05}s3cr3tM4rk",
        "ntfy_email": lambda number: f"Qz{number:05}s3cr3tM4rk@example.com",
        "ntfy_call": lambda number: f"+7{number:010}",
    },
    rejected_requests=[
        ({}, b"hi", 400),
        ({}, b'{"message": "hi"}', 400),
        ({}, b'{"topic": "a b", "message": "hi"}', 400),
        ({}, b'{"topic": "docs", "message": "hi"}', 400),
        ({}, b'{"topic": "t", "message": "hi", "priority": 6}', 400),
        ({}, b'{"topic": "t", "message": "hi", "priority": -1}', 400),
        ({}, b'{"topic": "t", "message": "hi", "priority": "high"}', 400),
        ({}, b'{"topic": "t", "message": "hi", "tags": "a"}', 400),
        ({}, b'{"topic": "t", "message": "hi", "click": 5}', 400),
        ({}, b'{"topic": "t", "message": "hi"}'.ljust(8192), 413),
        ({}, b'{"topic": "t", "message": "hi", "sequence_id": "a.b"}', 400),
        *(
            ({}, json.dumps({"topic": "t", "message": "hi", **members}).encode(), 400)
            for members in (
                {"icon": "logo.png"},
                {"attach": "a.png"},
                {"actions": [{"action": "view", "label": "a"}]},
                {"actions": [{"action": "view", "label": "a", "url": "https://a.example"}] * 4},
                {"delay": "9s"},
                {"delay": "4d"},
                {"delay": "soon"},
                {"delay": "30m", "email": "a@example.com"},
                {"delay": "30m", "call": "yes"},
                {"call": "1555"},
            )
        ),
        ({}, json.dumps({"topic": "t", "message": "x" * 4096}).encode(), 400),
        ({}, json.dumps({"topic": "t", "message": "x", "title": "x" * 8192}).encode(), 413),
        ({}, b'{"topic": "protected", "message": "hi"}', 403),
        ({"Authorization": "Bearer tk_bad"}, b'{"topic": "t", "message": "hi"}', 401),
    ],
)


def test_of_a_long_text_only_the_first_message_calls_and_has_buttons(
    request_sender: RequestSender, standin: Standin
) -> None:
    more = {"ntfy_tags": "siren", "ntfy_priority": 2, "ntfy_buttons": {"Runbook": "https://wiki.example.com/cpu"}}
    more |= {"ntfy_call": "+15558675310", "ntfy_attach": "https://a.example/cpu.png"}
    for request in ({"notification_text": "x" * 5_000}, {**FIRING, "notification_text": "x" * 5_000}):
        standin.clear()
        request_sender.send([(CHANNEL, {**CHANNEL.at(standin, next(NUMBERS)), **more})], **request)
        first, second = (message["detail"] for message in standin.messages())
        assert (first["actions"][0]["label"], first["call"], first["tags"]) == ("Runbook", "+15558675310", ["siren"])
        assert {"actions", "call", "attach"} & set(second) == set()
        assert (first["priority"], second["priority"], second["tags"]) == (2, 2, ["siren"])


def test_a_delay_excludes_mail_and_call(request_sender: RequestSender, standin: Standin) -> None:
    for other in ({"ntfy_email": "a@example.com"}, {"ntfy_call": "yes"}):
        destination = {**CHANNEL.at(standin, next(NUMBERS)), "ntfy_delay": "30m", **other}
        sent = request_sender.send([(CHANNEL, destination)])
        assert (sent.entry["reason"], sent.entry["attempts"]) == ("invalid_config", 0)
        assert "ntfy_delay excludes" in sent.entry["detail"]
