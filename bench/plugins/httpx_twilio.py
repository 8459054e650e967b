"""The official notifier plugin as its public documentation describes it, on httpx and twilio.

One sender after another, a client of its own for each, up to three tries: HTTP with waits of 2^attempt seconds, Twilio
with random ones of 1 to 4 seconds. Beyond the documentation it takes a list of webhooks for a sender, which stands for
as many senders, and says when each was done.
"""

import asyncio
import json
import random
import time
from typing import Any

import httpx
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

TRIES = 3
PAYLOAD_KEYS = {"slack": "text", "discord": "content", "http": "message"}


def process_request(
    influxdb3_local: Any,
    query_parameters: dict[str, str],
    request_headers: dict[str, str],
    request_body: bytes,
    args: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Deliver a notification to each sender in turn."""
    started = time.monotonic()
    request = json.loads(request_body)
    results: dict[str, bool] = {}
    deliveries = []
    for sender, value in request["senders_config"].items():
        for configuration in value if isinstance(value, list) else [value]:
            if sender in PAYLOAD_KEYS:
                payload = {PAYLOAD_KEYS[sender]: request["notification_text"]}
                delivered = asyncio.run(post(configuration[f"{sender}_webhook_url"], payload))
            else:
                delivered = send_message(sender, configuration, request["notification_text"], args or {})
            results[sender] = results.get(sender, True) and delivered
            outcome = "delivered" if delivered else "failed"
            deliveries.append({"outcome": outcome, "elapsed_ms": (time.monotonic() - started) * 1000})
            influxdb3_local.info(f"{sender}: {outcome}")
    return {"status": "success", "message": "Request processed", "results": results, "deliveries": deliveries}


async def post(url: str, payload: dict[str, Any]) -> bool:
    """Post JSON; success is 200 or 204."""
    async with httpx.AsyncClient() as client:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(2 ** (attempt - 1))
            try:
                response = await client.post(url, json=payload)
            except httpx.HTTPError:
                continue
            if response.status_code in (200, 204):
                return True
    return False


def send_message(sender: str, configuration: dict[str, str], text: str, args: dict[str, str]) -> bool:
    """Send an SMS or a WhatsApp message. Success means that Twilio accepts it."""
    prefix = "whatsapp:" if sender == "whatsapp" else ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(random.uniform(1, 4))  # noqa: S311 - no secret
        try:
            client = Client(
                configuration["twilio_sid"],
                configuration["twilio_token"],
                http_client=Redirected(args["twilio_base_url"]),
            )
            client.messages.create(
                from_=prefix + configuration["twilio_from_number"],
                to=prefix + configuration["twilio_to_number"],
                body=text,
            )
        except Exception:  # noqa: S112 - whatever went wrong, it is tried again
            continue
        return True
    return False


class Redirected(TwilioHttpClient):  # type: ignore[misc]
    """Twilio's client with the sink in place of Twilio's API."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Send Twilio's requests to the sink."""
        return super().request(method, url.replace("https://api.twilio.com", self.base_url), *args, **kwargs)
