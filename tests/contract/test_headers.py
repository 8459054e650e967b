"""The ``*_headers`` fields: encodings, accepted and dropped headers, and warnings."""

import base64
import json
import re
from typing import Any

import pytest

from tests.contract.case import Case, delivers, run_case
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, to_discord, to_http, to_slack
from tests.harness import Standin, Triggers

CONFIGURATIONS = {"slack": SLACK, "discord": DISCORD, "http": HTTP}
WIRE = {"slack": to_slack, "discord": to_discord, "http": to_http}
# Bytes whose base64 has characters of only one of the two alphabets.
MARKED = {"X-Team": "ops?>~"}


def encode(value: object) -> str:
    """Base64 of JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def hi(sender: str, field: object) -> dict[str, Any]:
    """A request with this headers field."""
    configuration = CONFIGURATIONS[sender] | {f"{sender}_headers": field}
    return {"notification_text": "hi", "senders_config": {sender: configuration}}


def taken(name: str, headers: object, sender: str = "http", **arrived: str) -> Case:
    """Headers that arrive."""
    encoded = headers if isinstance(headers, str) else encode(headers)
    return delivers(name, hi(sender, encoded), WIRE[sender]("hi", **arrived))


def dropped(name: str, header: str, value: object, why: str, sender: str = "http") -> Case:
    """One header that is left out, beside one that is not."""
    return delivers(
        f"{name} to {sender}",
        hi(sender, encode({header: value, "X-Good": "yes"})),
        WIRE[sender]("hi", x_good="yes"),
        warnings=[f"senders_config.{sender}.{sender}_headers: header `{header}` {why}; dropped"],
    )


def useless(name: str, field: object, why: str, sender: str = "slack") -> Case:
    """A field that is no headers at all."""
    advice = "" if why.startswith(f"{sender}_headers must be") else ". Give base64 of a JSON object of strings"
    return delivers(
        name,
        hi(sender, field),
        WIRE[sender]("hi"),
        warnings=[f"senders_config.{sender}.{sender}_headers: {why}; sent without these headers{advice}"],
    )


STANDARD = base64.b64encode(json.dumps(MARKED).encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(json.dumps(MARKED).encode()).decode()
TEAM = {"x_team": r"ops\?>~"}

ENCODINGS = [
    *(taken(f"headers to {sender}", {"X-Team": "ops"}, sender, x_team="ops") for sender in CONFIGURATIONS),
    taken("the standard alphabet", STANDARD, **TEAM),
    taken("the URL-safe alphabet", URL_SAFE, **TEAM),
    taken("standard without padding", STANDARD.rstrip("="), **TEAM),
    taken("URL-safe without padding", URL_SAFE.rstrip("="), **TEAM),
    taken("white space inside", f" {STANDARD[:7]}\r\n{STANDARD[7:20]} \t{STANDARD[20:]}\n", **TEAM),
    taken("a byte order mark inside", encode('\ufeff{"X-Team": "ops?>~"}'), **TEAM),
    taken("no header at all", {}),
    taken("a value beyond ASCII goes as UTF-8", {"X-Team": "Ü"}, x_team="Ü|Ã\x9c|.*"),
    taken("an empty value", {"X-Team": ""}, x_team=""),
    taken("a value that is a whole number", {"X-Team": 5}, x_team="5"),
    taken("blanks around a value", {"X-Team": "  ops "}, x_team="ops"),
    taken("a name given twice: the last wins", {"X-Team": "first", "x-TEAM": "last"}, x_team="last"),
    taken("an escaped slash", encode('{"X-Path":"a\\/b"}'), x_path="a/b"),
    useless("no base64", "%%%", "is not base64"),
    useless("both alphabets in one", "ab+/-_==", "is not base64"),
    useless("headers as plain JSON", '{"X-Team": "ops"}', "is not base64"),
    useless("base64 of bytes", base64.b64encode(b"\xff\xfe\xfd").decode(), "is base64, but not of UTF-8 text"),
    useless("base64 of words", encode("X-Team: ops"), "is base64, but not of JSON"),
    useless("base64 of broken JSON", encode('{"X-Team": "ops"'), "is base64, but not of JSON"),
    useless("base64 of an array", encode(["X-Team", "ops"]), "is base64 of JSON that is no object"),
    useless("base64 of a string", encode('"X-Team: ops"'), "is base64 of JSON that is no object"),
    useless("base64 of JSON too deep", encode("[" * 65 + "]" * 65), "is base64, but not of JSON"),
    useless("a number", 5, "is not base64"),
    useless("a fraction", 0.5, "slack_headers must be a string, found a number"),
    useless("an object", {"X-Team": "ops"}, "slack_headers must be a string, found an object"),
    useless("no base64 for discord", "%%%", "is not base64", "discord"),
    useless("no base64 for http", "%%%", "is not base64", "http"),
]

CONTROL = "has a value with a control character, such as CR, LF or NUL"
TOKEN = "has a name that is no token"
FRAMING = "belongs to the connection and is never the caller's"
NO_STRING = "has a value that is no string"

ODD_VALUES: list[tuple[str, object]] = [
    ("a fraction", 0.5),
    ("true", True),
    ("null", None),
    ("an array", ["a"]),
    ("an object", {}),
]

DROPPED = [
    *(
        dropped(name, "X-Bad", value, CONTROL)
        for name, value in [
            ("CR and LF in a value", "a\r\nX-Evil: b"),
            ("LF in a value", "a\nb"),
            ("CR in a value", "a\rb"),
            ("NUL in a value", "a\0b"),
            ("DEL in a value", "a\x7fb"),
        ]
    ),
    *(dropped(f"a value that is {kind}", "X-Bad", value, NO_STRING) for kind, value in ODD_VALUES),
    *(
        dropped(name, header, "x", TOKEN)
        for name, header in [
            ("a space in a name", "X Bad"),
            ("a colon in a name", "X-Bad:"),
            ("a name beyond ASCII", "X-Bäd"),
            ("an empty name", ""),
            ("a bracket in a name", "X(Bad)"),
        ]
    ),
    *(
        dropped(header, header, "1", FRAMING, sender)
        for header, sender in [
            ("Content-Length", "http"),
            ("content-length", "slack"),
            ("Transfer-Encoding", "http"),
            ("TRANSFER-ENCODING", "discord"),
            ("Connection", "http"),
            ("Keep-Alive", "http"),
            ("Upgrade", "http"),
            ("TE", "http"),
            ("Trailer", "http"),
            ("Expect", "http"),
            ("Proxy-Authorization", "http"),
            ("Proxy-Connection", "http"),
            ("proxy-anything", "slack"),
        ]
    ),
    dropped("Host", "Host", "evil.example", "may be set for the http sender only", "slack"),
    dropped("host", "host", "evil.example", "may be set for the http sender only", "discord"),
    delivers(
        "CR and LF in a name",
        hi("http", encode({"X-Bad\r\nX-Evil": "x"})),
        to_http("hi"),
        warnings=["senders_config.http.http_headers: header `X-Bad X-Evil` has a name that is no token; dropped"],
    ),
    *(
        dropped(f"Host as {value!r}", "Host", value, "has a value that is no host name")
        for value in ["", ":80", "a.example/x", "user@a.example", "a.example,b.example", "a b", "a.example:x", "[::1"]
    ),
    taken("Host to http", {"Host": "virtual.example"}, host=r"virtual\.example"),
]

OVERRIDES = [
    taken(f"{header} to {sender} replaces ours", {header: value}, sender, **{ours: re.escape(value)})
    for header, sender, value, ours in [
        ("User-Agent", "http", "mine/1", "user_agent"),
        ("user-agent", "slack", "mine/1", "user_agent"),
        ("USER-AGENT", "discord", "DiscordBot (mine, 1)", "user_agent"),
        ("accept", "http", "text/plain", "accept"),
        ("Accept-Encoding", "slack", "gzip", "accept_encoding"),
        ("Authorization", "http", "Bearer abc", "authorization"),
        ("aUTHORIZATION", "slack", "Bearer abc", "authorization"),
        ("content-type", "http", "application/vnd.acme+json", "content_type"),
        ("Content-TYPE", "slack", "application/json; charset=utf-8", "content_type"),
        ("Idempotency-Key", "http", "mine", "idempotency_key"),
        ("Cookie", "http", "a=b; c=d", "cookie"),
    ]
]


@pytest.mark.parametrize("case", ENCODINGS + DROPPED + OVERRIDES, ids=str)
def test_headers_are_read_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


def test_an_authorization_header_wins_over_userinfo(triggers: Triggers, standin: Standin) -> None:
    configuration = {
        "http_webhook_url": "http://me:pw@standin.test/hook/x",
        "http_headers": encode({"authorization": "Bearer mine"}),
    }
    body = {"notification_text": "hi", "senders_config": {"http": configuration}}
    run_case(delivers("", body, to_http("hi", "/hook/x", authorization="Bearer mine")), triggers, standin)
