"""Slack's incoming webhooks."""

import json

import pytest

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

WORDS = {
    "no_service": ("unknown_destination", "make a new one"),
    "no_service_id": ("unknown_destination", "make a new one"),
    "no_active_hooks": ("unknown_destination", "make a new one"),
    "no_team": ("unknown_destination", "make a new one"),
    "team_disabled": ("unknown_destination", "make a new one"),
    "channel_not_found": ("unknown_destination", "another channel"),
    "channel_is_archived": ("archived", "Unarchive the channel"),
    "invalid_token": ("unauthorized", "make a new one"),
    "action_prohibited": ("forbidden", "admin"),
    "posting_to_general_channel_denied": ("forbidden", "admin"),
    "invalid_payload": ("rejected", ""),
    "no_text": ("rejected", ""),
    "too_many_attachments": ("rejected", ""),
    "user_not_found": ("rejected", ""),
    "invalid_blocks": ("rejected", ""),
    "invalid_attachments": ("rejected", ""),
    "msg_blocks_too_long": ("rejected", ""),
}
"""Codes count with every status, because several have no documented status."""

CHANNEL = ChannelSpec(
    "slack",
    destination=lambda base, _: {"slack_webhook_url": f"{base}/services/T0/B0/secret"},
    path="/services/T0/B0/secret",
    plain=b'{"text":"hi"}',
    rich={
        "text": "🔴 Critical: CPU of db1 above 95 %\n"
        "cpu_usage is 97.3 %\n"
        "host: db1, limit: 95, primary: true\n"
        "firing since 2026-11-25 02:41 UTC\n"
        "https://grafana.example.com/d/cpu?var-host=db1&amp;from=now-1h",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "🔴 CPU of db1 above 95 %", "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "cpu_usage is 97.3 %", "verbatim": False}},
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": "<https://grafana.example.com/d/cpu?var-host=db1&amp;from=now-1h|Open grafana.example.com>",
                    "verbatim": True,
                },
            },
        ],
        "attachments": [
            {
                "color": "#D7263D",
                "blocks": [
                    {
                        "type": "context",
                        "elements": [
                            {
                                "type": "mrkdwn",
                                "text": "*Critical* · firing since "
                                "<!date^1795574518^{date_short_pretty} at {time}|2026-11-25 02:41 UTC>",
                                "verbatim": True,
                            }
                        ],
                    },
                    {
                        "type": "section",
                        "fields": [
                            {"type": "plain_text", "text": "host: db1", "emoji": False},
                            {"type": "plain_text", "text": "limit: 95", "emoji": False},
                            {"type": "plain_text", "text": "primary: true", "emoji": False},
                        ],
                    },
                ],
            }
        ],
    },
    headers={"content-type": "application/json"},
    success=delivered(200, "ok"),
    replies=[
        delivered(200, " ok\n"),
        *(
            Reply(status, word, reason=reason, hint=hint, detail=f"Slack: {word}")
            for word, (reason, hint) in WORDS.items()
            for status in (200, 400, 403, 404, 410, 500, 503)
        ),
        # A 429 is a rate limit with every body.
        *(Reply(429, word, reason="rate_limited") for word in WORDS),
        *(Reply(status, "rollup_error", reason="server_error") for status in (200, 400, 500)),
        # At other hosts than Slack's a 2xx is a success unless the body has an error.
        delivered(200, ""),
        delivered(200, "queued"),
        delivered(200, "<html><body>thanks</body></html>"),
        delivered(200, {"ok": True}),
        Reply(200, {"ok": False, "error": "no"}, reason="rejected"),
        Reply(200, {"success": False}, reason="rejected"),
    ],
    invalid_values=[
        InvalidValue("slack_webhook_url", "hooks.slack.com/services/T/B/x", "slack_webhook_url has no scheme"),
        InvalidValue("slack_webhook_url", ["x"], "slack_webhook_url must be a string, found an array"),
        InvalidValue("slack_thread_ts", "yesterday", "slack_thread_ts must be the ts of a message"),
        InvalidValue("slack_unfurl_links", 1, "slack_unfurl_links must be true or false"),
        InvalidValue("slack_mentions", ["U024BE7LH", "@jane"], "slack_mentions must be the id of a user"),
        InvalidValue("slack_mentions", ["here"] * 21, "slack_mentions may be at most 20, found 21"),
        InvalidValue(
            "slack_image", "http://a.example/cpu.png", "slack_image must be a web address that begins with https"
        ),
        InvalidValue("slack_username", "x" * 81, "slack_username must be one line"),
        InvalidValue("slack_icon_emoji", "smile", "slack_icon_emoji must be an emoji's name between colons"),
        InvalidValue("slack_icon_url", "logo.png", "slack_icon_url must be a web address"),
        InvalidValue("slack_channel", "x" * 81, "slack_channel must be one line"),
    ],
    own_tests=("slack_username", "slack_icon_emoji", "slack_icon_url", "slack_channel"),
    rich_only=("slack_image", "slack_mentions"),
    secrets={"slack_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    rejected_requests=[({}, b'{"text":"hi"}', 400), ({"Content-Type": "application/json"}, b"{}", 400)],
)


WORKFLOWS = ["/triggers/T0123456789/3141592653589/c6e6c0d868b3054ca0f4611a5dbadaf", "/workflows/T0/A0/123/secret"]


def workflow(standin: Standin, path: str) -> tuple[tuple[ChannelSpec, dict[str, object]], str]:
    """A unique destination, and the path of its requests."""
    place = f"/at/{next(NUMBERS)}{path}"
    return (CHANNEL, {"slack_webhook_url": standin.url + place}), place


@pytest.mark.parametrize("path", WORKFLOWS)
def test_a_workflow_gets_the_whole_notification_as_one_text(
    path: str, request_sender: RequestSender, standin: Standin
) -> None:
    destination, place = workflow(standin, path)
    for request, text in [
        ({"notification_text": "hi"}, "hi"),
        (FIRING, CHANNEL.rich["text"]),  # type: ignore[index]
    ]:
        standin.clear()
        sent = request_sender.send([destination], **request)
        assert (sent.entry["outcome"], sent.response.json["warnings"]) == ("delivered", []), sent.response.text
        [got] = standin.requests(place)
        assert (got["accepted"], got["problem"]) == (True, None)
        assert json.loads(got["body"]) == {"text": text}


def test_a_long_text_to_a_workflow_goes_in_several_messages(request_sender: RequestSender, standin: Standin) -> None:
    destination, place = workflow(standin, WORKFLOWS[0])
    sent = request_sender.send(
        [destination], title="t", notification_text="word " * 1_500, link="https://a/?" + "&" * 700
    )
    assert (sent.entry["outcome"], sent.entry["parts"]) == ("delivered", 3), sent.response.text
    texts = [json.loads(got["body"])["text"] for got in standin.requests(place)]
    assert all(len(text) <= 4_000 for text in texts)
    assert sum(text.count("word") for text in texts) == 1_500


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, '{"ok":false,"error":"words"}', "rejected"),
        (200, "ok", "rejected"),
        (400, '{"ok":false,"error":"words"}', "rejected"),
        (404, '{"ok":false,"error":"words"}', "unknown_destination"),
    ],
)
def test_a_workflow_reply_without_ok_is_a_failure(
    status: int, body: str, reason: str, request_sender: RequestSender, standin: Standin
) -> None:
    destination, place = workflow(standin, WORKFLOWS[0])
    standin.rule(place, reply={"status": status, "body": body})
    sent = request_sender.send([destination])
    assert (sent.entry["outcome"], sent.entry["reason"]) == ("failed", reason), sent.response.text
    assert "variable `text`" in sent.entry["hint"]


def test_rich_notifications_mention_the_configured_people_unless_the_operator_forbids_it(
    request_sender: RequestSender, standin: Standin
) -> None:
    people = {"slack_mentions": ["U024BE7LH", "SAZ94GDB8", "here"]}
    for arguments, words in [
        ({}, ["<@U024BE7LH>", "<!subteam^SAZ94GDB8>", "<!here>"]),
        ({"allow_mentions": "false"}, []),
    ]:
        number = next(NUMBERS)
        request_sender.send([(CHANNEL, {**CHANNEL.at(standin, number), **people})], arguments, **FIRING)
        [request] = standin.requests(f"/at/{number}/")
        blocks = json.loads(request["body"])["blocks"]
        own = [block["text"]["text"] for block in blocks if block.get("text", {}).get("text", "").startswith("<@")]
        assert (request["problem"], own) == (None, [" ".join(words)] if words else [])


def test_a_server_of_another_kind_gets_name_icon_and_channel(request_sender: RequestSender, standin: Standin) -> None:
    members = {"username": "InfluxDB", "icon_emoji": ":fire:", "icon_url": "https://a.example/x.png", "channel": "#db"}
    for request in ({"notification_text": "hi"}, FIRING):
        number = next(NUMBERS)
        own = {f"slack_{name}": value for name, value in members.items()}
        request_sender.send([(CHANNEL, {**CHANNEL.at(standin, number), **own})], **request)
        [seen] = standin.requests(f"/at/{number}/")
        assert members.items() <= json.loads(seen["body"]).items()


def test_a_workflow_gets_the_text_only(request_sender: RequestSender, standin: Standin) -> None:
    (channel, destination), place = workflow(standin, WORKFLOWS[0])
    request_sender.send([(channel, {**destination, "slack_thread_ts": "1.2", "slack_unfurl_links": False})], **FIRING)
    [request] = standin.requests(place)
    assert list(json.loads(request["body"])) == ["text"]
