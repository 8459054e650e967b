"""Answers of very many deliveries are text, which the engine passes on: the caller reads the same."""

import pytest

from tests.contract.case import MEMBERS
from tests.harness import Notify, Standin


@pytest.mark.parametrize("count", [100, 101, 1000])
def test_a_long_response_is_json(count: int, notify: Notify, standin: Standin) -> None:
    urls = [{"http_webhook_url": f"{standin.url}/hook/{n}"} for n in range(count)]
    response = notify({"notification_text": "x", "senders_config": {"http": urls}, "dry_run": True})
    assert response.status == 200
    assert response.header("content-type") == "application/json"
    assert list(response.json) == MEMBERS
    assert len(response.json["deliveries"]) == count
