"""SMS and WhatsApp messages with a lost reply: one POST, then a lookup at the provider."""

from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.faults.isolation import MARK, NUMBER, TWILIO, IsolationCheck, IsolationResult, best_of_three
from tests.harness import Standin, eventually

LOSSES: list[dict[str, Any]] = [
    {"hang": True},
    {"reply": {"status": 500}},
    {"reply": {"status": 502}},
    {"reply": {"status": 504, "body": "<html>gateway</html>"}},
]
SHORT = {"delivery_timeout": "1300ms", "response_timeout": "2s", "attempt_timeout": "150ms"}
"""The look-up that would come 5 s after the attempt is made a second before the delivery's end."""


def messages_path(configuration: dict[str, str]) -> str:
    """Where an account's messages are posted and listed."""
    return f"/2010-04-01/Accounts/{configuration['twilio_sid']}/Messages.json"


def methods(standin: Standin, path: str) -> list[str]:
    """The methods of the requests at a path, in order."""
    return [request["method"] for request in standin.requests(path)]


def wait_for_ends(result: IsolationResult, sender: str) -> list[str]:
    """How the two messages of a sender ended: the one that was lost and the one that works."""

    def ends() -> list[str]:
        told = [text for _, text in result.lines() if f" {sender} +1***10: " in text]
        return [text for text in told if "delivered in" in text or "ambiguous after" in text]

    return list(eventually(lambda: ends() if len(ends()) == 2 else [], "both ended"))


@pytest.mark.parametrize("sender", TWILIO)
@pytest.mark.parametrize("loss", LOSSES, ids=["hangs", "500", "502", "504"])
@pytest.mark.parametrize("taken", [True, False])
@best_of_three
def test_a_message_with_a_lost_reply_is_looked_up(
    isolation: IsolationCheck, sender: str, loss: dict[str, Any], taken: bool
) -> None:
    configuration = isolation.working_destination(sender)
    path = messages_path(configuration)
    isolation.standin.rule(path, method="POST", accept_first=taken, **loss)
    # The answer does not wait for the look-up.
    pending = isolation.check({sender: configuration}, **SHORT)
    assert (pending.entry["outcome"], pending.entry["reason"]) == ("pending", "lost_reply")
    assert pending.response.elapsed < 1.0
    ends = wait_for_ends(pending, sender)
    assert sum("ambiguous after" in line for line in ends) == (0 if taken else 1), ends
    assert methods(isolation.standin, path) == ["POST", "GET"]
    asked = parse_qs(isolation.standin.requests(path)[1]["query"])
    prefix = "whatsapp:" if sender == "whatsapp" else ""
    assert asked == {"To": [prefix + NUMBER], "From": [prefix + "+15017122661"], "PageSize": ["50"]}
    warned = [text for level, text in pending.lines() if level == "WARN"]
    assert any("the provider will be asked" in text for text in warned), warned
    isolation.check_no_secret_shown(pending.trigger, pending.response)


@pytest.mark.parametrize("taken", [True, False])
@best_of_three
def test_a_repeat_under_the_same_key_gets_the_outcome(isolation: IsolationCheck, taken: bool) -> None:
    configuration = isolation.working_destination("sms")
    isolation.standin.rule(messages_path(configuration), method="POST", accept_first=taken, reply={"status": 500})
    trigger = isolation.triggers.create({"twilio_base_url": isolation.standin.url, **SHORT})
    body = {
        "notification_text": "hi",
        "senders_config": {"sms": configuration},
        "idempotency_key": configuration["twilio_sid"],
    }
    assert trigger.notify(body).json["results"] == {"sms": "pending"}
    trigger.wait_for_log("delivered in" if taken else "ambiguous after")
    # The line is written first, then the end is noted under the key.
    response = eventually(lambda: ended if (ended := trigger.notify(body).json)["status"] != "pending" else None)
    assert (response["replayed"], response["results"]) == (True, {"sms": True if taken else "ambiguous"})
    entry = response["deliveries"][0]
    assert (entry["message_id"] is not None) == taken
    assert entry["attempts"] == 1
    assert methods(isolation.standin, messages_path(configuration)) == ["POST", "GET"]


@pytest.mark.parametrize("sender", TWILIO)
@pytest.mark.parametrize("loss", LOSSES, ids=["hangs", "500", "502", "504"])
@best_of_three
def test_with_report_the_response_is_ambiguous_after_one_post(
    isolation: IsolationCheck, sender: str, loss: dict[str, Any]
) -> None:
    configuration = isolation.working_destination(sender)
    isolation.standin.rule(messages_path(configuration), method="POST", accept_first=True, **loss)
    result = isolation.check({sender: configuration}, on_ambiguous="report")
    assert (result.entry["outcome"], result.entry["reason"]) == ("ambiguous", "lost_reply")
    assert result.response.json["results"][sender] == "ambiguous"
    assert methods(isolation.standin, messages_path(configuration)) == ["POST"]
    assert any(level == "ERROR" and "ambiguous" in text for level, text in result.lines())


@best_of_three
def test_with_resend_a_message_that_is_not_found_is_sent_again(isolation: IsolationCheck) -> None:
    configuration = isolation.working_destination("sms")
    path = messages_path(configuration)
    isolation.standin.rule(path, method="POST", reply={"status": 500}, times=1)
    result = isolation.check({"sms": configuration}, **SHORT, on_ambiguous="resend")
    assert all("delivered in" in line for line in wait_for_ends(result, "sms"))
    assert methods(isolation.standin, path) == ["POST", "GET", "POST"]


@pytest.mark.parametrize("listed", [{"status": 500}, {"status": 401}, {"status": 200, "body": f"no list {MARK}"}])
@best_of_three
def test_a_failed_look_up_does_not_fail_the_delivery(isolation: IsolationCheck, listed: dict[str, Any]) -> None:
    configuration = isolation.working_destination("sms")
    path = messages_path(configuration)
    isolation.standin.rule(path, method="POST", accept_first=True, reply={"status": 500})
    isolation.standin.rule(path, method="GET", reply=listed)
    result = isolation.check({"sms": configuration}, **SHORT)
    line = result.trigger.wait_for_log("ambiguous after")
    assert "lost_reply" in line
    isolation.check_no_secret_shown(result.trigger, result.response)


@best_of_three
def test_the_newest_of_a_long_list_are_found(isolation: IsolationCheck) -> None:
    """The list of long messages exceeds the maximum size of a reply."""
    configuration = isolation.working_destination("sms")
    path = messages_path(configuration)
    trigger = isolation.triggers.create({"twilio_base_url": isolation.standin.url, **SHORT})
    before = {"notification_text": "\u4e2d" * 1500, "senders_config": {"sms": [configuration] * 20}}
    assert trigger.notify(before).json["results"] == {"sms": True}
    isolation.standin.rule(path, method="POST", accept_first=True, reply={"status": 500})
    response = trigger.notify({"notification_text": "hi", "senders_config": {"sms": configuration}})
    assert response.json["results"] == {"sms": "pending"}
    trigger.wait_for_log(f"[{response.json['task_id']}] sms +1***10: delivered in")
