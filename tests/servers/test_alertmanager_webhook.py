"""A real Alertmanager, which sends the webhook of a receiver to a trigger."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_alerts import ALONE, create, messages
from tests.harness import Standin, Trigger, Triggers, eventually, http_request
from tests.servers.conftest import Start, start_alertmanager


@pytest.fixture
def trigger(triggers: Triggers, standin: Standin) -> Trigger:
    """A trigger with alert state."""
    return create(triggers, standin, ALONE)


@pytest.fixture
def alertmanager(start: Start, trigger: Trigger, tmp_path: Path) -> str:
    """An Alertmanager whose only receiver is the trigger."""
    return start_alertmanager(
        start,
        tmp_path,
        f"""
route: {{receiver: influxdb, group_by: [region], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}}
receivers:
  - name: influxdb
    webhook_configs:
      - url: {trigger.url}
        max_alerts: 2
        http_config: {{authorization: {{credentials: "{trigger.engine.token}"}}}}
""",
    )


def post(url: str, *names: str, end: float | None = None) -> None:
    """Post alerts to Alertmanager, which end ``end`` seconds from now."""
    alerts: list[dict[str, Any]] = [{"labels": {"alertname": name, "region": "eu"}} for name in names]
    if end is not None:
        for alert in alerts:
            alert["endsAt"] = (datetime.now(UTC) + timedelta(seconds=end)).isoformat()
    headers = {"Content-Type": "application/json"}
    body = json.dumps(alerts).encode()
    assert http_request("POST", f"{url}/api/v2/alerts", body=body, headers=headers).status == 200


def statuses(standin: Standin) -> list[tuple[str, str]]:
    """The title and the status of each message."""
    return sorted((message["title"], message["status"]) for message in messages(standin))


def test_alerts_of_a_group_are_sent_once_and_resolve(alertmanager: str, standin: Standin) -> None:
    post(alertmanager, "a", "b")
    firing = [("a", "firing"), ("b", "firing")]
    eventually(lambda: statuses(standin) == firing, "both alerts fire", timeout=30)
    post(alertmanager, "a", end=-1)
    expected = sorted([*firing, ("a", "resolved")])
    eventually(lambda: statuses(standin) == expected, "one alert resolves", timeout=30)


def test_alerts_beyond_its_limit_are_warned_of(alertmanager: str, trigger: Trigger, standin: Standin) -> None:
    post(alertmanager, "a", "b", "c")
    eventually(lambda: len(statuses(standin)) == 2, "the alerts within max_alerts fire", timeout=30)
    trigger.wait_for_log("truncatedAlerts")
