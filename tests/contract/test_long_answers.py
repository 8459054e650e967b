"""Answers of very many deliveries are text, which the engine passes on: the caller reads the same."""

import pytest

from tests.contract.case import MEMBERS
from tests.harness import Notify, Standin


@pytest.mark.parametrize("count", [100, 101, 1000])
def test_an_answer_is_json_however_long_it_is(count: int, notify: Notify, standin: Standin) -> None:
    urls = [{"http_webhook_url": f"{standin.url}/hook/{n}"} for n in range(count)]
    answer = notify({"notification_text": "x", "senders_config": {"http": urls}, "dry_run": True})
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert list(answer.json) == MEMBERS
    assert len(answer.json["deliveries"]) == count
