"""Request bodies: encodings, JSON, sizes, the two required fields."""

import json
from typing import Any

import pytest

from tests.contract.case import Case, Encoded, Sized, body_bytes, delivers, rejected, run_case
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, to_discord, to_http, to_slack
from tests.harness import Standin, Triggers

SURROGATES = "the body holds lone surrogates; each became U+FFFD"
NO_JSON = "Invalid JSON in request body."
MISSING = "Missing required fields: 'senders_config' or 'notification_text'."
VALUE = "expected value"
KEY = "key must be a string"
COMMA = "expected `,` or `}`"
TRAILING = "trailing characters"


def say(text: object, **senders: object) -> dict[str, Any]:
    """A request; to Slack where no sender is given."""
    return {"notification_text": text, "senders_config": senders or {"slack": SLACK}}


def written(text: str, sender: str = "slack") -> str:
    """A request with this JSON text of ``notification_text``."""
    configuration = {"slack": SLACK, "http": HTTP, "discord": DISCORD}[sender]
    return f'{{"notification_text": {text}, "senders_config": {{"{sender}": {json.dumps(configuration)}}}}}'


def no_number(path: str) -> str:
    return f"{path}: JSON has no such number (NaN, infinite, or beyond a double); taken as text"


ENCODINGS = [
    delivers("plain UTF-8", written('"Grüße 😀"'), to_slack("Grüße 😀")),
    delivers("UTF-8 with a mark", Encoded(written('"Grüße 😀"'), "utf-8", b"\xef\xbb\xbf"), to_slack("Grüße 😀")),
    *(
        delivers(f"{name} {kind}", Encoded(written('"Grüße 😀"'), codec, mark), to_slack("Grüße 😀"))
        for name, codec, with_mark in [
            ("UTF-16 little endian", "utf-16-le", b"\xff\xfe"),
            ("UTF-16 big endian", "utf-16-be", b"\xfe\xff"),
            ("UTF-32 little endian", "utf-32-le", b"\xff\xfe\0\0"),
            ("UTF-32 big endian", "utf-32-be", b"\0\0\xfe\xff"),
        ]
        for kind, mark in [("with a mark", with_mark), ("without a mark", b"")]
    ),
    delivers("escapes", written(r'"Gr\u00fc\u00dfe \ud83d\ude00 \/ \t"'), to_slack("Grüße 😀 / \\t")),
    delivers("a NUL in a string", written(r'"a\u0000b"'), to_slack(r"a\u0000b")),
    delivers("white space around", "\r\n\t " + written('"hi"') + "\n\n", to_slack("hi")),
    *(
        delivers(f"a lone surrogate {name}", body, to_slack("a\ufffdb"), warnings=[SURROGATES])
        for name, body in [
            ("escaped, high", written(r'"a\ud800b"')),
            ("escaped, low", written(r'"a\uDFFFb"')),
            ("in UTF-8", Encoded(written('"a\ud800b"'), "utf-8")),
            ("in UTF-16", Encoded(written('"a\udc00b"'), "utf-16-le")),
            ("in UTF-32", Encoded(written('"a\ud800b"'), "utf-32-be")),
        ]
    ),
    delivers("an escaped backslash before ud800", written(r'"\\ud800"'), to_slack(r"\\ud800")),
    delivers(
        "two lone surrogates in the wrong order",
        written(r'"\udc00\ud800"'),
        to_slack("\ufffd\ufffd"),
        warnings=[SURROGATES],
    ),
    rejected(
        "Latin-1",
        Encoded(written('"Grüße"'), "latin-1"),
        "invalid_encoding",
        f"{NO_JSON} It is no UTF-8: the byte at offset 25 cannot stand there.",
    ),
    rejected(
        "half a UTF-16 character",
        b"\xff\xfe" + '{"a": 1'.encode("utf-16-le") + b"}",
        "invalid_encoding",
        f"{NO_JSON} It is no UTF-16: the byte at offset 14 cannot stand there.",
    ),
    rejected(
        "UTF-32 beyond Unicode",
        b"\xff\xfe\0\0" + "{".encode("utf-32-le") + b"\xff\xff\xff\xff",
        "invalid_encoding",
        f"{NO_JSON} It is no UTF-32: the byte at offset 4 cannot stand there.",
    ),
    rejected(
        "bytes that are no text",
        bytes(range(0x80, 0x90)),
        "invalid_encoding",
        f"{NO_JSON} It is no UTF-8: the byte at offset 0 cannot stand there.",
    ),
]

BROKEN = [
    ("blank", " \n ", 2, 1, "EOF while parsing a value"),
    ("an open object", '{"notification_text": "hi"', 1, 26, "EOF while parsing an object"),
    ("an open string", '{"notification_text": "hi', 1, 25, "EOF while parsing a string"),
    ("only a bracket", "{", 1, 1, "EOF while parsing an object"),
    ("single quotes", "{'notification_text': 'hi'}", 1, 2, KEY),
    ("a comma too many", '{\n "a": 1,\n}', 3, 1, KEY),
    ("a comma too many in a list", "[1,]", 1, 4, VALUE),
    ("a missing comma", '{"a": 1 "b": 2}', 1, 9, COMMA),
    ("two commas", '{"a": 1,, "b": 2}', 1, 9, KEY),
    ("a key without quotes", "{a: 1}", 1, 2, KEY),
    ("a word that begins as a number's", '{"notification_text": NaNs}', 1, 23, VALUE),
    ("a digit before NaN", '{"notification_text": 1NaN}', 1, 24, COMMA),
    ("a digit behind Infinity", '{"notification_text": Infinity1}', 1, 23, VALUE),
    ("an error behind NaN", '{"notification_text": NaN, "a": True}', 1, 33, VALUE),
    ("two NaN", '{"notification_text": [NaN NaN]}', 1, 28, "expected `,` or `]`"),
    ("a leading zero", '{"a": 01}', 1, 8, "invalid number"),
    ("a plus sign", '{"a": +1}', 1, 7, VALUE),
    ("hexadecimal", '{"a": 0x1}', 1, 8, COMMA),
    ("True", '{"a": True}', 1, 7, VALUE),
    ("a comment", "{} // x", 1, 4, TRAILING),
    ("two objects", "{}{}", 1, 3, TRAILING),
    ("text after the end", '{"a": 1} x', 1, 10, TRAILING),
    (
        "a line break in a string",
        '{"a": "b\nc"}',
        1,
        8,
        "control character (\\u0000-\\u001F) found while parsing a string",
    ),
    ("an escape that is none", r'{"a": "\x41"}', 1, 9, "invalid escape"),
    ("half an escape", r'{"a": "\u12"}', 1, 13, "invalid escape"),
    ("a column counts characters, not bytes", '{"ä😀": True}', 1, 8, VALUE),
    ("HTML", "<!DOCTYPE html>", 1, 1, VALUE),
    ("a form", "notification_text=hi", 1, 2, "expected ident"),
    ("100,000 brackets", "[" * 100_000, 1, 100_000, "EOF while parsing a list"),
]

NO_NUMBERS = [
    *(
        delivers(
            f"the text {number[:20]}",
            written(number, sender),
            sent(number) if sender == "slack" else to_http(b'{"message":"' + number.encode() + b'"}'),
            warnings=[no_number("notification_text")],
        )
        for number in ["NaN", "-NaN", "nan", "Infinity", "-Infinity", "-inf", "1e400", "-1E+400", "1" + "0" * 400]
        for sender, sent in [("slack", to_slack), ("http", to_http)]
    ),
    delivers(
        "a finite number is no other than it was",
        written("[1e308, 1e-400, -0.0, 0, 0.001]", "http"),
        to_http(b'{"message":[1e308,1e-400,-0.0,0,0.001]}'),
    ),
    delivers(
        "nested in the text",
        written('{"a": [NaN, {"b": 1e400}], "NaN": "NaN"}', "http"),
        to_http(b'{"message":{"a":["NaN",{"b":"1e400"}],"NaN":"NaN"}}'),
        warnings=[no_number("notification_text.a[0]"), no_number("notification_text.a[1].b")],
    ),
    delivers(
        "fields, title, level, key and what is not known",
        written('"hi"', "http")[:-1] + ', "fields": {"cpu": NaN, "load": 1e400, "n": 1}, "title": Infinity, '
        '"level": -NaN, "dedup_key": NaN, "data": {"x": [NaN]}, "status": NaN, "other": NaN}',
        to_http(
            b'{"message":"hi","title":"Infinity","level":"error","fields":{"cpu":"NaN","load":"1e400","n":1},'
            b'"dedup_key":"NaN"}'
        ),
        warnings=[
            *map(
                no_number, ["fields.cpu", "fields.load", "title", "level", "dedup_key", "data.x[0]", "status", "other"]
            ),
            "other: unknown field, ignored",
            "level: must be one of ok, info, warning, error, critical, found '-NaN'; error is used",
            "status: must be one of firing, acknowledged, resolved, found 'NaN'; left out",
        ],
    ),
    delivers(
        "a destination's parameter",
        '{"notification_text": "hi", "senders_config": {"slack": '
        + json.dumps(SLACK)[:-1]
        + ', "slack_headers": NaN}}}',
        to_slack("hi"),
        warnings=[
            no_number("senders_config.slack.slack_headers"),
            "senders_config.slack.slack_headers: is base64, but not of UTF-8 text; sent without these headers. "
            "Give base64 of a JSON object of strings",
        ],
    ),
    rejected(
        "in place of an object",
        '{"notification_text": "hi", "senders_config": NaN}',
        "invalid_field",
        "The field senders_config must be an object of senders, found a string.",
        "senders_config",
    ),
    rejected(
        "in place of a boolean",
        written('"hi"')[:-1] + ', "dry_run": NaN}',
        "invalid_field",
        "The field dry_run must be true or false, found a string.",
        "dry_run",
    ),
]

MALFORMED = [
    rejected(name, body, "invalid_json", f"{NO_JSON} At line {line}, column {column}: {what}.")
    for name, body, line, column, what in BROKEN
] + [
    rejected(f"{kind} instead of an object", body, "invalid_json", f"{NO_JSON} It must be an object, found {kind}.")
    for kind, body in [
        ("null", "null"),
        ("a boolean", "true"),
        ("a number", "5"),
        ("a string", '"hi"'),
        ("an array", "[{}]"),
    ]
]


def nested(depth: int) -> str:
    """A request whose ``notification_text`` has this depth. The field itself is at depth 1."""
    return written("[" * (depth - 1) + "]" * (depth - 1), "http")


DUPLICATE = "the key stands twice; the last value counts"

STRUCTURE = [
    delivers("64 levels", nested(64), to_http(b'{"message":' + b"[" * 63 + b"]" * 63 + b"}")),
    rejected(
        "65 levels",
        nested(65),
        "invalid_json",
        f"{NO_JSON} At line 1, column 86: objects and arrays are nested more than 64 deep.",
    ),
    rejected(
        "100,000 levels",
        "[" * 100_000 + "]" * 100_000,
        "invalid_json",
        f"{NO_JSON} At line 1, column 65: objects and arrays are nested more than 64 deep.",
    ),
    delivers(
        "a text given twice",
        written('"first", "notification_text": "last"'),
        to_slack("last"),
        warnings=[f"notification_text: {DUPLICATE}"],
    ),
    delivers(
        "a field given twice, once with an escape in its name",
        '{"notification_text": "hi", "senders_config": {"slack": {"slack\\u005fwebhook_url": "none", '
        + json.dumps(SLACK)[1:]
        + "}}",
        to_slack("hi"),
        warnings=[f"senders_config.slack.slack_webhook_url: {DUPLICATE}"],
    ),
    delivers(
        "a sender given twice",
        '{"notification_text": "hi", "senders_config": {"slack": {}, "slack": ' + json.dumps(SLACK) + "}}",
        to_slack("hi"),
        warnings=[f"senders_config.slack: {DUPLICATE}"],
    ),
]

NO_BODY = "No request body provided."
REQUIRED = [
    rejected("no body", b"", "no_body", NO_BODY),
    rejected("an empty object", {}, "missing_field", MISSING, "notification_text"),
    rejected("no text", {"senders_config": {"slack": SLACK}}, "missing_field", MISSING, "notification_text"),
    rejected("no senders", {"notification_text": "hi"}, "missing_field", MISSING, "senders_config"),
    rejected(
        "senders null",
        {"notification_text": "hi", "senders_config": None},
        "missing_field",
        MISSING,
        "senders_config",
    ),
    *(
        rejected(
            f"senders as {found}",
            {"notification_text": "hi", "senders_config": value},
            "invalid_field",
            f"The field senders_config must be an object of senders, found {found}.",
            "senders_config",
        )
        for value, found in [
            ("slack", "a string"),
            (["slack"], "an array"),
            (5, "a number"),
            (True, "a boolean"),
        ]
    ),
    Case(
        "no sender in senders_config",
        {"notification_text": "hi", "senders_config": {}},
        warnings=["senders_config names no sender: nothing was sent"],
    ),
]

SENT_NUMBERS = ["0", "-0", "1.50", "1e2", "1E+2", "12345678901234567890123", "0.1000000000000000055511151231257827"]

TEXTS = [
    *(delivers(f"the number {number} as it is written", written(number), to_slack(number)) for number in SENT_NUMBERS),
    delivers("a boolean as text", written("true"), to_slack("true")),
    delivers("a number to Discord", written("1.50", "discord"), to_discord("1.50")),
    *(
        delivers(f"{name} to http unchanged", written(text, "http"), to_http(f'{{"message":{sent}}}'.encode()))
        for name, text, sent in [
            ("null", "null", "null"),
            ("a boolean", "false", "false"),
            ("a number", "1.50", "1.50"),
            ("a number beyond 64 bits", "12345678901234567890123", "12345678901234567890123"),
            ("an empty string", '""', '""'),
            ("a blank string", '"  "', '"  "'),
            ("an array", '[1, "a", null]', '[1,"a",null]'),
            ("an object in its order", '{"z": 1.0, "a": {"b": [ ]}}', '{"z":1.0,"a":{"b":[]}}'),
            ("text beyond ASCII", r'"Gr\u00fc\u00dfe"', '"Grüße"'),
            ("quotes, backslashes and line ends", r'"\"\\\n\r\u0001\u007f"', '"\\"\\\\\\n\\r\\u0001\x7f"'),
        ]
    ),
]


@pytest.mark.parametrize("case", ENCODINGS + NO_NUMBERS + MALFORMED + STRUCTURE + REQUIRED + TEXTS, ids=str)
def test_a_body_is_read_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


@pytest.mark.parametrize(("size", "taken"), [(1_048_575, True), (1_048_576, True), (1_048_577, False)])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_body_has_at_most_1048576_bytes_as_received(
    size: int, taken: bool, encoding: str, triggers: Triggers, standin: Standin
) -> None:
    if encoding == "utf-16-le":
        size = size // 2 + size % 2
    trigger = triggers.create()
    text = body_bytes(Sized(say("", http=HTTP), size), f"127.0.0.1:{standin.port}").decode()
    response = trigger.notify(text.encode(encoding))
    if taken:
        assert response.json["results"] == {"http": True}
        assert json.loads(standin.requests()[0]["body"]) == {"message": json.loads(text)["notification_text"]}
    else:
        size = len(text.encode(encoding))
        message = f"The request body has {size} bytes; at most 1048576 are taken."
        assert (response.status, response.json["error"]["code"]) == (400, "too_large")
        assert response.json["message"] == message
        assert standin.requests() == []
