"""The notifications of the benchmark, as a request to the notifier and as the resulting provider requests."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

TEXT = "CPU usage of db1 is 97 %"
ACCOUNT, TOKEN = "AC" + "0" * 32, "0" * 32
FROM, TO = "+14155238886", "+15558675310"
JSON_HEADERS = {
    "content-type": "application/json",
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": "influxdb3-notifier/0.1.0",
}


@dataclass(frozen=True)
class Notification:
    """One call's work."""

    senders: dict[str, Any]
    """``senders_config`` of the request."""
    wire: list[dict[str, Any]]
    """The same for the limit: url, headers, body of each HTTP request."""
    text: str = TEXT
    arguments: dict[str, str] = field(default_factory=dict)
    """Trigger arguments."""

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self.wire)

    @property
    def body_bytes(self) -> int:
        """The bytes of all request bodies."""
        return sum(len(request["body"].encode()) for request in self.wire)

    @property
    def request(self) -> dict[str, Any]:
        """The request body for the notifier."""
        return {"notification_text": self.text, "senders_config": self.senders}


def webhooks(sink: str, latency_ms: int, count: int, text: str = TEXT) -> Notification:
    """``count`` webhooks with different paths."""
    return to_webhooks([f"{sink}/sink/{latency_ms}/hook/{number}" for number in range(count)], text)


def to_webhooks(urls: list[str], text: str = TEXT) -> Notification:
    """One message to each of these webhooks."""
    body = _compact({"message": text})
    headers = JSON_HEADERS | {"idempotency-key": "0" * 32}
    return Notification(
        senders={"http": [{"http_webhook_url": url} for url in urls]},
        wire=[{"url": url, "headers": headers, "body": body} for url in urls],
        text=text,
    )


def slack(sink: str, latency_ms: int) -> Notification:
    """One message for Slack."""
    url = f"{sink}/sink/{latency_ms}/slack/T00000000/B00000000/{'X' * 24}"
    return Notification(
        senders={"slack": {"slack_webhook_url": url}},
        wire=[{"url": url, "headers": JSON_HEADERS, "body": _compact({"text": TEXT})}],
    )


def three_channels(sink: str, latency_ms: int) -> Notification:
    """The documentation's multi-channel example: Slack, Discord, WhatsApp."""
    discord = f"{sink}/sink/{latency_ms}/discord/123456789012345678/XXXXXXXX"
    twilio = f"{sink}/sink/{latency_ms}"
    to_slack = slack(sink, latency_ms)
    credentials = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    form = {"To": f"whatsapp:{TO}", "From": f"whatsapp:{FROM}", "Body": TEXT}
    return Notification(
        senders={
            **to_slack.senders,
            "discord": {"discord_webhook_url": discord},
            "whatsapp": {
                "twilio_sid": ACCOUNT,
                "twilio_token": TOKEN,
                "twilio_from_number": FROM,
                "twilio_to_number": TO,
            },
        },
        wire=[
            *to_slack.wire,
            {"url": f"{discord}?wait=true", "headers": JSON_HEADERS, "body": _compact({"content": TEXT})},
            {
                "url": f"{twilio}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
                "headers": JSON_HEADERS
                | {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {credentials}"},
                "body": urlencode(form),
            },
        ],
        arguments={"twilio_base_url": twilio},
    )


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
