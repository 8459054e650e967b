"""The effect of replies on later deliveries to a destination. ``tests/channels`` tests statuses and error texts."""

from typing import Any

import pytest

from tests.faults.isolation import MARK, IsolationCheck, best_of_three


@pytest.mark.parametrize("status", [201, 202, 204])
@best_of_three
def test_any_2xx_is_delivered_with_one_post(isolation: IsolationCheck, status: int) -> None:
    opened = isolation.standin.fault("reply", status=status)
    result = isolation.check_at("http", opened["url"])
    assert (result.entry["outcome"], result.entry["http_status"], result.entry["attempts"]) == ("delivered", status, 1)
    assert isolation.standin.fault_report(opened["port"])["requests"] == 1


GONE: list[tuple[str, dict[str, Any], str, str]] = [
    ("slack", {"status": 404, "body": "no_service"}, "unknown_destination", "make a new one"),
    ("slack", {"status": 410, "body": "channel_is_archived"}, "archived", "Unarchive the channel"),
    (
        "discord",
        {"status": 404, "json": {"message": "Unknown Webhook", "code": 10015}},
        "unknown_destination",
        "Make a new webhook",
    ),
    ("http", {"status": 410}, "unknown_destination", "Make a new webhook"),
]


@pytest.mark.parametrize(("sender", "reply", "reason", "hint"), GONE)
@best_of_three
def test_a_deleted_destination_fails_at_once_with_a_hint(
    isolation: IsolationCheck, sender: str, reply: dict[str, Any], reason: str, hint: str
) -> None:
    opened = isolation.standin.fault("reply", **reply)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", reason, 1)
    assert hint in result.entry["hint"]
    assert isolation.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("discord", {"status": 404, "json": {"message": "Unknown Webhook", "code": 10015}}),
        ("discord", {"status": 401}),
        ("http", {"status": 410}),
    ],
)
@best_of_three
def test_a_destination_that_disabled_itself_gets_no_more_requests(
    isolation: IsolationCheck, sender: str, reply: dict[str, Any]
) -> None:
    opened = isolation.standin.fault("reply", **reply)
    assert isolation.check_at(sender, opened["url"]).entry["attempts"] == 1
    again = isolation.check_at(sender, opened["url"]).entry
    assert (again["outcome"], again["reason"], again["attempts"]) == ("failed", "destination_disabled", 0)
    assert isolation.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (429, 20429, "rate_limited"),
        (429, 21611, "rate_limited"),
        (400, 21611, "try_later"),
        (400, 21730, "try_later"),
        (503, 21730, "try_later"),
        (503, 20503, "server_error"),
    ],
)
@best_of_three
def test_a_request_that_twilio_did_not_process_is_retried(
    isolation: IsolationCheck, status: int, code: int, reason: str
) -> None:
    reply = {"status": status, "json": {"code": code, "message": "later"}}
    configuration = isolation.working_destination("sms")
    path = f"/2010-04-01/Accounts/{configuration['twilio_sid']}/Messages.json"
    isolation.standin.rule(path, reply=reply, times=2)
    result = isolation.check({"sms": configuration})
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 3), result.entry
    assert any(reason in text for level, text in result.lines() if level == "WARN")
    assert len(isolation.standin.requests(path)) == 3


@pytest.mark.parametrize("sender", ["slack", "discord", "http", "sms"])
@pytest.mark.parametrize("target", ["another host", "itself"])
@best_of_three
def test_a_redirect_is_never_followed(isolation: IsolationCheck, sender: str, target: str) -> None:
    other = isolation.standin.fault("reply", status=200)
    for status in (301, 302, 303, 307, 308):
        location = other["url"] if target == "another host" else "/"
        opened = isolation.standin.fault("reply", status=status, headers=[["Location", location + MARK]])
        result = isolation.check_at(sender, opened["url"])
        assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "redirected"), status
        assert (result.entry["http_status"], result.entry["attempts"]) == (status, 1)
        leads_to = other["url"].rstrip("/") if target == "another host" else "another path of the same host"
        assert result.entry["detail"] == f"the redirect leads to {leads_to}"
        assert isolation.standin.fault_report(opened["port"])["requests"] == 1
    assert isolation.standin.fault_report(other["port"])["connections"] == 0
