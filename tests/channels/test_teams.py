"""Microsoft Teams, by a workflow."""

import json
from typing import Any

import pytest

from tests.channels.channel import FIRING, NUMBERS, ChannelSpec, InvalidValue, Reply, RequestSender, delivered
from tests.harness import Standin, http_request

PATH = "/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/paths/invoke"
TAKEN = delivered(202)
UNDELIVERED = (
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {} with ContextId x"
)


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


CHANNEL = ChannelSpec(
    "teams",
    destination=lambda base, _: {"teams_webhook_url": f"{base}{PATH}?api-version=1&sig=s1g"},
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
    success=TAKEN,
    replies=[
        TAKEN,
        delivered(200),
        Reply(
            *error(400, "WorkflowTriggerIsNotEnabled", "words"),
            reason="unknown_destination",
            hint="Switch the workflow on",
        ),
        Reply(*error(400, "TriggerInputSchemaMismatch", "words"), reason="rejected", detail="Teams: words"),
        Reply(*error(400, "MissingApiVersionParameter", "words"), reason="rejected", hint="was cut short"),
        Reply(*error(401, "DirectApiAuthorizationRequired", "words"), reason="unauthorized", hint="let anyone trigger"),
        Reply(*error(401, "MisMatchingOAuthClaims", "words"), reason="unauthorized", hint="let anyone trigger"),
        delivered(200, "1"),
        Reply(200, UNDELIVERED.format(400), reason="rejected", detail="Teams: Webhook message delivery failed"),
        Reply(200, UNDELIVERED.format(413), reason="too_large"),
        Reply(200, UNDELIVERED.format(429), reason="rate_limited"),
        Reply(200, UNDELIVERED.format(502), reason="server_error"),
        Reply(200, "Delivery failed", reason="rejected"),
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
    invalid_values=[
        InvalidValue(
            "teams_webhook_url",
            "https://contoso.webhook.office.com/webhookb2/x/IncomingWebhook/y",
            "make a workflow in Teams",
        ),
        InvalidValue("teams_webhook_url", "https://outlook.office.com/webhook/x", "Office 365 connector"),
        InvalidValue(
            "teams_webhook_url", f"https://x.ab.environment.api.powerplatform.com{PATH}?api-version=1", "with &sig=…"
        ),
        InvalidValue(
            "teams_webhook_url", "https://prod-01.westeurope.logic.azure.com/workflows/x?sig=", "let anyone trigger"
        ),
        InvalidValue(
            "teams_webhook_url", "prod-01.westeurope.logic.azure.com/workflows/x", "teams_webhook_url has no scheme"
        ),
    ],
    secrets={"teams_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    rejected_requests=[({}, b"{}", 400)],
)


OLD = PATH.removeprefix("/powerautomate/automations/direct")
VERSION = "api-version=1"


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        (PATH, f"{VERSION}&sig=s", 202, None),
        (PATH, f"{VERSION}&sig=bad", 401, "SASAuthorizationFailed"),
        (PATH, VERSION, 401, "DirectApiAuthorizationRequired"),
        (PATH, "sig=s", 400, "MissingApiVersionParameter"),
        (PATH.replace("/0", "/off0"), f"{VERSION}&sig=s", 400, "WorkflowTriggerIsNotEnabled"),
        (PATH.replace("/0", "/gone0"), f"{VERSION}&sig=s", 404, "WorkflowNotFound"),
        (PATH.removesuffix("/invoke"), f"{VERSION}&sig=s", 404, "WorkflowNotFound"),
    ],
)
def test_the_stand_in_requires_an_existing_workflow(
    path: str, query: str, status: int, code: str | None, standin: Standin
) -> None:
    got = http_request("POST", f"{standin.url}{path}?{query}", body=json.dumps(message(text("hi"))).encode())
    assert got.status == status
    assert code is None or got.json["error"]["code"] == code


def test_a_logic_apps_url_without_a_workflow_is_explained(standin: Standin) -> None:
    got = http_request("POST", f"{standin.url}{OLD}?{VERSION}&sig=s", body=json.dumps(message(text("hi"))).encode())
    assert got.status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "message", "attachments": []},
        message(),
        message({"type": "TextBlock"}),
        message({"type": "FactSets"}),
        message({**text("x"), "no_such": 1}),
        message({**text("x"), "wrap": "true"}),
        message({**text("x"), "weight": "Boldest"}),
        message({**text("x"), "spacing": "Huge"}),
        message({"type": "Container", "style": "bad", "items": [text("x")]}),
        message({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "x", "size": "XL"}]}),
        message(run("two\nlines")),
        message(text("x"), no_such=1),
        message(text("x"), version="2.0"),
        message(text("x"), msteams={"width": "full width"}),
        message(text("x"), actions=[{"type": "Action.OpenUrl", "url": "javascript:x"}]),
        message(text("x"), actions=[{"type": "Action.Submit"}]),
        message(text("x" * 24_453)),
    ],
)
def test_the_stand_in_starts_the_workflow_and_reports_a_card_that_it_cannot_post(
    body: dict[str, Any], standin: Standin
) -> None:
    url = f"{standin.url}{PATH}?{VERSION}&sig=s"
    got = http_request("POST", url, body=json.dumps(body).encode())
    assert got.status == 202
    [request] = standin.requests()
    assert (request["accepted"], bool(request["problem"])) == (False, True)


def test_the_stand_in_reports_lines_that_run_together(standin: Standin) -> None:
    for words, together in [("one\ntwo", True), ("one\n\ntwo", False), ("- one\n- two", False)]:
        standin.clear()
        url = f"{standin.url}{PATH}?{VERSION}&sig=s"
        assert http_request("POST", url, body=json.dumps(message(text(words))).encode()).status == 202
        [request] = standin.requests()
        assert (request["accepted"], bool(request["problem"])) == (True, together), words


def test_each_line_of_a_text_and_of_a_field_stays_a_line(request_sender: RequestSender, standin: Standin) -> None:
    number = next(NUMBERS)
    words = "db1 is down:\r\nno reply\n- ping\n- http\nsince noon"
    shown = "db1 is down:\r\n\nno reply\n\n- ping\n- http\n\nsince noon"
    forms: list[dict[str, Any]] = [{}, {"title": "t", "fields": {"trace": "at a\n\n  at b"}}]
    for form in forms:
        sent = request_sender.send([(CHANNEL, CHANNEL.at(standin, number))], notification_text=words, **form)
        assert sent.entry["outcome"] == "delivered", sent.response.text
    plain, rich = standin.requests(CHANNEL.path_of(number))
    assert (plain["problem"], rich["problem"]) == (None, None)
    assert json.loads(plain["body"]) == message(text(shown))
    body = json.loads(rich["body"])["attachments"][0]["content"]["body"]
    assert body[1] == text(shown)
    assert body[2] == field("trace", "at a")
    assert body[3] == {**run("  at b"), "spacing": "None"}
