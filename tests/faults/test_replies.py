"""Replies that are huge, broken, or made to spoil what shows them."""

import unicodedata
from typing import Any

import pytest

from tests.faults.scene import Scene, best_of_three, engine_pid, resident_bytes
from tests.harness import eventually

MIB = 1024 * 1024


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("slack", 200), ("discord", 404), ("sms", 201)])
@pytest.mark.parametrize("fault", ["huge_body", "endless_chunked"])
@best_of_three
def test_an_endless_body_is_read_to_64_kib_and_dropped(scene: Scene, sender: str, status: int, fault: str) -> None:
    opened = scene.standin.fault(fault, status=status)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"] == "delivered") == (status < 300), "by its status"
    assert (held.entry["http_status"], held.entry["attempts"]) == (status, 1)
    eventually(lambda: scene.standin.fault_report(opened["port"])["open"] == 0, "the connection is dropped")
    # What the kernel's buffers of both sides took, on top of the 64 KiB.
    assert scene.standin.fault_report(opened["port"])["bytes_sent"] < 16 * MIB


@best_of_three
def test_many_endless_bodies_at_once_do_not_make_the_process_grow(scene: Scene) -> None:
    urls = [scene.standin.fault("huge_body")["url"] for _ in range(40)]
    trigger = scene.triggers.create()
    before = resident_bytes(engine_pid(trigger))
    held = scene.holds({"http": [scene.at("http", url) for url in urls]}, attempt_timeout="2s")
    assert {entry["outcome"] for entry in held.entries} == {"delivered"}
    assert resident_bytes(engine_pid(trigger)) - before < 32 * MIB


@pytest.mark.parametrize(("sender", "status"), [("http", 200), ("http", 404), ("slack", 200), ("sms", 201)])
@best_of_three
def test_a_gzip_bomb_is_not_inflated(scene: Scene, sender: str, status: int) -> None:
    opened = scene.standin.fault("gzip_bomb", status=status)
    trigger = scene.triggers.create()
    before = resident_bytes(engine_pid(trigger))
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"] == "delivered") == (status < 300), "by its status"
    assert resident_bytes(engine_pid(trigger)) - before < 16 * MIB
    assert "accept-encoding: identity" in scene.standin.fault_report(opened["port"])["heads"][0].lower()


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
def test_bytes_that_are_no_http_reply_are_malformed_reply(scene: Scene, sender: str, name: str) -> None:
    opened = scene.standin.fault(**MALFORMED[name])
    held = scene.holds_at(sender, opened["url"], on_ambiguous="report")
    assert (held.entry["outcome"], held.entry["reason"]) == ("ambiguous", "malformed_reply")
    assert held.entry["attempts"] == scene.standin.fault_report(opened["port"])["requests"] == 1


@pytest.mark.parametrize("sender", ["slack", "discord", "http", "sms"])
@pytest.mark.parametrize("variant", ["invalid_utf8", "nul", "escapes", "long_line"])
@best_of_three
def test_a_hostile_body_becomes_clean_printable_text_of_at_most_300_characters(
    scene: Scene, sender: str, variant: str
) -> None:
    opened = scene.standin.fault("hostile_body", status=400, variant=variant)
    held = scene.holds_at(sender, opened["url"])
    assert (held.entry["outcome"], held.entry["reason"]) == ("failed", "rejected")
    detail = held.entry["detail"]
    assert 0 < len(detail) <= 300
    bad = [c for c in detail if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not bad, ascii(detail)
    assert all(text.isascii() and text.isprintable() for _, text in held.lines())


@best_of_three
def test_a_body_that_echoes_the_secrets_shows_none(scene: Scene) -> None:
    """In whichever spelling the receiver quotes what it was sent; ``holds`` searches for the mark."""
    opened = scene.standin.fault("reply", status=404)
    url = opened["url"]
    hook = scene.at("http", url)["http_webhook_url"]
    echo = f"no hook at {hook} or {hook.replace('/', '%2F')} or " + hook.replace("/", "\\/")
    scene.standin.rule("/hook/echo/*", reply={"status": 404, "body": echo})
    held = scene.holds({"http": {"http_webhook_url": f"{scene.standin.url}/hook/echo/{hook.rsplit('/', 1)[1]}"}})
    assert held.entry["reason"] == "unknown_destination"
    assert "***" in held.entry["detail"]
