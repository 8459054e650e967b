"""Rate limits: Retry-After in every form, storms, empty buckets."""

import email.utils
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.faults.isolation import IsolationCheck, best_of_three
from tests.harness import Standin, eventually


def http_date(offset: float) -> str:
    """An HTTP date ``seconds`` from now."""
    return email.utils.formatdate(time.time() + offset, usegmt=True)


@pytest.mark.parametrize(
    ("name", "values", "least", "most"),
    [
        ("nothing", ["0"], 0.008, 0.1),
        ("a millisecond", ["0.001"], 0.008, 0.1),
        ("seconds", ["1"], 1.0, 1.3),
        ("decimal", ["0.5"], 0.5, 0.8),
        ("past date", [-10.0], 0.008, 0.1),
        ("negative", ["-1"], 0.008, 0.1),
        ("garbage", ["soon"], 0.008, 0.1),
        ("empty", [""], 0.008, 0.1),
        ("two", ["0.1", "0.6"], 0.6, 0.9),
        ("two, one of them garbage", ["soon", "0.4"], 0.4, 0.7),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@best_of_three
def test_retry_after_is_respected_in_every_form(
    isolation: IsolationCheck, name: str, values: list[Any], least: float, most: float, status: int
) -> None:
    path = f"/hook/{name.replace(' ', '-').replace(',', '')}-{status}"
    given = [value if isinstance(value, str) else http_date(value) for value in values]
    isolation.standin.rule(path, times=1, reply={"status": status, "headers": [["Retry-After", v] for v in given]})
    limits = {"delivery_timeout": "3s", "max_backoff": "2s"}
    result = isolation.check({"http": {"http_webhook_url": isolation.standin.url + path}}, **limits)
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 2)
    assert least - 0.01 <= gaps(isolation.standin, path)[0] <= most


@best_of_three
def test_an_http_date_is_waited_for(isolation: IsolationCheck) -> None:
    path = "/hook/date"
    due = time.time() + 2.0
    reply = {"status": 429, "headers": [["Retry-After", email.utils.formatdate(due, usegmt=True)]]}
    isolation.standin.rule(path, times=1, reply=reply)
    result = isolation.check(
        {"http": {"http_webhook_url": isolation.standin.url + path}}, delivery_timeout="5s", response_timeout="3s"
    )
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 2)
    # A date has whole seconds: that of `due` may lie up to a second before it.
    assert 0.9 <= gaps(isolation.standin, path)[0] <= 2.2


@pytest.mark.parametrize("value", ["999999999", "5", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("sender", ["http", "discord", "sms"])
@best_of_three
def test_no_wait_goes_past_the_deadline(isolation: IsolationCheck, sender: str, value: str) -> None:
    opened = isolation.standin.fault("reply", status=429, headers=[["Retry-After", value]])
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", "rate_limited", 1)
    assert result.entry["elapsed_ms"] < 500, "ends at once: what is left of delivery_timeout is shorter"


@pytest.mark.parametrize("value", ["999999999", "5", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [500, 503, 408])
@best_of_three
def test_a_failing_server_is_tried_again_within_max_backoff(isolation: IsolationCheck, status: int, value: str) -> None:
    opened = isolation.standin.fault("reply", status=status, headers=[["Retry-After", value]], times=1)
    result = isolation.check_at("http", opened["url"])
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 2)


@best_of_three
def test_a_storm_against_a_rate_limit_sends_one_at_a_time(isolation: IsolationCheck) -> None:
    path = "/hook/storm"
    limited = {"status": 429, "headers": [["Retry-After", "1"]]}
    isolation.standin.rule(path, reply=limited)
    storm = [{"http_webhook_url": isolation.standin.url + path}] * 1000
    arguments = {"delivery_timeout": "3500ms", "max_attempts": "10", "attempt_timeout": "1s"}
    result = isolation.check({"http": storm}, **arguments)
    assert {entry["outcome"] for entry in result.entries} == {"pending"}, "none fails for the storm's sake"
    assert result.response.elapsed < 2.1
    told = [text for _, text in result.lines() if "429" in text or "limited" in text]
    assert told
    first = isolation.standin.wait_for(path)
    assert first
    time_of_end(isolation, result.trigger)
    arrivals = [request["at_ms"] / 1000 for request in isolation.standin.requests(path)]
    burst = [at for at in arrivals if at < arrivals[0] + 0.9]
    assert len(burst) <= 8, "the permits of a destination"
    later = arrivals[len(burst) :]
    assert len(later) <= 3
    assert all(b - a > 0.95 for a, b in pairwise(later)), later


def time_of_end(isolation: IsolationCheck, trigger: Any) -> None:
    """Wait until every delivery of the process has ended."""

    def idle() -> bool:
        return bool(trigger.notify(b"", query={"view": "status"}, method="GET").json["in_flight"] == 0)

    eventually(idle, "all deliveries ended", timeout=8)


@best_of_three
def test_after_the_limit_everything_is_delivered(isolation: IsolationCheck) -> None:
    path = "/hook/short-storm"
    isolation.standin.rule(path, times=20, reply={"status": 429, "headers": [["Retry-After", "0.1"]]})
    storm = [{"http_webhook_url": isolation.standin.url + path}] * 200
    result = isolation.check(
        {"http": storm}, delivery_timeout="10s", response_timeout="4s", attempt_timeout="2s", max_attempts="2"
    )
    assert {entry["outcome"] for entry in result.entries} == {"delivered"}, "a 429 is not counted in max_attempts"


@best_of_three
def test_an_empty_bucket_makes_the_next_one_wait(isolation: IsolationCheck) -> None:
    headers = [["X-RateLimit-Remaining", "0"], ["X-RateLimit-Reset-After", "0.4"]]
    destination = isolation.working_destination("discord")
    path = destination["discord_webhook_url"].removeprefix(isolation.standin.url)
    isolation.standin.rule(path, headers=headers)
    first = isolation.check({"discord": destination})
    second = isolation.check({"discord": destination})
    assert first.entry["outcome"] == second.entry["outcome"] == "delivered"
    assert (first.entry["attempts"], second.entry["attempts"]) == (1, 1), "no 429 was needed"
    assert gaps(isolation.standin, path)[0] >= 0.39


def gaps(standin: Standin, path: str) -> list[float]:
    """Seconds between the requests at a path."""
    return [(b["at_ms"] - a["at_ms"]) / 1000 for a, b in pairwise(standin.requests(path))]
