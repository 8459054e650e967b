"""Connections that are refused, vanish, stall, break."""

import pytest

from tests.faults.isolation import TWILIO, IsolationCheck, best_of_three
from tests.harness import eventually

WEBHOOKS = ("slack", "discord", "http")


@pytest.mark.parametrize("sender", WEBHOOKS + TWILIO)
@best_of_three
def test_connection_refused_is_retried_then_failed_connect(isolation: IsolationCheck, sender: str) -> None:
    result = isolation.check_at(sender, isolation.standin.fault("refuse")["url"])
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", "connect", 3)
    assert "refused" in result.entry["detail"]
    told = [level for level, text in result.lines() if "connect" in text]
    assert told == ["WARN", "ERROR"], "one line for the retries, one for the end"


@pytest.mark.parametrize("sender", ["http", "sms"])
@pytest.mark.parametrize("fault", ["blackhole", "stall"])
@best_of_three
def test_blackhole_and_stalled_handshake_are_retried_then_failed_timeout(
    isolation: IsolationCheck, sender: str, fault: str
) -> None:
    """A stall is TLS that never begins; connecting by plain TCP it would be accepted."""
    url = isolation.standin.fault(fault)["url"].replace("http:", "https:")
    result = isolation.check_at(sender, url)
    assert (result.entry["outcome"], result.entry["reason"], result.entry["attempts"]) == ("failed", "timeout", 3)
    assert 300 <= result.entry["elapsed_ms"] < 600, "each at the connect timeout of 100 ms"


@pytest.mark.parametrize("sender", WEBHOOKS)
@pytest.mark.parametrize("fault", ["reset", "reset_before_body", "close"])
@best_of_three
def test_reset_or_close_before_the_reply_is_retried(isolation: IsolationCheck, sender: str, fault: str) -> None:
    opened = isolation.standin.fault(fault)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "connection_lost")
    assert result.entry["attempts"] == isolation.standin.fault_report(opened["port"])["requests"] == 3


@best_of_three
def test_reset_once_then_delivered(isolation: IsolationCheck) -> None:
    opened = isolation.standin.fault("flaky", fail_times=2, how="reset")
    result = isolation.check_at("http", opened["url"])
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 3)
    bodies = isolation.standin.fault_report(opened["port"])["bodies"]
    assert len(set(bodies)) == 1, "the same message every time"
    keys = {head.lower().split("idempotency-key: ")[1][:32] for head in _heads(isolation, opened["port"])}
    assert len(keys) == 1, "under the same key"


@pytest.mark.parametrize("sender", TWILIO)
@pytest.mark.parametrize("fault", ["reset", "close"])
@best_of_three
def test_reset_or_close_before_twilios_reply_is_ambiguous_with_one_post(
    isolation: IsolationCheck, sender: str, fault: str
) -> None:
    opened = isolation.standin.fault(fault)
    result = isolation.check_at(sender, opened["url"], on_ambiguous="report")
    assert (result.entry["outcome"], result.entry["reason"]) == ("ambiguous", "lost_reply")
    assert _posts(isolation, opened["port"]) == 1


@pytest.mark.parametrize(
    ("sender", "status", "outcome"),
    [("http", 200, "delivered"), ("slack", 200, "delivered"), ("discord", 404, "failed"), ("sms", 201, "delivered")],
)
@best_of_three
def test_reset_in_the_middle_of_the_reply_is_classified_by_its_status(
    isolation: IsolationCheck, sender: str, status: int, outcome: str
) -> None:
    opened = isolation.standin.fault("reset_mid_reply", status=status)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"], result.entry["http_status"]) == (outcome, status)
    assert _posts(isolation, opened["port"]) == 1


@pytest.mark.parametrize("sender", ["http", "sms"])
@pytest.mark.parametrize("fault", ["slow_headers", "endless_1xx", "silent"])
@best_of_three
def test_a_head_that_never_ends_is_a_timeout_at_the_attempts_deadline(
    isolation: IsolationCheck, sender: str, fault: str
) -> None:
    pace = {"byte_ms": 100} if fault == "slow_headers" else {}
    opened = isolation.standin.fault(fault, **pace)
    result = isolation.check_at(sender, opened["url"], on_ambiguous="report")
    entry = result.entry
    if sender == "sms":
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("ambiguous", "lost_reply", 1)
        assert 150 <= entry["elapsed_ms"] < 300
    else:
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "timeout", 3)
        assert 450 <= entry["elapsed_ms"] < 800, "each at the attempt's deadline of 150 ms"
    assert _posts(isolation, opened["port"]) == entry["attempts"]
    _dropped(isolation, opened["port"])


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("slack", 200), ("http", 404), ("sms", 201)])
@best_of_three
def test_a_slow_body_is_classified_by_its_status(isolation: IsolationCheck, sender: str, status: int) -> None:
    opened = isolation.standin.fault("slow_body", status=status, byte_ms=100)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"] == "delivered") == (status < 300)
    assert (result.entry["http_status"], result.entry["attempts"]) == (status, 1)
    assert result.entry["elapsed_ms"] < 1300, "a second for the body, once the status is known"
    _dropped(isolation, opened["port"])


def _heads(isolation: IsolationCheck, port: int) -> list[str]:
    return list(isolation.standin.fault_report(port)["heads"])


def _posts(isolation: IsolationCheck, port: int) -> int:
    return sum(head.startswith("POST ") for head in _heads(isolation, port))


def _dropped(isolation: IsolationCheck, port: int) -> None:
    """No connection to the fault is kept."""
    eventually(lambda: isolation.standin.fault_report(port)["open"] == 0, "the connections are closed", timeout=3)
