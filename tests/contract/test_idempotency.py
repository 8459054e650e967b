"""Requests that come again: under one key, alike while the first is in flight, alike within the dedup window.

All triggers here are of one process, and those with equal arguments share one scope: each test has a key of its own.
"""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness import Response, Standin, Trigger, Triggers, eventually


def request(url: str, text: str = "hi", **fields: Any) -> dict[str, Any]:
    """A request to one generic webhook."""
    return {"notification_text": text, "senders_config": {"http": {"http_webhook_url": url}}, **fields}


def posts(standin: Standin, path: str) -> list[str]:
    """The texts that arrived at a path."""
    return [json.loads(found["body"])["message"] for found in standin.requests(path)]


def metric(trigger: Trigger, name: str) -> float:
    """The value of a metric without labels."""
    text = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


@pytest.fixture
def key() -> str:
    """A unique key."""
    return str(uuid.uuid4())


@pytest.mark.parametrize("place", ["field", "header", "both"])
def test_a_repeat_under_a_key_gets_the_state_of_the_first_and_sends_nothing(
    place: str, key: str, triggers: Triggers, standin: Standin
) -> None:
    trigger = triggers.create()
    path = f"/hook/key-{place}"
    fields = {} if place == "header" else {"idempotency_key": key}
    headers = {} if place == "field" else {"Idempotency-Key": key}
    first = trigger.notify(request(standin.url + path, **fields), headers=headers)
    again = trigger.notify(request(standin.url + path, **fields), headers=headers)
    assert again.json == {**first.json, "replayed": True}
    assert first.json["results"] == {"http": True}
    assert "replayed" not in first.json
    assert posts(standin, path) == ["hi"]
    assert len(trigger.log_lines()) == 1, "a repeat is no chatter"


def test_the_key_works_as_header_or_field_and_the_body_in_any_formatting(
    key: str, triggers: Triggers, standin: Standin
) -> None:
    trigger = triggers.create()
    url = f"{standin.url}/hook/spelling"
    trigger.notify(request(url, idempotency_key=key, data={"a": 1, "b": [2]}))
    other = {"data": {"b": [2], "a": 1}, **request(url)}
    again = trigger.notify(json.dumps(other, indent=4), headers={"Idempotency-Key": key})
    assert again.json["replayed"] is True
    assert posts(standin, "/hook/spelling") == ["hi"]


def test_a_repeat_shows_the_current_state_and_waits_for_it(key: str, triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/current", delay_ms=400)
    trigger = triggers.create({"response_timeout": "50ms"})
    body = request(f"{standin.url}/hook/current", idempotency_key=key)
    first = trigger.notify(body)
    assert first.json["results"] == {"http": "pending"}
    assert trigger.notify(body).json["results"] == {"http": "pending"}
    trigger.wait_for_log("delivered in")
    last = trigger.notify(body).json
    assert (last["results"], last["status"], last["replayed"]) == ({"http": True}, "success", True)
    assert last["task_id"] == first.json["task_id"]
    assert posts(standin, "/hook/current") == ["hi"]


def test_another_body_under_a_key_is_a_conflict(key: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create()
    url = f"{standin.url}/hook/conflict"
    assert trigger.notify(request(url, "one", idempotency_key=key)).status == 200
    response = trigger.notify(request(url, "two", idempotency_key=key))
    assert (response.status, response.json["error"]["code"]) == (400, "idempotency_conflict")
    assert (response.json["error"]["path"], response.json["results"]) == ("idempotency_key", {})
    assert posts(standin, "/hook/conflict") == ["one"]


def test_the_scope_of_a_key_is_the_triggers_arguments(key: str, triggers: Triggers, standin: Standin) -> None:
    body = request(f"{standin.url}/hook/scope", idempotency_key=key)
    for arguments in ({}, {"max_attempts": "9"}):
        assert "replayed" not in triggers.create(arguments).notify(body).json
    assert triggers.create().notify(body).json["replayed"] is True, "the same arguments are the same scope"
    assert posts(standin, "/hook/scope") == ["hi", "hi"]


@pytest.mark.parametrize(("status", "tried"), [(404, ["hi", "hi"]), (200, ["hi"])])
def test_a_key_without_any_delivery_is_tried_again(
    status: int, tried: list[str], key: str, triggers: Triggers, standin: Standin
) -> None:
    path = f"/hook/anew-{status}"
    standin.rule(path, reply={"status": status}, times=1)
    trigger = triggers.create()
    body = request(standin.url + path, idempotency_key=key)
    trigger.notify(body)
    assert trigger.notify(body).json["results"] == {"http": True}
    assert posts(standin, path) == tried


def test_a_refused_request_leaves_its_key_free(key: str, triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create({"max_in_flight": "1"})
    url = f"{standin.url}/hook/free"
    two = request(url, idempotency_key=key)
    two["senders_config"]["http"] = [two["senders_config"]["http"]] * 2
    assert trigger.notify(two).status == 400
    assert trigger.notify(request(url, idempotency_key=key)).json["results"] == {"http": True}


@pytest.mark.parametrize("keyed", [True, False])
def test_of_many_identical_requests_at_once_one_is_sent(
    keyed: bool, key: str, triggers: Triggers, standin: Standin
) -> None:
    path = f"/hook/at-once-{keyed}"
    standin.rule(path, delay_ms=300)
    trigger = triggers.create()
    body = request(standin.url + path, idempotency_key=key if keyed else None)
    before = metric(trigger, "notifier_joined_total")

    def ask(_: int) -> Response:
        return trigger.notify(body)

    with ThreadPoolExecutor(20) as pool:
        responses = [response.json for response in pool.map(ask, range(20))]
    assert all(response["results"] == {"http": True} for response in responses)
    assert posts(standin, path) == ["hi"]
    [first] = [response for response in responses if "replayed" not in response and "joined" not in response]
    others = [response for response in responses if response is not first]
    if keyed:
        assert {(other["task_id"], other["replayed"]) for other in others} == {(first["task_id"], True)}
        assert metric(trigger, "notifier_joined_total") == before
    else:
        assert {other["joined"] for other in others} == {first["task_id"]}
        assert len({response["task_id"] for response in responses}) == 20
        assert metric(trigger, "notifier_joined_total") == before + 19
        said = [text for level, text in trigger.log_lines() if "joined" in text and level == "INFO"]
        assert len(said) == 19, "one line each"


def test_an_identical_request_after_the_end_is_sent_again(triggers: Triggers, standin: Standin) -> None:
    trigger = triggers.create()
    for _ in range(2):
        assert trigger.notify(request(f"{standin.url}/hook/again")).json["results"] == {"http": True}
    assert posts(standin, "/hook/again") == ["hi", "hi"]


def test_a_request_that_joined_answers_by_its_own_response_timeout(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/joined", hang=True)
    trigger = triggers.create({"response_timeout": "50ms", "attempt_timeout": "1s", "max_attempts": "1"})
    body = request(f"{standin.url}/hook/joined")
    assert trigger.notify(body).json["results"] == {"http": "pending"}
    response = trigger.notify(body)
    assert response.json["results"] == {"http": "pending"}
    assert "joined" in response.json
    trigger.wait_for_log("failed after")
    assert len(standin.requests("/hook/joined")) == 1


def test_within_the_dedup_window_an_identical_request_is_suppressed_once_delivered(
    triggers: Triggers, standin: Standin
) -> None:
    trigger = triggers.create({"dedup_window": "1s"})
    url = f"{standin.url}/hook/window"
    body = request(url)
    body["senders_config"]["pager"] = {}
    first = trigger.notify(body)
    assert first.json["results"] == {"http": True, "pager": "Invalid sender"}
    response = trigger.notify(body)
    assert response.json["results"] == {"http": "suppressed", "pager": "Invalid sender"}
    entry = response.json["deliveries"][0]
    assert (entry["outcome"], entry["rule"], entry["attempts"]) == ("suppressed", "dedup_window", 0)
    assert (entry["reason"], entry["parts_delivered"]) == (None, 0)
    line = trigger.wait_for_log("suppressed by dedup_window")
    assert line.startswith(f"notifier [{response.json['task_id']}] http ")
    assert trigger.notify(request(url, "other")).json["results"] == {"http": True}
    keyed = request(url, idempotency_key="who wants two sends two keys")
    assert trigger.notify(keyed).json["results"] == {"http": True}
    eventually(lambda: trigger.notify(body).json["results"]["http"] is True, "the window has passed", timeout=5)
    assert posts(standin, "/hook/window") == ["hi", "other", "hi", "hi"]


def test_the_dedup_window_does_not_apply_after_a_failure(triggers: Triggers, standin: Standin) -> None:
    standin.rule("/hook/failed", reply={"status": 404}, times=1)
    trigger = triggers.create({"dedup_window": "1h"})
    body = request(f"{standin.url}/hook/failed")
    assert trigger.notify(body).json["results"] == {"http": False}
    assert trigger.notify(body).json["results"] == {"http": True}
    assert trigger.notify(body).json["results"] == {"http": "suppressed"}
