"""Discord's webhooks."""

import json
from typing import Any

import pytest

from tests.channels.channel import FAST, FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

CODES = {
    10003: ("unknown_destination", True),
    10015: ("unknown_destination", True),
    50001: ("forbidden", True),
    50013: ("forbidden", True),
    50027: ("unauthorized", True),
    50006: ("rejected", False),
    50035: ("rejected", False),
    50109: ("rejected", False),
    160005: ("forbidden", False),
    200000: ("forbidden", False),
    240000: ("forbidden", False),
    220001: ("rejected", False),
    220002: ("rejected", False),
    220003: ("rejected", False),
    40333: ("forbidden", False),
    130000: ("server_error", False),
    40004: ("server_error", False),
    20016: ("rate_limited", False),
    20028: ("rate_limited", False),
    20029: ("rate_limited", False),
}
"""Codes count with every status, because few statuses are documented. Some codes pause the webhook."""

TAKEN = delivered(200, {"id": "1310000000000000000", "channel_id": "1"})

CHANNEL = ChannelSpec(
    "discord",
    destination=lambda base, _: {"discord_webhook_url": f"{base}/api/webhooks/1/token"},
    path="/api/webhooks/1/token",
    plain=b'{"content":"hi"}',
    rich={
        "embeds": [
            {
                "title": "🔴 CPU of db1 above 95 %",
                "description": "cpu_usage is 97.3 %",
                "url": "https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
                "color": 0xD7263D,
                "fields": [
                    {"name": "host", "value": "db1", "inline": True},
                    {"name": "limit", "value": "95", "inline": True},
                    {"name": "primary", "value": "true", "inline": True},
                ],
                "footer": {"text": "Critical · firing"},
                "timestamp": "2026-11-25T02:41:58Z",
            }
        ],
        "allowed_mentions": {"parse": []},
    },
    headers={"content-type": "application/json", "user-agent": r"DiscordBot \(https://\S+, [\d.]+\)"},
    success=TAKEN,
    replies=[
        TAKEN,
        delivered(204),
        *(
            Reply(
                status,
                {"code": code, "message": "words"},
                reason=reason,
                detail=f"Discord {code}: words",
                pauses_destination=pauses_destination and status in (401, 403, 404),
            )
            for code, (reason, pauses_destination) in CODES.items()
            for status in (400, 401, 403, 404, 409, 500)
        ),
        *(
            Reply(status, "", reason=reason, pauses_destination=True)
            for status, reason in [(401, "unauthorized"), (403, "forbidden")]
        ),
        Reply(
            400,
            {
                "code": 50035,
                "message": "Invalid Form Body",
                "errors": {"content": {"_errors": [{"message": "Too long."}]}},
            },
            reason="rejected",
            detail="Discord 50035: Invalid Form Body (content: Too long.)",
        ),
    ],
    invalid_values=[
        InvalidValue("discord_webhook_url", "discord.com/api/webhooks/1/x", "discord_webhook_url has no scheme"),
        *(
            InvalidValue("discord_username", name, "of at most 80 characters")
            for name in ("x" * 81, "My Discord", "Clyde")
        ),
        InvalidValue("discord_avatar_url", "logo.png", "discord_avatar_url must be a web address"),
        InvalidValue("discord_thread_id", "general", "discord_thread_id must be the digits"),
        InvalidValue("discord_thread_name", "x" * 101, "discord_thread_name must be one line"),
        InvalidValue("discord_applied_tags", ["1"] * 6, "discord_applied_tags may be at most 5, found 6"),
        InvalidValue("discord_mentions", "@everyone", "discord_mentions must be role:ID, user:ID, everyone or here"),
        InvalidValue("discord_mentions", ["role:ops"], "discord_mentions must be role:ID"),
        InvalidValue("discord_tts", "yes", "discord_tts must be true or false"),
        InvalidValue(
            "discord_image", "http://a.example/cpu.png", "discord_image must be a web address that begins with https"
        ),
    ],
    own_tests=("discord_thread_name", "discord_applied_tags", "discord_mentions"),
    rich_only=("discord_image",),
    secrets={"discord_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    resolved=("POST", "PATCH"),
    rejected_requests=[
        ({"Content-Type": "application/json"}, b'{"content":"hi"}', 403),
        ({"Content-Type": "application/json", "User-Agent": "DiscordBot (x, 1)"}, b"{}", 400),
    ],
)


@pytest.mark.parametrize(
    ("status", "code", "members"),
    [
        (404, 10008, {}),
        (429, 30046, {"retry_after": 1800.5, "global": False}),
        (403, 50005, {}),
        (400, 50083, {}),
    ],
)
def test_a_message_that_cannot_be_edited_is_posted_again_at_once(
    request_sender: RequestSender, standin: Standin, status: int, code: int, members: dict[str, Any]
) -> None:
    number = next(NUMBERS)
    place = CHANNEL.path_of(number)
    headers = [["Retry-After", "1801"], ["X-RateLimit-Remaining", "0"], ["X-RateLimit-Reset-After", "1800.5"]]
    refusal = {"status": status, "headers": headers, "json": {"code": code, "message": "no", **members}}
    standin.rule(place + "/messages/*", reply=refusal)
    destination = (CHANNEL, CHANNEL.at(standin, number))
    for state in ("firing", "resolved", "firing"):
        sent = request_sender.send([destination], FAST, **{**FIRING, "status": state}, dedup_key=f"k{number}")
        assert sent.entry["outcome"] == "delivered", sent.entry
    methods = [request["method"] for request in standin.requests(place)]
    assert methods == ["POST", "PATCH", "POST", "POST"], "and the webhook is not paused"


def test_a_message_in_a_thread_is_edited_in_the_thread(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    url = f"{standin.url}/at/{number}/api/webhooks/1/token?thread_id=7"
    destination = (CHANNEL, {"discord_webhook_url": url})
    for status in ("firing", "resolved"):
        sent = request_sender.send([destination], **{**FIRING, "status": status}, dedup_key="cpu")
        assert sent.entry["outcome"] == "delivered", sent.response.text
    requests = standin.requests(f"/at/{number}/")
    assert [request["method"] for request in requests] == ["POST", "PATCH"]
    assert all((request["accepted"], request["problem"]) == (True, None) for request in requests), requests
    assert all("thread_id=7" in request["query"] for request in requests)


def test_a_post_in_a_forum_has_a_title_and_tags(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    url = f"{standin.url}/at/{number}/api/webhooks/123456789012345678/forum"
    post = {"discord_thread_name": "CPU of db1", "discord_applied_tags": ["1", "2"]}
    for request in ({"notification_text": "hi"}, FIRING):
        sent = request_sender.send([(CHANNEL, {"discord_webhook_url": url, **post})], **request)
        assert sent.entry["outcome"] == "delivered", sent.response.text
    for request in standin.requests(f"/at/{number}/"):
        body = json.loads(request["body"])
        assert (request["problem"], body["thread_name"], body["applied_tags"]) == (None, "CPU of db1", ["1", "2"])


def test_a_thread_is_named_or_made(request_sender: RequestSender, standin: Standin) -> None:
    both = {"discord_thread_id": "5", "discord_thread_name": "CPU"}
    sent = request_sender.send([(CHANNEL, {**CHANNEL.at(standin, next(NUMBERS)), **both})])
    assert (sent.entry["reason"], sent.entry["attempts"]) == ("invalid_config", 0)


def test_rich_notifications_mention_the_configured_people_unless_the_operator_forbids_it(
    request_sender: RequestSender, standin: Standin
) -> None:
    people = {"discord_mentions": ["role:1", "user:2", "here"]}
    for arguments, content, allowed in [
        ({}, "<@&1> <@2> @here", {"parse": ["everyone"], "roles": ["1"], "users": ["2"]}),
        ({"allow_mentions": "false"}, None, {"parse": []}),
    ]:
        number = next(NUMBERS)
        destination = {**CHANNEL.at(standin, number), **people}
        for status in ("firing", "resolved"):
            request_sender.send([(CHANNEL, destination)], arguments, **{**FIRING, "status": status}, dedup_key="cpu")
        firing, resolved = (json.loads(request["body"]) for request in standin.requests(f"/at/{number}/"))
        assert (firing.get("content"), firing["allowed_mentions"]) == (content, allowed)
        assert (resolved["content"], resolved["allowed_mentions"]) == (None, {"parse": []})


def test_an_edit_has_no_members_of_a_new_message(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    options = {"discord_username": "InfluxDB", "discord_tts": True, "discord_suppress_notifications": True}
    destination = {**CHANNEL.at(standin, number), **options, "discord_thread_id": "5"}
    for status in ("firing", "resolved"):
        request_sender.send([(CHANNEL, destination)], **{**FIRING, "status": status}, dedup_key="cpu")
    firing, resolved = standin.requests(f"/at/{number}/")
    assert (resolved["method"], resolved["accepted"], resolved["problem"]) == ("PATCH", True, None)
    assert {"username", "tts", "flags"} <= set(json.loads(firing["body"]))
    assert not {"username", "tts", "flags"} & set(json.loads(resolved["body"]))
