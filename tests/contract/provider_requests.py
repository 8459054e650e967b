"""Expected requests to providers: the exact body and the complete headers."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import influxdb3_notifier
from tests.harness import Standin

SLACK_PATH = "/services/T0/B0/slack-secret"
DISCORD_PATH = "/api/webhooks/123456789012345678/discord-secret"
HTTP_PATH = "/hook/http-secret"
ACCOUNT = "AC" + "0" * 32
TWILIO_PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"

SLACK = {"slack_webhook_url": f"http://standin.test{SLACK_PATH}"}
DISCORD = {"discord_webhook_url": f"http://standin.test{DISCORD_PATH}"}
HTTP = {"http_webhook_url": f"http://standin.test{HTTP_PATH}"}
TWILIO = {
    "twilio_sid": ACCOUNT,
    "twilio_token": "twilio-secret",
    "twilio_from_number": "+15017122661",
    "twilio_to_number": "+15558675310",
}

AGENT = re.escape(f"influxdb3-notifier/{influxdb3_notifier.__version__}")
WEBHOOK_HEADERS = {
    "content-type": "application/json",
    "accept": r"\*/\*",
    "accept-encoding": "identity",
    "user-agent": AGENT,
}
DEFAULT_HEADERS: Mapping[str, Mapping[str, str]] = {
    "slack": WEBHOOK_HEADERS,
    "discord": WEBHOOK_HEADERS | {"user-agent": r"DiscordBot \(https://\S+, [0-9.]+\)"},
    "http": WEBHOOK_HEADERS | {"idempotency-key": "[0-9a-f]{32}"},
    "twilio": {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": AGENT,
        "authorization": re.escape("Basic " + base64.b64encode(f"{ACCOUNT}:twilio-secret".encode()).decode()),
    },
}
"""The headers of each provider as regular expressions, by lower-case name, without host and content-length."""


@dataclass(frozen=True)
class ProviderRequest:
    """An expected request to a provider."""

    sender: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers as regular expressions, by lower-case name, that replace or extend the defaults."""
    query: str = ""
    method: str = "POST"


def to_slack(body: bytes | str, path: str = SLACK_PATH, **headers: str) -> ProviderRequest:
    """``{"text": …}``: a str is the escaped text inside the JSON string."""
    return ProviderRequest("slack", path, _json("text", body), _names(headers))


def to_discord(
    body: bytes | str, path: str = DISCORD_PATH, query: str = "wait=true", **headers: str
) -> ProviderRequest:
    """``{"content": …}``: a str is the escaped text inside the JSON string."""
    return ProviderRequest("discord", path, _json("content", body), _names(headers), query)


def to_http(body: bytes | str, path: str = HTTP_PATH, query: str = "", **headers: str) -> ProviderRequest:
    """``{"message": …}``: a str is the escaped text inside the JSON string."""
    return ProviderRequest("http", path, _json("message", body), _names(headers), query)


def to_twilio(form: bytes, sender: str = "sms", path: str = TWILIO_PATH, **headers: str) -> ProviderRequest:
    """A form to Twilio."""
    return ProviderRequest(sender, path, form, _names(headers))


def _json(member: str, body: bytes | str) -> bytes:
    return body if isinstance(body, bytes) else f'{{"{member}":"{body}"}}'.encode()


def _names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def assert_arrived(standin: Standin, sent: Sequence[ProviderRequest]) -> None:
    """Check that exactly these requests arrived, in any order."""
    expected = sorted(sent, key=lambda message: (message.path, message.body))
    got = sorted(standin.requests(), key=lambda request: (request["path"], base64.b64decode(request["body_base64"])))
    assert [(r["method"], r["path"], r["query"], base64.b64decode(r["body_base64"])) for r in got] == [
        (message.method, message.path, message.query, message.body) for message in expected
    ]
    for request, message in zip(got, expected, strict=True):
        assert_headers(request["headers"], message, f"127.0.0.1:{standin.port}")


def assert_headers(headers: list[list[str]], message: ProviderRequest, address: str) -> None:
    """Check that the headers are the defaults and those of ``message``, each once."""
    kind = "twilio" if message.sender in ("sms", "whatsapp") else message.sender
    framing = {"host": re.escape(address), "content-length": str(len(message.body)), "accept-encoding": "identity"}
    expected = {**framing, **DEFAULT_HEADERS[kind], **message.headers}
    assert sorted(name for name, _ in headers) == sorted(expected)
    for name, value in headers:
        assert re.fullmatch(expected[name], value), (name, value, expected[name])
