"""A plugin that returns at once: what the engine costs by itself."""

from typing import Any


def process_request(
    influxdb3_local: Any,
    query_parameters: dict[str, str],
    request_headers: dict[str, str],
    request_body: bytes,
    args: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Answer as if one Slack message had been delivered."""
    return {"status": "success", "results": {"slack": True}, "deliveries": [{"outcome": "delivered", "elapsed_ms": 0}]}
