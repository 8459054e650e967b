"""Ten thousand alerts in one body: answered in time, and each group is notified once."""

from typing import Any

import pytest

from tests.contract.test_alerts import MEMORY, create
from tests.harness import Response, Standin, Trigger, Triggers, eventually

COUNT = 10_000
SECONDS = 20
"""For the answer, on a loaded machine."""


def config(standin: Standin, path: str, group_by: str) -> str:
    return (
        f'{MEMORY}[receivers.ops.http]\nwebhook_url = "{standin.url}{path}"\n'
        f'[[routes]]\nreceivers = ["ops"]\ngroup_by = {group_by}\ngroup_wait = "1s"\ngroup_interval = "1h"\n'
    )


def alerts() -> list[dict[str, Any]]:
    return [{"labels": {"alertname": "disk full", "n": str(n)}} for n in range(COUNT)]


def post_twice(trigger: Trigger) -> None:
    """The second time, every alert is known."""
    for unchanged in (0, COUNT):
        response: Response = trigger.notify(alerts(), timeout=30)
        assert response.status == 200, response.text[:500]
        assert response.json["unchanged"] == unchanged
        assert response.elapsed < SECONDS


@pytest.mark.timeout(60)
def test_ten_thousand_alerts_of_one_group_are_one_notification(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, config(standin, "/hook/ops", "[]"))
    post_twice(trigger)
    (request,) = standin.wait_for("/hook/ops", timeout=15)
    (message,) = standin.messages()
    assert message["detail"]["title"].startswith(f"[{COUNT} firing]")
    assert message["detail"]["truncatedAlerts"] + len(message["detail"]["alerts"]) == COUNT
    assert request["status"] == 200
    assert trigger.notify(alerts()[:1]).json["unchanged"] == 1


@pytest.mark.timeout(60)
def test_ten_thousand_groups_have_one_notification_each(triggers: Triggers, standin: Standin) -> None:
    trigger = create(triggers, standin, config(standin, "/sink/ops", '["fields.n"]'))
    post_twice(trigger)
    eventually(lambda: standin.sink()["requests"] >= COUNT, "each group is notified", timeout=35)
    assert standin.sink()["requests"] == COUNT
