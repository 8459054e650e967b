"""Hostile content: line breaks where none belong, headers that frame the message, texts and bodies of every sort."""

import json
import re
import time
from typing import Any

import pytest

import influxdb3_notifier
from tests.faults.isolation import SENDERS, IsolationCheck, best_of_three
from tests.harness import Response, Trigger, encode_headers

BREAKS = {"cr": "\r", "lf": "\n", "crlf": "\r\n", "nul": "\0"}


@pytest.mark.parametrize("sender", ["slack", "discord", "http"])
@pytest.mark.parametrize("character", BREAKS.values(), ids=BREAKS)
@best_of_three
def test_a_header_with_a_control_character_is_dropped_and_the_message_is_sent(
    isolation: IsolationCheck, sender: str, character: str
) -> None:
    headers = {"X-Value": f"a{character}X-Smuggled: 1", f"X-Na{character}me": "b", "X-Good": "yes"}
    configuration = isolation.working_destination(sender) | {f"{sender}_headers": encode_headers(headers)}
    result = isolation.check({sender: configuration})
    assert (result.entry["outcome"], result.entry["attempts"]) == ("delivered", 1)
    warnings = [warning for warning in result.response.json["warnings"] if warning.endswith("; dropped")]
    assert len(warnings) == 2
    path = configuration[f"{sender}_webhook_url"].removeprefix(isolation.standin.url)
    sent = dict(isolation.standin.requests(path)[0]["headers"])
    assert sent["x-good"] == "yes"
    assert not [name for name in sent if "smuggled" in name or name.startswith(("x-na", "x-value"))]


@pytest.mark.parametrize("character", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("sms", "twilio_to_number"),
        ("whatsapp", "twilio_from_number"),
        ("slack", "slack_webhook_url"),
        ("discord", "discord_webhook_url"),
        ("http", "http_webhook_url"),
    ],
)
@best_of_three
def test_a_control_character_in_another_field_is_that_senders_failure(
    isolation: IsolationCheck, sender: str, name: str, character: str
) -> None:
    configuration = isolation.working_destination(sender)
    configuration[name] = configuration[name][:12] + character + configuration[name][12:]
    result = isolation.check({sender: configuration})
    assert (result.entry["outcome"], result.entry["reason"]) == ("failed", "invalid_config")
    assert result.entry["path"] == f"senders_config.{sender}[0].{name}"
    assert result.entry["detail"].startswith(f"{name} holds a control character")


FRAMING = ["Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "Expect"]
FRAMING += ["Proxy-Authorization", "proxy-connection"]


@pytest.mark.parametrize("sender", ["slack", "discord", "http"])
@best_of_three
def test_framing_headers_are_dropped_and_a_content_type_replaces_ours(isolation: IsolationCheck, sender: str) -> None:
    given = dict.fromkeys(FRAMING, "5") | {"content-TYPE": "application/json; charset=utf-8"}
    configuration = isolation.working_destination(sender) | {f"{sender}_headers": encode_headers(given)}
    result = isolation.check({sender: configuration})
    assert result.entry["outcome"] == "delivered"
    dropped = [name for name in FRAMING if any(f"`{name}`" in text for text in result.response.json["warnings"])]
    assert dropped == FRAMING
    path = configuration[f"{sender}_webhook_url"].removeprefix(isolation.standin.url)
    [request] = isolation.standin.requests(path)
    names = [name for name, _ in request["headers"]]
    assert len(names) == len(set(names)), "none stands twice"
    sent = dict(request["headers"])
    assert sent["content-type"] == "application/json; charset=utf-8"
    assert sent["content-length"] == str(len(request["body"].encode()))
    assert not set(sent) & {name.lower() for name in FRAMING} - {"content-length"}


TEXTS: list[tuple[str, str, str | None]] = [
    ("empty", "", None),
    ("blank", " \\n\\t ", None),
    ("nul", "a\\u0000b", "a\0b"),
    ("lone surrogate", "\\ud800", "\ufffd"),
    ("surrogates in the wrong order", "\\udc00\\ud800x", "\ufffd\ufffdx"),
    ("a mebibyte is too much with what stands around it", "x" * 1_048_576, "too large"),
    ("ten mebibytes", "x" * 10_480_000, "too large"),
]


@pytest.mark.parametrize(("name", "text", "becomes"), TEXTS, ids=[name for name, _, _ in TEXTS])
def test_texts_of_every_kind_arrive(isolation: IsolationCheck, name: str, text: str, becomes: str | None) -> None:
    trigger = isolation.triggers.create({"twilio_base_url": isolation.standin.url, "max_attempts": "1"})
    senders = json.dumps({sender: isolation.working_destination(sender) for sender in SENDERS})
    response = trigger.notify(f'{{"notification_text": "{text}", "senders_config": {senders}}}'.encode())
    if becomes == "too large":
        assert (response.status, response.json["error"]["code"], response.json["results"]) == (400, "too_large", {})
        assert isolation.standin.requests() == []
    elif becomes is None:
        assert response.json["results"] == {sender: sender == "http" for sender in SENDERS}
        reasons = {entry["sender"]: entry["reason"] for entry in response.json["deliveries"]}
        assert reasons == {sender: None if sender == "http" else "invalid_text" for sender in SENDERS}
    else:
        assert response.json["results"] == dict.fromkeys(SENDERS, True)
        assert {message["text"] for message in isolation.standin.messages()} == {becomes}
    follows_up(isolation, trigger, response)


HI = '{"notification_text": "hi", "senders_config": {}}'
UNREADABLE: list[tuple[str, bytes]] = [
    ("depth 100,000", b'{"a":' * 100_000),
    ("depth 100,000, closed", b"[" * 100_000 + b"]" * 100_000),
    ("a word", HI.replace("{}", "NaNs").encode()),
    ("Latin-1", HI.replace("hi", "gr\u00fc\u00df").encode("latin-1")),
    ("trailing bytes", HI.encode() + b"\0\0"),
    ("cut", HI.encode()[:-1]),
    ("no UTF-8", b"\xff\xfe\xff" + HI.encode()),
    ("half a UTF-16", HI.encode("utf-16")[:-1]),
    ("nothing but NUL", b"\0" * 1000),
    ("numbers without end", b"[" + b"9" * 1_000_000),
]
READABLE: list[tuple[str, bytes, int]] = [
    ("duplicate keys", HI.replace('"hi"', '"no", "notification_text": "hi"').encode(), 2),
    ("beyond a double", HI.replace('"hi"', "1e999").encode(), 2),
    ("NaN", HI.replace('"hi"', "NaN").encode(), 2),
    ("BOM", HI.encode("utf-8-sig"), 1),
    ("UTF-16", HI.encode("utf-16"), 1),
    ("UTF-32", HI.encode("utf-32-be"), 1),
]


@pytest.mark.parametrize(("name", "body"), UNREADABLE, ids=[name for name, _ in UNREADABLE])
def test_an_unreadable_body_is_400_with_the_position(isolation: IsolationCheck, name: str, body: bytes) -> None:
    trigger = isolation.triggers.create()
    response = trigger.notify(body)
    assert (response.status, response.json["results"], response.json["deliveries"]) == (400, {}, [])
    assert response.json["error"]["code"] in ("invalid_json", "invalid_encoding")
    assert any(place in response.json["message"] for place in ("At line ", "at offset ", "It must be an object"))
    follows_up(isolation, trigger, response)


@pytest.mark.parametrize(("name", "body", "warnings"), READABLE, ids=[name for name, _, _ in READABLE])
def test_encodings_that_python_reads_are_read(isolation: IsolationCheck, name: str, body: bytes, warnings: int) -> None:
    trigger = isolation.triggers.create()
    response = trigger.notify(body)
    assert (response.status, response.json["results"]) == (200, {})
    assert len(response.json["warnings"]) == warnings, "one says that no sender is named"
    follows_up(isolation, trigger, response)


def follows_up(isolation: IsolationCheck, trigger: Trigger, response: Response) -> None:
    """The answer came soon, no secret shows, and the next request works."""
    assert response.elapsed < 4
    isolation.check_no_secret_shown(trigger, response)
    isolation.check_next_request(trigger)


class _Log:
    def __init__(self) -> None:
        self.lines: list[object] = []

    def _write(self, *line: object) -> None:
        self.lines += line

    info = warn = error = _write


def shown(odd: object) -> str:
    """A test's name is the same in every run: without where the object lies."""
    return re.sub(r" at 0x\w+", "", ascii(odd))


ODD: list[Any] = [
    None,
    {},
    [],
    "text",
    5,
    1.5,
    True,
    b"bytes",
    {1: 2},
    {"a": None},
    {"a": ["b"]},
    {None: "x"},
    object(),
]
ODD += [
    {"\ud800": "a"},
    {"a": "\ud800"},
    {"response_timeout": 1},
    {"view": None},
    {"idempotency-key": 5},
    set(),
    iter([]),
]


@pytest.mark.parametrize("place", ["query", "headers", "args"])
@pytest.mark.parametrize("odd", ODD, ids=shown)
def test_unexpected_types_from_the_engine_get_an_error_or_the_default(place: str, odd: Any) -> None:
    given: dict[str, Any] = {"query": {}, "headers": {}, "args": None, place: odd}
    log = _Log()
    response: Any = influxdb3_notifier.process_request(
        1, log, given["query"], given["headers"], HI.encode(), given["args"]
    )
    body, status = response[:2]
    assert status in (200, 400, 503)
    assert isinstance(body["results"], dict)
    assert all(isinstance(line, str) for line in log.lines)
    if status != 200:
        assert body["error"]["hint"]


@pytest.mark.parametrize("odd", [*ODD, bytearray(HI.encode()), memoryview(HI.encode())], ids=shown)
def test_a_body_of_an_odd_type_gets_an_error_that_names_it(odd: Any) -> None:
    response: Any = influxdb3_notifier.process_request(1, _Log(), {}, {}, odd, {})
    body, status = response[:2]
    if isinstance(odd, bytearray | memoryview):
        assert status == 200
        return
    assert (status, body["results"]) == (400, {})
    assert body["message"].startswith(("No request body provided.", "Invalid JSON in request body."))


def test_a_hundred_thousand_arguments_are_read_in_time() -> None:
    started = time.monotonic()
    many = {f"argument_{n}": "x" for n in range(100_000)}
    response: Any = influxdb3_notifier.process_request(1, _Log(), many, many, HI.encode(), {})
    assert response[1] == 200
    assert time.monotonic() - started < 5
