"""Telegram's bots. Sentences are those of the Bot API's server."""

import json

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin, http_request

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
CHAT = "-1001234567890"
TAKEN = delivered(200, {"ok": True, "result": {"message_id": 42, "date": 1764038518, "text": "hi"}})
JSON = {"Content-Type": "application/json"}


def error(status: int, description: str, **parameters: object) -> tuple[int, dict[str, object]]:
    """As the server writes it."""
    body: dict[str, object] = {"ok": False, "error_code": status, "description": description}
    return status, {**body, **({"parameters": parameters} if parameters else {})}


CHANNEL = ChannelSpec(
    "telegram",
    destination=lambda base, _: {"telegram_bot_token": TOKEN, "telegram_chat_id": CHAT, "base_url": base},
    path=f"/bot{TOKEN}/sendMessage",
    plain=f'{{"chat_id":{CHAT},"text":"hi","link_preview_options":{{"is_disabled":true}}}}'.encode(),
    rich={
        "chat_id": -1001234567890,
        "text": "<b>🔴 CPU of db1 above 95 %</b>\ncpu_usage is 97.3 %\n\n<b>host:</b> <code>db1</code>\n"
        "<b>limit:</b> <code>95</code>\n<b>primary:</b> <code>true</code>\n"
        "Critical · firing since 2026-11-25 02:41 UTC\n"
        '<a href="https://grafana.example.com/d/cpu?var-host=db1&amp;from=now-1h">Open grafana.example.com</a>',
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    },
    headers={"content-type": "application/json"},
    success=TAKEN,
    # Success is in the body as well; 404 is a path with no bot's token in it.
    statuses={**dict.fromkeys(range(200, 300), ("failed", "rejected")), 404: ("failed", "unauthorized")},
    replies=[
        TAKEN,
        Reply(200, {"ok": False, "description": "words"}, reason="rejected", detail="Telegram: words"),
        Reply(200, "<html>", reason="rejected"),
        Reply(*error(400, "Bad Request: chat not found"), reason="unknown_destination", hint="groups are negative"),
        Reply(*error(400, "Bad Request: message thread not found"), reason="unknown_destination", hint="thread_id"),
        Reply(*error(400, "Bad Request: TOPIC_DELETED"), reason="unknown_destination", hint="thread_id"),
        Reply(*error(400, "Bad Request: TOPIC_CLOSED"), reason="forbidden", hint="Open the topic again"),
        *(
            Reply(
                *error(400, f"Bad Request: {words}"), reason="forbidden", hint="its permissions forbid it", detail=words
            )
            for words in (
                "CHAT_WRITE_FORBIDDEN",
                "CHAT_SEND_PLAIN_FORBIDDEN",
                "CHAT_RESTRICTED",
                "not enough rights to send text messages to the chat",
                "have no rights to send a message",
                "need administrator rights in the channel chat",
            )
        ),
        Reply(*error(400, "Bad Request: message is too long"), reason="too_large"),
        Reply(*error(400, "Bad Request: message text is empty"), reason="rejected", detail="Telegram: Bad Request"),
        Reply(*error(401, "Unauthorized"), reason="unauthorized", hint="@BotFather"),
        Reply(*error(404, "Not Found"), reason="unauthorized", hint="@BotFather"),
        Reply(*error(403, "Forbidden: bot was blocked by the user"), reason="forbidden", hint="unblock it"),
        Reply(*error(429, "Too Many Requests: retry after 35", retry_after=35), reason="rate_limited"),
        Reply(*error(500, "Internal Server Error"), reason="server_error"),
    ],
    invalid_values=[
        InvalidValue(
            "telegram_bot_token", "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "such as 110201543:AAHdqTcvCH1vGWJxfSeofSAs0K"
        ),
        InvalidValue("telegram_bot_token", "bot" + TOKEN, "telegram_bot_token must be digits, a colon"),
        InvalidValue("telegram_bot_token", TOKEN + "/x", "telegram_bot_token must be digits, a colon"),
        InvalidValue(
            "telegram_chat_id", "my group", "telegram_chat_id must be a number, or @ and the name of a public channel"
        ),
        InvalidValue("telegram_chat_id", "0", "such as -1001234567890"),
        InvalidValue("telegram_chat_id", "@a b", "such as -1001234567890"),
        InvalidValue("telegram_chat_id", -100.5, "telegram_chat_id must be a string, found a number"),
        InvalidValue("telegram_thread_id", "-1", "telegram_thread_id must be a positive number, such as 42"),
        InvalidValue("telegram_disable_notification", "1", "telegram_disable_notification must be true or false"),
        InvalidValue("telegram_buttons", {"a": "wiki"}, "telegram_buttons must be web addresses by their texts"),
        InvalidValue("telegram_buttons", {str(n): "https://a.example" for n in range(11)}, "at most 10, found 11"),
    ],
    secrets={
        "telegram_bot_token": lambda number: f"110201543:Qz{number:05}s3cr3tM4rk{'x' * 18}",
        "telegram_chat_id": lambda number: f"-1009876{number:06}",
    },
    rejected_requests=[
        (JSON, b'{"text":"hi"}', 400),
        (JSON, b'{"chat_id":-404,"text":"hi"}', 400),
        (JSON, b'{"chat_id":-400,"text":"hi"}', 400),
        (JSON, b'{"chat_id":-403,"text":"hi"}', 403),
        (JSON, b'{"chat_id":-405,"text":"hi"}', 400),
        (JSON, b'{"chat_id":-406,"text":"hi"}', 400),
        (JSON, b'{"chat_id":"","text":"hi"}', 400),
        (JSON, b'{"chat_id":"group","text":"hi"}', 400),
        (JSON, b'{"chat_id":"-1001234567890","text":"hi"}', 200),
        (JSON, b'{"chat_id":1,"message_thread_id":1,"text":"hi"}', 400),
        (JSON, b'{"chat_id":1,"message_thread_id":403,"text":"hi"}', 400),
        (JSON, b'{"chat_id":1,"message_thread_id":2,"text":"hi"}', 200),
        (JSON, b'{"chat_id":1,"text":"hi","link_preview_options":true}', 400),
        (JSON, b'{"chat_id":1,"text":"hi","link_preview_options":{"is_disabled":1}}', 400),
        (JSON, b'{"chat_id":1,"text":"hi","link_preview_options":{"no_such":true}}', 400),
        (JSON, b'{"chat_id":1,"text":" "}', 400),
        (JSON, json.dumps({"chat_id": 1, "text": "x" * 4097}).encode(), 400),
        (JSON, b'{"chat_id":1,"text":"<b>a","parse_mode":"HTML"}', 400),
        (JSON, b'{"chat_id":1,"text":"<x>a</x>","parse_mode":"HTML"}', 400),
        (JSON, b'{"chat_id":1,"text":"a","reply_parameters":{"message_id":1}}', 400),
        ({}, b'{"chat_id":1,"text":"a"}', 400),
    ],
)


def test_a_topic_and_a_channel_name_are_accepted(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    configuration = {**CHANNEL.at(standin, number), "telegram_chat_id": "@alerts", "telegram_thread_id": "7"}
    sent = request_sender.send([(CHANNEL, configuration)])
    assert sent.entry["outcome"] == "delivered"
    [request] = standin.requests(CHANNEL.path_of(number))
    body = json.loads(request["body"])
    assert (body["chat_id"], body["message_thread_id"]) == ("@alerts", 7)


def test_the_general_topic_is_no_thread(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    for topic in ("1", "2"):
        sent = request_sender.send([(CHANNEL, {**CHANNEL.at(standin, number), "telegram_thread_id": topic})])
        assert sent.entry["outcome"] == "delivered", sent.response.text
    bodies = [json.loads(request["body"]) for request in standin.requests(CHANNEL.path_of(number))]
    assert [body.get("message_thread_id") for body in bodies] == [None, 2]


def test_a_migrated_group_is_followed_once_with_a_warning_and_a_log_line(
    request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    destination = (CHANNEL, {**CHANNEL.at(standin, number), "telegram_chat_id": "-400"})
    sent = request_sender.send([destination], {"max_attempts": "1"}, notification_text="word " * 1_000)
    assert (sent.entry["outcome"], sent.entry["parts_delivered"]) == ("delivered", 2), sent.response.text
    [warning] = sent.response.json["warnings"]
    assert "give -100400 as telegram_chat_id" in warning
    assert len([line for _, line in sent.trigger.log_lines() if "give -100400 as telegram_chat_id" in line]) == 1
    requests = standin.requests(CHANNEL.path_of(number))
    assert [json.loads(request["body"])["chat_id"] for request in requests] == [-400, -100400] * 2
    assert len(standin.messages()) == 2


def test_a_group_that_moves_again_is_not_followed(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    status, body = error(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-100400)
    standin.rule(CHANNEL.path_of(number), reply={"status": status, "json": body})
    sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, number))])
    assert (sent.entry["outcome"], sent.entry["reason"]) == ("failed", "unknown_destination")
    assert "whose id is -100400" in sent.entry["detail"]
    assert "telegram_chat_id" in sent.entry["hint"]
    assert len(standin.requests(CHANNEL.path_of(number))) == 2


def test_the_stand_in_reports_members_without_effect(standin: Standin) -> None:
    place = f"{standin.url}/at/{next(NUMBERS)}{CHANNEL.path}"
    long = json.dumps({"chat_id": 1, "text": "&amp;" * 1_000 + "<b></b>" * 5_000 + "x", "parse_mode": "HTML"})
    for body, told in [('{"chat_id":1,"text":"x","no_such":1}', "no_such"), (long, "35000")]:
        standin.clear()
        assert http_request("POST", place, body=body.encode(), headers=JSON).status == 200
        [request] = standin.requests()
        assert told in request["problem"]


def test_a_follow_up_replies_to_the_earlier_message_or_stands_alone_if_that_was_deleted(
    request_sender: RequestSender, standin: Standin
) -> None:
    number = next(NUMBERS)
    destination = (CHANNEL, CHANNEL.at(standin, number))
    first = request_sender.send([destination], **FIRING, dedup_key="cpu").entry["message_id"]
    second = request_sender.send([destination], **FIRING, dedup_key="cpu").entry["message_id"]
    standin.clear()
    sent = request_sender.send([destination], **{**FIRING, "status": "resolved"}, dedup_key="cpu")
    assert sent.entry["outcome"] == "delivered"
    [request] = standin.requests(CHANNEL.path_of(number))
    responses = json.loads(request["body"])["reply_parameters"]
    assert responses == {"message_id": int(second), "allow_sending_without_reply": True}
    assert first != second


def test_mentions_in_a_text_work_unless_the_operator_forbids_them(
    request_sender: RequestSender, standin: Standin
) -> None:
    for allowed, mentions in (("true", ["@admin_of_db"]), ("false", [])):
        for form in ({}, {"title": "t"}):
            standin.clear()
            destination = (CHANNEL, CHANNEL.at(standin, next(NUMBERS)))
            request = {"notification_text": "@admin_of_db, look", **form}
            sent = request_sender.send([destination], {"allow_mentions": allowed}, **request)
            assert sent.entry["outcome"] == "delivered"
            assert [message["mentions"] for message in standin.messages()] == [mentions]


def test_of_a_long_text_only_the_first_message_has_buttons(request_sender: RequestSender, standin: Standin) -> None:
    more = {"telegram_buttons": {"Runbook": "https://wiki.example.com/cpu"}, "telegram_protect_content": True}
    for request in ({"notification_text": "x" * 5_000}, {**FIRING, "notification_text": "x" * 5_000}):
        number = next(NUMBERS)
        request_sender.send([(CHANNEL, {**CHANNEL.at(standin, number), **more})], **request)
        first, second = (json.loads(request["body"]) for request in standin.requests(f"/at/{number}/"))
        rows = [[{"text": "Runbook", "url": "https://wiki.example.com/cpu"}]]
        assert (first["reply_markup"], first["protect_content"]) == ({"inline_keyboard": rows}, True)
        assert ("reply_markup" in second, second["protect_content"]) == (False, True)
