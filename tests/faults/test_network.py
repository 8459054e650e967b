"""Connections that are refused, vanish, stall, break."""

import pytest

from tests.faults.scene import TWILIO, Scene, best_of_three
from tests.harness import eventually

WEBHOOKS = ("slack", "discord", "http")


@pytest.mark.parametrize("sender", WEBHOOKS + TWILIO)
@best_of_three
def test_connection_refused_is_retried_then_failed_connect(scene: Scene, sender: str) -> None:
    held = scene.holds_at(sender, scene.standin.fault("refuse")["url"])
    assert (held.entry["outcome"], held.entry["reason"], held.entry["attempts"]) == ("failed", "connect", 3)
    assert "refused" in held.entry["detail"]
    told = [level for level, text in held.lines() if "connect" in text]
    assert told == ["WARN", "ERROR"], "one line for the retries, one for the end"


@pytest.mark.parametrize("sender", ["http", "sms"])
@pytest.mark.parametrize("fault", ["blackhole", "stall"])
@best_of_three
def test_blackhole_and_stalled_handshake_are_retried_then_failed_timeout(scene: Scene, sender: str, fault: str) -> None:
    """A stall is TLS that never begins; connecting by plain TCP it would be accepted."""
    url = scene.standin.fault(fault)["url"].replace("http:", "https:")
    held = scene.holds_at(sender, url)
    assert (held.entry["outcome"], held.entry["reason"], held.entry["attempts"]) == ("failed", "timeout", 3)
    assert 300 <= held.entry["elapsed_ms"] < 600, "each at the connect timeout of 100 ms"


@pytest.mark.parametrize("sender", WEBHOOKS)
@pytest.mark.parametrize("fault", ["reset", "reset_before_body", "close"])
@best_of_three
def test_reset_or_close_before_the_reply_is_retried(scene: Scene, sender: str, fault: str) -> None:
    opened = scene.standin.fault(fault)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"], held.entry["reason"]) == ("failed", "connection_lost")
    assert held.entry["attempts"] == scene.standin.fault_report(opened["port"])["requests"] == 3


@best_of_three
def test_reset_once_then_delivered(scene: Scene) -> None:
    opened = scene.standin.fault("flaky", fail_times=2, how="reset")
    held = scene.holds_at("http", opened["url"])
    assert (held.entry["outcome"], held.entry["attempts"]) == ("delivered", 3)
    bodies = scene.standin.fault_report(opened["port"])["bodies"]
    assert len(set(bodies)) == 1, "the same message every time"
    keys = {head.lower().split("idempotency-key: ")[1][:32] for head in _heads(scene, opened["port"])}
    assert len(keys) == 1, "under the same key"


@pytest.mark.parametrize("sender", TWILIO)
@pytest.mark.parametrize("fault", ["reset", "close"])
@best_of_three
def test_reset_or_close_before_twilios_reply_is_ambiguous_with_one_post(scene: Scene, sender: str, fault: str) -> None:
    opened = scene.standin.fault(fault)
    held = scene.holds_at(sender, opened["url"], on_ambiguous="report")
    assert (held.entry["outcome"], held.entry["reason"]) == ("ambiguous", "lost_reply")
    assert _posts(scene, opened["port"]) == 1


@pytest.mark.parametrize(
    ("sender", "status", "outcome"),
    [("http", 200, "delivered"), ("slack", 200, "delivered"), ("discord", 404, "failed"), ("sms", 201, "delivered")],
)
@best_of_three
def test_reset_in_the_middle_of_the_reply_is_classified_by_its_status(
    scene: Scene, sender: str, status: int, outcome: str
) -> None:
    opened = scene.standin.fault("reset_mid_reply", status=status)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"], held.entry["http_status"]) == (outcome, status)
    assert _posts(scene, opened["port"]) == 1


@pytest.mark.parametrize("sender", ["http", "sms"])
@pytest.mark.parametrize("fault", ["slow_headers", "endless_1xx", "silent"])
@best_of_three
def test_a_head_that_never_ends_is_a_timeout_at_the_attempts_deadline(scene: Scene, sender: str, fault: str) -> None:
    pace = {"byte_ms": 100} if fault == "slow_headers" else {}
    opened = scene.standin.fault(fault, **pace)
    held = scene.holds_at(sender, opened["url"], on_ambiguous="report")
    entry = held.entry
    if sender == "sms":
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("ambiguous", "lost_reply", 1)
        assert 150 <= entry["elapsed_ms"] < 300
    else:
        assert (entry["outcome"], entry["reason"], entry["attempts"]) == ("failed", "timeout", 3)
        assert 450 <= entry["elapsed_ms"] < 800, "each at the attempt's deadline of 150 ms"
    assert _posts(scene, opened["port"]) == entry["attempts"]
    _dropped(scene, opened["port"])


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("slack", 200), ("http", 404), ("sms", 201)])
@best_of_three
def test_a_slow_body_is_classified_by_its_status(scene: Scene, sender: str, status: int) -> None:
    opened = scene.standin.fault("slow_body", status=status, byte_ms=100)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"] == "delivered") == (status < 300)
    assert (held.entry["http_status"], held.entry["attempts"]) == (status, 1)
    assert held.entry["elapsed_ms"] < 1300, "a second for the body, once the status is known"
    _dropped(scene, opened["port"])


def _heads(scene: Scene, port: int) -> list[str]:
    return list(scene.standin.fault_report(port)["heads"])


def _posts(scene: Scene, port: int) -> int:
    return sum(head.startswith("POST ") for head in _heads(scene, port))


def _dropped(scene: Scene, port: int) -> None:
    """No connection to the fault is kept."""
    eventually(lambda: scene.standin.fault_report(port)["open"] == 0, "the connections are closed", timeout=3)
