"""What every status and the providers' own words mean."""

from typing import Any

import pytest

from tests.faults.scene import MARK, SENDERS, TWILIO, Scene, best_of_three


def by_status(sender: str, status: int) -> tuple[str, str | None, int]:
    """(outcome, reason, attempts) as DELIVERY's table has it, when at most two attempts are made."""
    if status < 300:
        return "delivered", None, 1
    if status < 400:
        return "failed", "redirected", 1
    if status >= 500:
        return ("ambiguous", "lost_reply", 1) if sender in TWILIO else ("failed", "server_error", 2)
    match status:
        case 429:
            return "failed", "rate_limited", 0  # not counted in max_attempts
        case 408 | 425:
            return "failed", "try_later", 2
    named = {401: "unauthorized", 403: "forbidden", 404: "unknown_destination", 410: "unknown_destination"}
    named[413] = "too_large"
    return "failed", named.get(status, "rejected"), 1


def destination(scene: Scene, sender: str, status: int) -> dict[str, str]:
    """A destination of its own that always answers the status."""
    configuration = scene.good(sender)
    if sender in TWILIO:
        path = f"/2010-04-01/Accounts/{configuration['twilio_sid']}/Messages.json"
    else:
        path = configuration[f"{sender}_webhook_url"].removeprefix(scene.standin.url)
    # Discord's path becomes another on the way only at Discord's own hosts.
    scene.standin.rule(path, reply={"status": status})
    return configuration


@pytest.mark.parametrize("sender", SENDERS)
@best_of_three
def test_row_12_every_status_on_the_wire_means_what_the_table_says(scene: Scene, sender: str) -> None:
    statuses = range(200, 600)
    hostile = [destination(scene, sender, status) for status in statuses]
    held = scene.holds(
        {sender: hostile},
        max_attempts="2",
        delivery_timeout="3s",
        response_timeout="4s",
        attempt_timeout="1s",
        connect_timeout="1s",
        on_ambiguous="report",
    )
    for status, entry in zip(statuses, held.entries, strict=True):
        outcome, reason, attempts = by_status(sender, status)
        assert (entry["outcome"], entry["reason"]) == (outcome, reason), f"{status}: {entry}"
        assert entry["http_status"] == status
        assert entry["attempts"] == attempts or (attempts == 0 and entry["attempts"] > 2), f"{status}: {entry}"
        assert (entry["hint"] is None) == (outcome == "delivered")


@pytest.mark.parametrize("status", [201, 202, 204])
@best_of_three
def test_row_13_any_2xx_is_delivered_with_one_post(scene: Scene, status: int) -> None:
    opened = scene.standin.fault("reply", status=status)
    held = scene.holds_at("http", opened["url"])
    assert (held.entry["outcome"], held.entry["http_status"], held.entry["attempts"]) == ("delivered", status, 1)
    assert scene.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("invalid_payload", "failed"),
        ('{"ok": false, "error": "no"}', "failed"),
        ('{"success": false}', "failed"),
        ("", "delivered"),
        ("<html><body>thanks</body></html>", "delivered"),
        ("queued", "delivered"),
        ('{"ok": true}', "delivered"),
        ("ok", "delivered"),
    ],
)
@best_of_three
def test_row_14_at_a_host_that_is_not_slacks_a_200_counts_unless_it_says_no(
    scene: Scene, body: str, outcome: str
) -> None:
    opened = scene.standin.fault("reply", status=200, body=body)
    held = scene.holds_at("slack", opened["url"])
    assert (held.entry["outcome"], held.entry["attempts"]) == (outcome, 1)
    assert scene.standin.fault_report(opened["port"])["requests"] == 1


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
def test_row_15_a_destination_that_is_gone_fails_at_once_and_says_what_mends_it(
    scene: Scene, sender: str, reply: dict[str, Any], reason: str, hint: str
) -> None:
    opened = scene.standin.fault("reply", **reply)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"], held.entry["reason"], held.entry["attempts"]) == ("failed", reason, 1)
    assert hint in held.entry["hint"]
    assert scene.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("discord", {"status": 404, "json": {"message": "Unknown Webhook", "code": 10015}}),
        ("discord", {"status": 401}),
        ("http", {"status": 410}),
    ],
)
@best_of_three
def test_row_15_a_destination_that_condemned_itself_is_left_alone(
    scene: Scene, sender: str, reply: dict[str, Any]
) -> None:
    opened = scene.standin.fault("reply", **reply)
    assert scene.holds_at(sender, opened["url"]).entry["attempts"] == 1
    again = scene.holds_at(sender, opened["url"]).entry
    assert (again["outcome"], again["reason"], again["attempts"]) == ("failed", "destination_disabled", 0)
    assert scene.standin.fault_report(opened["port"])["requests"] == 1


CODES = {
    21211: ("failed", "invalid_number"),
    21614: ("failed", "invalid_number"),
    21212: ("failed", "invalid_sender_number"),
    21603: ("failed", "invalid_sender_number"),
    21606: ("failed", "invalid_sender_number"),
    21659: ("failed", "invalid_sender_number"),
    21660: ("failed", "invalid_sender_number"),
    21703: ("failed", "invalid_sender_number"),
    63007: ("failed", "invalid_sender_number"),
    21408: ("failed", "unreachable_number"),
    21612: ("failed", "unreachable_number"),
    21608: ("failed", "trial_account"),
    21610: ("failed", "opted_out"),
    21617: ("failed", "too_large"),
    21602: ("failed", "rejected"),
    30007: ("failed", "forbidden"),
    30034: ("failed", "forbidden"),
    63016: ("failed", "outside_window"),
}


@pytest.mark.parametrize("sender", TWILIO)
@best_of_three
def test_row_20_twilios_codes_name_the_reason(scene: Scene, sender: str) -> None:
    replies = {code: {"status": 400, "json": {"code": code, "message": f"about {code}"}} for code in CODES}
    replies[20003] = {"status": 401, "json": {"code": 20003, "message": "Authenticate"}}
    expected = {**CODES, 20003: ("failed", "unauthorized")}
    hostile = []
    for reply in replies.values():
        configuration = scene.good(sender)
        scene.standin.rule(f"/2010-04-01/Accounts/{configuration['twilio_sid']}/Messages.json", reply=reply)
        hostile.append(configuration)
    held = scene.holds({sender: hostile})
    for code, entry in zip(replies, held.entries, strict=True):
        assert (entry["outcome"], entry["reason"]) == expected[code], entry
        assert entry["attempts"] == 1
        assert entry["detail"].startswith(f"Twilio {code}: ")
    hints = {entry["reason"]: entry["hint"] for entry in held.entries}
    assert len(set(hints.values())) == len(hints), "a hint of its own for each reason"


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
def test_row_20_what_twilio_has_not_processed_is_tried_again(scene: Scene, status: int, code: int, reason: str) -> None:
    reply = {"status": status, "json": {"code": code, "message": "later"}}
    configuration = scene.good("sms")
    path = f"/2010-04-01/Accounts/{configuration['twilio_sid']}/Messages.json"
    scene.standin.rule(path, reply=reply, times=2)
    held = scene.holds({"sms": configuration})
    assert (held.entry["outcome"], held.entry["attempts"]) == ("delivered", 3), held.entry
    assert any(reason in text for level, text in held.lines() if level == "WARN")
    assert len(scene.standin.requests(path)) == 3


@pytest.mark.parametrize("sender", TWILIO)
@pytest.mark.parametrize(
    ("status", "error_code", "reason"),
    [
        ("failed", 30008, "rejected"),
        ("undelivered", 30007, "forbidden"),
        ("canceled", None, "rejected"),
        ("failed", 63016, "outside_window"),
    ],
)
@best_of_three
def test_row_22_a_201_that_says_failed_is_failed(
    scene: Scene, sender: str, status: str, error_code: int | None, reason: str
) -> None:
    taken = {"sid": "SM" + "0" * 32, "status": status, "error_code": error_code, "error_message": None}
    opened = scene.standin.fault("reply", status=201, json=taken)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"], held.entry["reason"], held.entry["attempts"]) == ("failed", reason, 1)
    assert scene.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize("sender", ["slack", "discord", "http", "sms"])
@pytest.mark.parametrize("target", ["another host", "itself"])
@best_of_three
def test_row_23_a_redirect_is_never_followed(scene: Scene, sender: str, target: str) -> None:
    other = scene.standin.fault("reply", status=200)
    for status in (301, 302, 303, 307, 308):
        location = other["url"] if target == "another host" else "/"
        opened = scene.standin.fault("reply", status=status, headers=[["Location", location + MARK]])
        held = scene.holds_at(sender, opened["url"])
        assert (held.entry["outcome"], held.entry["reason"]) == ("failed", "redirected"), status
        assert (held.entry["http_status"], held.entry["attempts"]) == (status, 1)
        assert scene.standin.fault_report(opened["port"])["requests"] == 1
    assert scene.standin.fault_report(other["port"])["connections"] == 0
