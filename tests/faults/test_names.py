"""Malicious names of headers and fields: the message and all outputs stay valid."""

import json
import re
import unicodedata

import pytest

from influxdb3_notifier import _native
from tests import harness
from tests.harness import Notify, Standin, Triggers


def test_headers_of_the_connection_and_with_line_breaks_are_dropped(notify: Notify, standin: Standin) -> None:
    framing = ["Content-Length", "transfer-encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Expect"]
    given = dict.fromkeys([*framing, "Proxy-Authorization"], "1")
    given |= {"X-Lines": "a\r\nX-Smuggled: 1", "Bad Name": "1", "X-Kept": "kept"}
    configuration = {"http_webhook_url": f"{standin.url}/hook/headers", "http_headers": harness.encode_headers(given)}
    response = notify({"notification_text": "x", "senders_config": {"http": configuration}}).json
    assert response["results"] == {"http": True}
    dropped = [name for name in given if any(f"`{name}`" in warning for warning in response["warnings"])]
    assert dropped == [name for name in given if name != "X-Kept"]
    (arrived,) = standin.requests("/hook/headers")
    sent = {name.lower(): value for name, value in arrived["headers"]}
    assert sent["x-kept"] == "kept"
    assert sent["content-length"] == str(len('{"message":"x"}'))
    assert not set(sent) & {"x-lines", "x-smuggled", "proxy-authorization", "transfer-encoding", "upgrade", "te"}


def test_headers_beyond_the_limits_of_servers_are_dropped_and_the_message_is_sent(
    notify: Notify, standin: Standin
) -> None:
    many = {f"x-{n}": "" for n in range(40_000)}
    configuration = {"http_webhook_url": f"{standin.url}/hook/many", "http_headers": harness.encode_headers(many)}
    other = {"slack_webhook_url": f"{standin.url}/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"}
    response = notify({"notification_text": "x", "senders_config": {"http": configuration, "slack": other}}).json
    assert response["results"] == {"http": True, "slack": True}
    (warning,) = response["warnings"]
    assert "holds 40000 headers; those after the first 64 are dropped" in warning
    (arrived,) = standin.requests("/hook/many")
    assert sum(name.startswith("x-") for name, _ in arrived["headers"]) == 64


HOSTILE = {
    "a terminal's escapes": "a\x1b[31mred\x1b]0;title\x07b\x9b2J",
    "line breaks": "a\r\nnotifier [-] http: delivered\nb\u2028c\u2029d\x85e\x0bf",
    "text the other way round": "a\u202etxt.exe\u202c\u2066b\u2069\u200f",
    "what nobody sees": "a\u200b\u2060\ufeff\u00ad\U000e0041\u3164\ufe0fb",
    "NUL and its like": "a\x00\x01\x08\x7fb",
    "private characters": "a\ue000\U000f0000b",
    "a label's end": 'a"} 1\nnotifier_evil_total{a="b',
    "something long": "a" * 20_000,
}


def spoils(text: str) -> list[str]:
    """The characters that a terminal or a log viewer would not show as they are."""
    categories = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return [c for c in text if unicodedata.category(c) in categories or c in "\u3164\ufe0f"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_callers_and_receivers_cannot_break_the_output(
    triggers: Triggers, standin: Standin, name: str
) -> None:
    hostile = HOSTILE[name]
    standin.rule("/hook/words", reply={"status": 400, "body": f"no: {hostile}"})
    standin.rule("/hook/name", reply={"status": 200, "json": {"id": hostile}})
    standin.rule(
        "/hook/form", reply={"status": 400, "json": {"code": 50035, "message": hostile, "errors": {hostile: {}}}}
    )
    plain = {"http_webhook_url": f"{standin.url}/hook/words"}
    odd = harness.encode_headers({hostile: "1", "X-Fine": hostile, "Connection": "1"})
    senders = {
        "http": [plain, plain | {"http_headers": odd, hostile: "x"}],
        "discord": [{"discord_webhook_url": f"{standin.url}/hook/{path}"} for path in ("name", "form")],
        hostile: {"a": 1},
        f"{hostile}http": {},
    }
    body = {"notification_text": "x", "senders_config": senders, "receivers": [hostile], hostile: 1}
    # A warning names a duplicate key.
    key = json.dumps(hostile)
    text = json.dumps(body)[:-1] + f", {key}: 1, {key}: {{{key}: 1, {key}: 2}}}}"
    trigger = triggers.create({hostile[:200].replace("\0", ""): "1"})
    response = trigger.notify(text, headers={"Idempotency-Key": "k"})
    assert response.status == 200, response.text
    assert len(response.json["deliveries"]) == 7
    said = [*response.json["warnings"]]
    for entry in response.json["deliveries"]:
        said += [str(entry[member]) for member in ("destination", "detail", "hint", "message_id")]
        said.append(str(entry.get("path")))
    assert len(response.json["warnings"]) >= 4
    for text in said:
        assert spoils(text) == [], ascii(text)
        assert len(text) <= 500, ascii(text)
    lines = trigger.log_lines()
    assert len(lines) >= 10
    for _, line in lines:
        assert line.isascii(), ascii(line)
        assert line.isprintable(), ascii(line)
        assert line.startswith("notifier ["), line
        assert len(line) <= 10_000
    metrics = trigger.notify(b"", query={"view": "metrics"}, method="GET").text
    assert "evil" not in metrics
    senders_counted = set(re.findall(r'sender="([^"]*)"', metrics))
    known = {channel["sender"] for channel in json.loads(_native.channels())}
    assert senders_counted <= {*known, "unknown"}
    view = trigger.notify(b"", query={"view": "status"}, method="GET")
    assert [ascii(error) for error in view.json["last_errors"] if spoils(error["line"])] == []
    assert [ascii(warning) for warning in view.json["warnings"] if spoils(warning)] == []
