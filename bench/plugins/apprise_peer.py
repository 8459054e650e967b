"""Notifications by apprise's asynchronous notify, with each destination as a JSON webhook."""

import asyncio
import json
from typing import Any

import apprise


def process_request(
    influxdb3_local: Any,
    query_parameters: dict[str, str],
    request_headers: dict[str, str],
    request_body: bytes,
    args: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Deliver a notification to all webhooks in parallel. Apprise only reports whether all succeeded."""
    request = json.loads(request_body)
    results: dict[str, bool] = {}
    count = 0
    notifier = apprise.Apprise()
    for sender, value in request["senders_config"].items():
        for configuration in value if isinstance(value, list) else [value]:
            url = configuration[f"{sender}_webhook_url"]
            if not notifier.add(url.replace("http://", "json://")):
                return {"status": "failed", "results": {sender: False}, "deliveries": []}
            results[sender] = True
            count += 1
    delivered = asyncio.run(notifier.async_notify(body=request["notification_text"]))
    deliveries = [{"outcome": "delivered" if delivered else "failed", "elapsed_ms": None}] * count
    influxdb3_local.info(f"delivered: {delivered}")
    return {"status": "success", "results": dict.fromkeys(results, bool(delivered)), "deliveries": deliveries}
