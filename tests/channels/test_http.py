"""A web server of the user's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.channels.channel import NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin

CHANNEL = ChannelSpec(
    "http",
    destination=lambda base, _: {"http_webhook_url": f"{base}/hook/x"},
    path="/hook/x",
    plain=b'{"message":"hi"}',
    rich={
        "message": "cpu_usage is 97.3 %",
        "title": "CPU of db1 above 95 %",
        "level": "critical",
        "status": "firing",
        "fields": {"host": "db1", "limit": 95, "primary": True},
        "link": "https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
        "timestamp": "2026-11-25T02:41:58Z",
    },
    headers={"content-type": "application/json", "idempotency-key": "[0-9a-f]{32}"},
    success=delivered(200),
    replies=[
        *(delivered(status) for status in (200, 201, 202, 204)),
        delivered(200, {"ok": False}),
        Reply(400, "no such field", reason="rejected", detail="the receiver: no such field"),
        Reply(410, "stop", reason="unknown_destination", pauses_destination=True),
    ],
    invalid_values=[
        InvalidValue(
            "http_webhook_url", "ftp://example.com/x", "http_webhook_url has a scheme other than http and https"
        ),
        InvalidValue("http_webhook_url", "https://", "http_webhook_url has no host"),
    ],
    secrets={"http_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    rejected_requests=[
        ({"Content-Type": "text/plain"}, b"hi", 415),
        ({"Content-Type": "application/json"}, b"hi", 400),
    ],
)


@pytest.mark.parametrize(
    "more",
    [
        {"timestamp": "2026-11-25T02:41:58Z"},
        {"timestamp": "1969-12-31T23:59:59Z"},
        {"dedup_key": "cpu db1"},
        {"timestamp": "2026-11-25T02:41:58Z", "dedup_key": "cpu db1"},
    ],
    ids=", ".join,
)
def test_members_beside_a_plain_text_are_sent(
    more: dict[str, Any], request_sender: RequestSender, standin: Standin
) -> None:
    sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, next(NUMBERS)))], **more)
    assert (sent.entry["outcome"], sent.response.json["warnings"]) == ("delivered", [])
    [message] = standin.messages()
    assert message["detail"] == {"message": "hi", **more}


NO_JSON = "body_template: it makes no valid JSON, so the usual JSON is sent; write each value as {{ … | tojson }}"
TEXT = 'a "quoted" word\nand a second line'
USUAL = {"message": TEXT}


@pytest.mark.parametrize(
    ("template", "more", "body"),
    [
        ('{"text": "{{ notification.text }}"}', "", USUAL),
        ('{"text": {{ notification.text | tojson }}}', "", {"text": TEXT}),
        ('{"text": {{ notification.text | tojson }}', "", USUAL),
        ('{"n": 1}{"n": 2}', "", USUAL),
        ('{"n": NaN}', "", USUAL),
        (" [1] ", "", [1]),
        ('{"text": "{{ notification.text }}"}', 'content_type = "application/vnd.api+json; charset=utf-8"', USUAL),
        ("text: {{ notification.text }}", 'content_type = "text/plain"', f"text: {TEXT}"),
        ("text: {{ notification.text }}", 'headers = { Content-Type = "text/plain" }', f"text: {TEXT}"),
        ("text: {{ notification.text }}", 'headers = { Content-Type = "Application/JSON" }', USUAL),
    ],
)
def test_an_invalid_body_template_falls_back_to_the_usual_body(
    template: str, more: str, body: Any, request_sender: RequestSender, standin: Standin, tmp_path: Path
) -> None:
    standin.rule("*", any_content_type=True)
    url = CHANNEL.at(standin, next(NUMBERS))["http_webhook_url"]
    file = tmp_path / "n.toml"
    file.write_text(f"[receivers.r.http]\nwebhook_url = {url!r}\nbody_template = {template!r}\n{more}\n")
    trigger = request_sender.trigger({"config_file_path": str(file)})
    response = trigger.notify({"notification_text": TEXT, "receivers": ["r"]}).json
    assert response["results"] == {"r": True}, response
    [request] = standin.requests()
    assert (request["body"] if isinstance(body, str) else json.loads(request["body"])) == body
    assert response["warnings"] == ([f"receivers.r: {NO_JSON}"] if body == USUAL else [])
