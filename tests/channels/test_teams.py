"""Microsoft Teams, by a workflow."""

import json
from typing import Any

import pytest

from tests.channels.channel import FIRING, Bad, Channel, Reply, delivered
from tests.harness import Standin, http_request

PATH = "/workflows/0123456789abcdef/triggers/manual/paths/invoke"
TAKEN = delivered(202)


def message(*body: object, **members: object) -> dict[str, Any]:
    """A card, as Teams' workflows post it."""
    card = {"type": "AdaptiveCard", "version": "1.2", "body": list(body), **members}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def error(status: int, code: str, sentence: str) -> tuple[int, dict[str, object]]:
    """As Azure Logic Apps write it."""
    return status, {"error": {"code": code, "message": sentence}}


def text(words: str) -> dict[str, object]:
    """The notification's own."""
    return {"type": "TextBlock", "text": words, "wrap": True}


def field(name: str, value: str) -> dict[str, object]:
    """Data, which knows no Markdown."""
    runs = [{"type": "TextRun", "text": f"{name}: ", "weight": "Bolder"}, {"type": "TextRun", "text": value}]
    return {"type": "RichTextBlock", "inlines": runs, "spacing": "Small"}


def run(words: str, **members: object) -> dict[str, object]:
    """A line of one run."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": words, **members}]}


CHANNEL = Channel(
    "teams",
    destination=lambda base, _: {"teams_webhook_url": f"{base}{PATH}?api-version=2016-06-01&sig=s1g"},
    path=PATH,
    plain=json.dumps(message(text("hi")), separators=(",", ":")).encode(),
    rich=message(
        {
            "type": "Container",
            "style": "attention",
            "bleed": True,
            "items": [run("🔴 CPU of db1 above 95 %", weight="Bolder", size="Large")],
        },
        text("cpu_usage is 97.3 %"),
        field("host", "db1"),
        field("limit", "95"),
        field("primary", "true"),
        {**run("Critical · firing since 2026-11-25 02:41 UTC", isSubtle=True), "spacing": "Medium"},
        actions=[{"type": "Action.OpenUrl", "title": "Open grafana.example.com", "url": FIRING["link"]}],
        msteams={"width": "Full"},
    ),
    headers={"content-type": "application/json"},
    taken=TAKEN,
    replies=[
        TAKEN,
        delivered(200),
        Reply(
            *error(400, "WorkflowTriggerIsNotEnabled", "words"),
            reason="unknown_destination",
            hint="Switch the workflow on",
        ),
        Reply(*error(400, "TriggerInputSchemaMismatch", "words"), reason="rejected", detail="Teams: words"),
        Reply(
            *error(401, "SASAuthorizationFailed", "words"), reason="unauthorized", hint="copy the URL of its trigger"
        ),
        Reply(*error(403, "Forbidden", "words"), reason="forbidden", hint="copy the URL of its trigger"),
        Reply(
            *error(404, "WorkflowNotFound", "words"), reason="unknown_destination", hint="copy the URL of its trigger"
        ),
        Reply(*error(429, "TooManyRequests", "words"), reason="rate_limited"),
        Reply(*error(502, "NoResponse", "words"), reason="server_error"),
    ],
    bad=[
        Bad(
            "teams_webhook_url",
            "https://contoso.webhook.office.com/webhookb2/x/IncomingWebhook/y",
            "make a workflow in Teams",
        ),
        Bad("teams_webhook_url", "https://outlook.office.com/webhook/x", "Office 365 connector"),
        Bad("teams_webhook_url", "prod-01.westeurope.logic.azure.com/workflows/x", "teams_webhook_url has no scheme"),
    ],
    secrets={"teams_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    refusals=[({}, b"{}", 401)],
)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [(PATH, "sig=bad", 401), (PATH.replace("/0", "/off0"), "sig=s", 400), (PATH.replace("/0", "/gone0"), "sig=s", 404)],
)
def test_the_stand_in_wants_a_workflow_that_is_there(path: str, query: str, status: int, standin: Standin) -> None:
    got = http_request("POST", f"{standin.url}{path}?{query}", body=json.dumps(message(text("hi"))).encode())
    assert got.status == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "message", "attachments": []},
        message(),
        message({"type": "TextBlock"}),
        message({"type": "FactSets"}),
        message(text("x"), actions=[{"type": "Action.OpenUrl", "url": "javascript:x"}]),
        message(text("x" * 24_453)),
    ],
)
def test_the_stand_in_starts_the_workflow_and_says_what_it_cannot_post(body: dict[str, Any], standin: Standin) -> None:
    got = http_request("POST", f"{standin.url}{PATH}?sig=s", body=json.dumps(body).encode())
    assert got.status == 202
    [request] = standin.requests()
    assert (request["accepted"], bool(request["problem"])) == (False, True)
