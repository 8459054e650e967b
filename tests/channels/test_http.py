"""A web server of the user's own."""

from tests.channels.channel import Bad, Channel, Reply, delivered

CHANNEL = Channel(
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
    taken=delivered(200),
    replies=[
        *(delivered(status) for status in (200, 201, 202, 204)),
        delivered(200, {"ok": False}),
        Reply(400, "no such field", reason="rejected", detail="the receiver: no such field"),
        Reply(410, "stop", reason="unknown_destination", condemns=True),
    ],
    bad=[
        Bad("http_webhook_url", "ftp://example.com/x", "http_webhook_url has a scheme other than http and https"),
        Bad("http_webhook_url", "https://", "http_webhook_url has no host"),
    ],
    secrets={"http_webhook_url": lambda number: f"Qz{number:05}s3cr3tM4rk"},
    refusals=[({"Content-Type": "text/plain"}, b"hi", 415), ({"Content-Type": "application/json"}, b"hi", 400)],
)
