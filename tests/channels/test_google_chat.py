"""Google Chat's webhooks."""

import json
from typing import Any

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin, http_request

PATH = "/v1/spaces/AAAA1234567/messages"
TAKEN = delivered(200, {"name": "spaces/AAAA1234567/messages/UMxbHmzDlr4.UMxbHmzDlr4", "text": "hi"})
JSON = {"Content-Type": "application/json"}


def error(status: int, name: str, message: str) -> tuple[int, dict[str, object]]:
    """As Google's interfaces write it."""
    return status, {"error": {"code": status, "message": message, "status": name}}


def widget(name: str, value: str) -> dict[str, object]:
    """A field."""
    return {"decoratedText": {"text": f"<b>{name}</b>: {value}", "wrapText": True}}


CHANNEL = ChannelSpec(
    "google_chat",
    destination=lambda base, _: {"google_chat_webhook_url": f"{base}{PATH}?key=k3y&token=t0ken"},
    path=PATH,
    plain=b'{"text":"hi"}',
    rich={
        "text": "🔴 cpu_usage is 97.3 %",
        "cardsV2": [
            {
                "cardId": "notification",
                "card": {
                    "header": {
                        "title": "🔴 CPU of db1 above 95 %",
                        "subtitle": "Critical · firing since 2026-11-25 02:41 UTC",
                    },
                    "sections": [
                        {
                            "widgets": [
                                widget("host", "db1"),
                                widget("limit", "95"),
                                widget("primary", "true"),
                                {
                                    "buttonList": {
                                        "buttons": [
                                            {
                                                "text": "Open grafana.example.com",
                                                "onClick": {"openLink": {"url": FIRING["link"]}},
                                            }
                                        ]
                                    }
                                },
                            ]
                        }
                    ],
                },
            }
        ],
    },
    headers={"content-type": "application/json"},
    success=TAKEN,
    # A reply without the message's name is not Google Chat's.
    statuses=dict.fromkeys(range(200, 300), ("failed", "rejected")),
    replies=[
        TAKEN,
        Reply(200, "<html>", reason="rejected", hint="what answered is not Google Chat"),
        Reply(
            *error(400, "INVALID_ARGUMENT", "Message cannot be empty."), reason="rejected", detail="Google Chat: Mess"
        ),
        Reply(*error(401, "UNAUTHENTICATED", "words"), reason="unauthorized", hint="make a new one"),
        Reply(*error(403, "PERMISSION_DENIED", "words"), reason="forbidden", hint="make a new one"),
        Reply(*error(404, "NOT_FOUND", "words"), reason="unknown_destination", hint="make a new one"),
        Reply(*error(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), reason="rate_limited"),
        Reply(*error(503, "UNAVAILABLE", "words"), reason="server_error"),
    ],
    invalid_values=[
        InvalidValue(
            "google_chat_webhook_url",
            "https://chat.googleapis.com/v1/spaces/AAAA/messages",
            "must be the whole URL of the webhook, with ?key=…&token=…",
        ),
        InvalidValue(
            "google_chat_webhook_url",
            "chat.googleapis.com/v1/spaces/A/messages",
            "google_chat_webhook_url has no scheme",
        ),
    ],
    secrets={"google_chat_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    rejected_requests=[(JSON, b'{"text":"hi"}', 403)],
)


def test_the_stand_in_has_googles_requirements(standin: Standin, request_sender: RequestSender) -> None:
    """Checks that also need key and token."""
    card = of_widgets([{"decoratedText": {"text": "<x>"}}])
    good = of_widgets([{"decoratedText": {"text": "x"}}])
    for query, body, status in [
        ("key=k&token=t", json.dumps({"text": "x", "no_such": 1}).encode(), 400),
        ("key=k&token=t", json.dumps({"cardsV2": [{**good, "no_such": 1}]}).encode(), 400),
        ("key=k&token=t", json.dumps({"cardsV2": [of_widgets([{"decoratedText": {"txt": "x"}}])]}).encode(), 400),
        ("key=k&token=t", json.dumps({"cardsV2": [of_widgets([])]}).encode(), 400),
        ("key=k&token=t", json.dumps({"cardsV2": [good]}).encode(), 200),
        ("key=k&token=t", json.dumps({"cardsV2": [good, good]}).encode(), 400),
        ("key=k&token=t&messageReplyOption=x&threadKey=t", b'{"text":"x"}', 200),
        ("key=k&token=t", b"{}", 400),
        ("key=k&token=t", json.dumps({"text": "x" * 32_000}).encode(), 400),
        ("key=k&token=t", json.dumps({"text": "x", "cardsV2": [card]}).encode(), 400),
        ("key=k&token=t&messageReplyOption=x", b'{"text":"x"}', 400),
        ("key=k&token=bad", b'{"text":"x"}', 401),
        ("key=k&token=t", b'{"text":"x"}', 200),
    ]:
        got = http_request("POST", f"{standin.url}{PATH}?{query}", body=body, headers=JSON)
        assert got.status == status, body[:100]


def of_widgets(widgets: list[object]) -> dict[str, object]:
    """A card of these alone."""
    return {"card": {"header": {"title": "t"}, "sections": [{"widgets": widgets}]}}


def test_the_stand_in_ignores_widgets_beyond_a_hundred_and_records_it(standin: Standin) -> None:
    card = of_widgets([{"decoratedText": {"text": f"w{n}"}} for n in range(101)])
    body = json.dumps({"text": "x", "cardsV2": [card]}).encode()
    got = http_request("POST", f"{standin.url}{PATH}?key=k&token=t", body=body, headers=JSON)
    assert got.status == 200
    [request] = standin.requests()
    assert "101 widgets" in request["problem"]
    [message] = standin.messages()
    assert "w99" in message["text"]
    assert "w100" not in message["text"]


def test_the_reply_option_of_the_url_is_removed_without_a_thread(
    request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    url = f"{standin.url}/at/{number}{PATH}?messageReplyOption=REPLY_MESSAGE_OR_FAIL&key=k3y&token=t0ken"
    destination = (CHANNEL, {"google_chat_webhook_url": url})
    requests: list[dict[str, Any]] = [{}, {"dedup_key": "cpu"}]
    for request in requests:
        sent = request_sender.send([destination], **request)
        assert sent.entry["outcome"] == "delivered", sent.response.text
    queries = [request["query"] for request in standin.requests(CHANNEL.path_of(number))]
    assert queries == ["key=k3y&token=t0ken", "messageReplyOption=REPLY_MESSAGE_OR_FAIL&key=k3y&token=t0ken"]


def test_messages_of_one_dedup_key_share_a_thread(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    destination = (CHANNEL, CHANNEL.at(standin, number))
    for key in ("cpu", "cpu", "disk"):
        request_sender.send([destination], **FIRING, dedup_key=key)
    request_sender.send([destination], **FIRING)
    threads = [message["detail"]["thread"] for message in standin.messages()]
    assert threads[0] == threads[1]
    assert len(set(threads)) == 3
    queries = [request["query"] for request in standin.requests(CHANNEL.path_of(number))]
    option = "&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
    assert queries == [f"key=k3y&token=t0ken{option}"] * 3 + ["key=k3y&token=t0ken"]


def test_mentions_in_a_text_work_unless_the_operator_forbids_them(
    request_sender: RequestSender, standin: Standin
) -> None:
    for allowed, mentions in (("true", ["<users/all>"]), ("false", [])):
        for form in ({}, {"title": "t"}):
            standin.clear()
            destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
            request_sender.send(
                [destination], {"allow_mentions": allowed}, notification_text="<users/all> look", **form
            )
            assert [message["mentions"] for message in standin.messages()] == [mentions]
