"""Huge, broken and malicious replies."""

import unicodedata
from typing import Any

import pytest

from tests.faults.isolation import IsolationCheck, best_of_three, engine_pid
from tests.faults.process_usage import resident_bytes
from tests.harness import eventually

MIB = 1024 * 1024


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("slack", 200), ("discord", 404), ("sms", 201)])
@pytest.mark.parametrize("fault", ["huge_body", "endless_chunked"])
@best_of_three
def test_an_endless_body_is_read_to_64_kib_and_dropped(
    isolation: IsolationCheck, sender: str, status: int, fault: str
) -> None:
    opened = isolation.standin.fault(fault, status=status)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"] == "delivered") == (status < 300), "by its status"
    assert (result.entry["http_status"], result.entry["attempts"]) == (status, 1)
    eventually(lambda: isolation.standin.fault_report(opened["port"])["open"] == 0, "the connection is dropped")
    # The kernel buffers of both sides, in addition to the 64 KiB.
    assert isolation.standin.fault_report(opened["port"])["bytes_sent"] < 16 * MIB


@best_of_three
def test_many_endless_bodies_at_once_do_not_make_the_process_grow(isolation: IsolationCheck) -> None:
    urls = [isolation.standin.fault("huge_body")["url"] for _ in range(40)]
    trigger = isolation.triggers.create()
    before = resident_bytes(engine_pid(trigger))
    result = isolation.check({"http": [isolation.at("http", url) for url in urls]}, attempt_timeout="2s")
    assert {entry["outcome"] for entry in result.entries} == {"delivered"}
    assert resident_bytes(engine_pid(trigger)) - before < 32 * MIB


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("http", 404), ("slack", 200), ("sms", 201)])
@best_of_three
def test_a_gzip_bomb_is_not_inflated(isolation: IsolationCheck, sender: str, status: int) -> None:
    opened = isolation.standin.fault("gzip_bomb", status=status)
    trigger = isolation.triggers.create()
    before = resident_bytes(engine_pid(trigger))
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"] == "delivered") == (status < 300), "by its status"
    assert resident_bytes(engine_pid(trigger)) - before < 16 * MIB
    assert "accept-encoding: identity" in isolation.standin.fault_report(opened["port"])["heads"][0].lower()


MALFORMED: dict[str, dict[str, Any]] = {
    "status letters": {"kind": "malformed_status"},
    "status 999": {"kind": "reply", "status": 999},
    "no status": {"kind": "malformed_status", "line": "HTTP/1.1"},
    "garbage": {"kind": "malformed_status", "line": "\x00\x01\x02 gopher"},
    "10,000 headers": {"kind": "many_headers"},
    "1 MB header": {"kind": "huge_header"},
    "HTTP/0.9": {"kind": "http09"},
    "101": {"kind": "reply", "status": 101},
}


@pytest.mark.parametrize("sender", ["slack", "discord", "http", "sms"])
@pytest.mark.parametrize("name", MALFORMED)
@best_of_three
def test_bytes_that_are_no_http_reply_are_malformed_reply(isolation: IsolationCheck, sender: str, name: str) -> None:
    opened = isolation.standin.fault(**MALFORMED[name])
    result = isolation.check_at(sender, opened["url"], on_ambiguous="report")
    assert (result.entry["outcome"], result.entry["reason"]) == ("ambiguous", "malformed_reply")
    assert result.entry["attempts"] == isolation.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize("sender", ["slack", "discord", "http", "sms"])
@pytest.mark.parametrize("variant", ["invalid_utf8", "nul", "escapes", "long_line"])
@best_of_three
def test_a_hostile_body_becomes_clean_printable_text_of_at_most_300_characters(
    isolation: IsolationCheck, sender: str, variant: str
) -> None:
    opened = isolation.standin.fault("hostile_body", status=400, variant=variant)
    result = isolation.check_at(sender, opened["url"])
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "rejected")
    detail = result.entry["detail"]
    assert 0 < len(detail) <= 300
    bad = [c for c in detail if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not bad, ascii(detail)
    assert all(text.isascii() and text.isprintable() for _, text in result.lines())


@best_of_three
def test_a_body_that_echoes_the_secrets_shows_none(isolation: IsolationCheck) -> None:
    """A receiver may echo the message in any encoding. ``check`` searches for the mark."""
    opened = isolation.standin.fault("reply", status=404)
    url = opened["url"]
    hook = isolation.at("http", url)["http_webhook_url"]
    echo = f"no hook at {hook} or {hook.replace('/', '%2F')} or " + hook.replace("/", "\\/")
    isolation.standin.rule("/hook/echo/*", reply={"status": 404, "body": echo})
    result = isolation.check(
        {"http": {"http_webhook_url": f"{isolation.standin.url}/hook/echo/{hook.rsplit('/', 1)[1]}"}}
    )
    assert result.entry["reason"] == "unknown_destination"
    assert "***" in result.entry["detail"]
