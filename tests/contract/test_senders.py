"""The fields of each sender's configuration, and addresses."""

import base64
import json
import re
from typing import Any

import pytest

from tests.contract.case import Case, ExpectedDelivery, delivered, delivers, fails, not_attempted, previewed, run_case
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, TWILIO, to_discord, to_http, to_slack, to_twilio
from tests.harness import Standin, Triggers

JSON = "application/json"
FORM = b"To=%2B15558675310&From=%2B15017122661&Body=hi"
WHATSAPP_FORM = b"To=whatsapp%3A%2B15558675310&From=whatsapp%3A%2B15017122661&Body=hi"


def hi(**senders: object) -> dict[str, Any]:
    """A request that says hi."""
    return {"notification_text": "hi", "senders_config": senders}


def invalid(sender: str, detail: str, path: str | None = None) -> ExpectedDelivery:
    """A case with an invalid configuration. ``path`` is relative to the sender's."""
    return not_attempted(sender, "invalid_config", detail, f"senders_config.{sender}{path or ''}")


EVERY_ONE = [
    delivers("slack", hi(slack=SLACK), to_slack("hi")),
    delivers("discord", hi(discord=DISCORD), to_discord("hi")),
    delivers("http", hi(http=HTTP), to_http("hi")),
    delivers("sms", hi(sms=TWILIO), to_twilio(FORM)),
    delivers("whatsapp", hi(whatsapp=TWILIO), to_twilio(WHATSAPP_FORM, "whatsapp")),
    delivers(
        "all five, answered in the order of the request",
        hi(whatsapp=TWILIO, http=HTTP, sms=TWILIO, discord=DISCORD, slack=SLACK),
        to_twilio(WHATSAPP_FORM, "whatsapp"),
        to_http("hi"),
        to_twilio(FORM),
        to_discord("hi"),
        to_slack("hi"),
    ),
    delivers(
        "mrkdwn and mentions to Slack as they are",
        {"notification_text": "*a* <!channel> & <b>", "senders_config": {"slack": SLACK}},
        to_slack("*a* <!channel> & <b>"),
    ),
    delivers(
        "without mentions Slack's text is escaped",
        {"notification_text": "<!channel> & <@U1>", "senders_config": {"slack": SLACK}},
        to_slack("&lt;!channel&gt; &amp; &lt;@U1&gt;"),
        args={"allow_mentions": "false"},
    ),
    delivers(
        "mentions to Discord as they are",
        {"notification_text": "@everyone **a**", "senders_config": {"discord": DISCORD}},
        to_discord("@everyone **a**"),
    ),
    delivers(
        "without mentions Discord is told to parse none",
        {"notification_text": "@everyone", "senders_config": {"discord": DISCORD}},
        to_discord(b'{"content":"@everyone","allowed_mentions":{"parse":[]}}'),
        args={"allow_mentions": "no"},
    ),
    delivers(
        "a form is encoded as browsers do",
        {"notification_text": "a b+c&d=ü*~😀\n", "senders_config": {"sms": TWILIO}},
        to_twilio(b"To=%2B15558675310&From=%2B15017122661&Body=a+b%2Bc%26d%3D%C3%BC*%7E%F0%9F%98%80%0A"),
    ),
]

TWO = {"slack": [SLACK, {"slack_webhook_url": "http://standin.test/services/T1/B1/other"}]}
NOT_AN_OBJECT = "must be an object or a list of objects, found "

ODD_VALUES: list[tuple[object, str]] = [
    (None, "null"),
    ("http://standin.test/services/T0/B0/x", "a string"),
    ("", "a string"),
    (5, "a number"),
    (True, "a boolean"),
    ([], "an empty list or a list of lists"),
]

VALUES = [
    *(
        fails(f"a sender that is {found}", hi(slack=value), invalid("slack", NOT_AN_OBJECT + found))
        for value, found in ODD_VALUES
    ),
    fails(
        "a list of lists",
        hi(slack=[[SLACK]]),
        invalid("slack", NOT_AN_OBJECT + "an empty list or a list of lists", "[0]"),
    ),
    Case(
        "a list of two",
        hi(**TWO),
        {"slack": True},
        deliveries=[delivered("slack"), delivered("slack")],
        sent=[to_slack("hi"), to_slack("hi", "/services/T1/B1/other")],
    ),
    Case(
        "a list of one good, one string and one null",
        hi(discord=[DISCORD, "x", None]),
        {"discord": False},
        status="partial",
        deliveries=[
            delivered("discord"),
            invalid("discord", NOT_AN_OBJECT + "a string", "[1]"),
            invalid("discord", NOT_AN_OBJECT + "null", "[2]"),
        ],
        sent=[to_discord("hi")],
    ),
    Case(
        "one bad sender does not hold up the others",
        hi(slack={}, http=HTTP),
        {"slack": False, "http": True},
        status="partial",
        deliveries=[
            invalid(
                "slack",
                "slack_webhook_url is required: for example https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
                ".slack_webhook_url",
            ),
            delivered("http"),
        ],
        sent=[to_http("hi")],
    ),
]


def unknown(sender: str, meant: str | None) -> ExpectedDelivery:
    """A sender that there is not."""
    detail = f"There is no such sender; did you mean {meant}?" if meant else "There is no sender of this name."
    return not_attempted(sender, "unknown_sender", detail, f"senders_config.{sender}")


UNKNOWN = [
    *(
        fails(f"the unknown sender {sender}", hi(**{sender: SLACK}), unknown(sender, meant))
        for sender, meant in [
            ("slak", "slack"),
            ("Slack", "slack"),
            ("discrod", "discord"),
            ("whatsap", "whatsapp"),
            ("SMS", "sms"),
            ("carrier_pigeon", None),
            ("carrier_pigeon", None),
        ]
    ),
    Case(
        "an unknown sender beside a known one",
        hi(carrier_pigeon=5, slack=SLACK),
        {"carrier_pigeon": "Invalid sender", "slack": True},
        status="partial",
        deliveries=[unknown("carrier_pigeon", None), delivered("slack")],
        sent=[to_slack("hi")],
    ),
    fails("the empty name", hi(**{"": {}}), not_attempted("", "unknown_sender", None, "senders_config.")),
]


def without(configuration: dict[str, str], *names: str) -> dict[str, str]:
    """A configuration that lacks fields."""
    return {name: value for name, value in configuration.items() if name not in names}


EXAMPLES = {
    "slack_webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
    "discord_webhook_url": "https://discord.com/api/webhooks/123456789012345678/abcdefgh",
    "http_webhook_url": "https://example.com/hooks/alerts",
    "twilio_sid": "AC00000000000000000000000000000000",
    "twilio_token": "your_auth_token",
    "twilio_from_number": "+15005550001",
    "twilio_to_number": "+15005550006",
}
REQUIRED = [
    ("slack", SLACK, "slack_webhook_url", ""),
    ("discord", DISCORD, "discord_webhook_url", ""),
    ("http", HTTP, "http_webhook_url", ""),
    *(
        (sender, TWILIO, name, environment)
        for sender in ("sms", "whatsapp")
        for name, environment in [
            ("twilio_sid", ", and the server's environment variable TWILIO_SID is not set either"),
            ("twilio_token", ", and the server's environment variable TWILIO_TOKEN is not set either"),
            ("twilio_from_number", ""),
            ("twilio_to_number", ""),
        ]
    ),
]
BLANKS = [("absent", ...), ("null", None), ("empty", ""), ("blank", " \t")]

FIELDS = [
    *(
        fails(
            f"{sender} with {name} {word}",
            hi(**{sender: without(configuration, name) | ({} if value is ... else {name: value})}),
            invalid(sender, f"{name} is required{environment}: for example {EXAMPLES[name]}", f".{name}"),
        )
        for sender, configuration, name, environment in REQUIRED
        for word, value in (BLANKS if sender != "whatsapp" else BLANKS[:1])
    ),
    *(
        fails(
            f"{name} that is {found}",
            hi(**{sender: configuration | {name: value}}),
            invalid(sender, f"{name} must be a string, found {found}", f".{name}"),
        )
        for sender, configuration, name in [("slack", SLACK, "slack_webhook_url"), ("sms", TWILIO, "twilio_to_number")]
        for value, found in [
            (0.5, "a number"),
            (True, "a boolean"),
            (["x"], "an array"),
            ({"env": "HOME"}, "an object"),
        ]
    ),
    fails(
        "a required field by a name that is nearly right",
        hi(slack={"slack_webhok_url": SLACK["slack_webhook_url"]}),
        invalid(
            "slack",
            f"slack_webhook_url is required: for example {EXAMPLES['slack_webhook_url']}; "
            "is `slack_webhok_url` meant to be it?",
            ".slack_webhook_url",
        ),
        warnings=["senders_config.slack.slack_webhok_url: unknown field, ignored; did you mean slack_webhook_url?"],
    ),
    delivers(
        "an unknown field with a suggestion",
        hi(slack=SLACK | {"slack_header": "x"}),
        to_slack("hi"),
        warnings=["senders_config.slack.slack_header: unknown field, ignored; did you mean slack_headers?"],
    ),
    delivers(
        "an unknown field without one",
        hi(http=HTTP | {"zzz": {"deep": [1]}}),
        to_http("hi"),
        warnings=["senders_config.http.zzz: unknown field, ignored; http knows http_webhook_url, http_headers"],
    ),
    delivers("optional fields that are null or empty", hi(slack=SLACK | {"slack_headers": None}), to_slack("hi")),
    delivers("optional fields that are empty", hi(slack=SLACK | {"slack_headers": ""}), to_slack("hi")),
]


def at(url: str) -> dict[str, str]:
    """A configuration of http with this address."""
    return {"http_webhook_url": url}


def basic(pair: str) -> str:
    """The header that userinfo becomes, as a regular expression."""
    return re.escape("Basic " + base64.b64encode(pair.encode()).decode())


CONTROL = "holds a control character; remove it (a line break, perhaps?)"
SCHEME = "has a scheme other than http and https"
NO_SCHEME = "has no scheme; it must begin with https:// or http://"
ADDRESSES = [
    *(
        fails(f"{name}", hi(http=at(url)), invalid("http", f"http_webhook_url {what}", ".http_webhook_url"))
        for name, url, what in [
            ("file", "file:///etc/passwd", SCHEME),
            ("ftp", "ftp://standin.test/x", SCHEME),
            ("javascript", "javascript:alert(1)", NO_SCHEME),
            ("data", "data:text/plain,hi", NO_SCHEME),
            ("no scheme", "standin.test/hook/x", NO_SCHEME),
            ("a host and a port", "localhost:8080/x", NO_SCHEME),
            ("two slashes", "//standin.test/x", NO_SCHEME),
            ("no host", "https://", "has no host"),
            ("a path for a host", "http:///hook/x", "has no host"),
            ("a query for a host", "http://?x=1", "has no host"),
            ("only userinfo", "http://user@/x", "has no host"),
            ("only a port", "http://:80/x", "has no host"),
            ("a port beyond 65535", "http://127.0.0.1:65536/x", "has a port that is no number up to 65535"),
            ("a port that is a word", "http://127.0.0.1:http/x", "has a port that is no number up to 65535"),
            ("a space in the host", "http://a b/x", "has a host that is not valid"),
            ("a host that UTS 46 rejects", "http://xn--\u00ff/x", "has a host that is not valid"),
            ("a bad IPv6 address", "http://[::g]/x", "has a host that is not valid"),
            ("an IPv4 address out of range", "http://256.256.256.256/x", "has a host that is not valid"),
            ("a line break", "http://standin.test/hook/x\r\nX: y", CONTROL),
            ("a line break at the end", "http://standin.test/hook/x\n", CONTROL),
            ("a NUL", "http://standin.test/hook/\0x", CONTROL),
            ("a tab", "http://standin.test/ho\tok", CONTROL),
            ("a C1 control", "http://standin.test/hook/\u0085x", CONTROL),
            ("8,193 bytes", "http://h.test/" + "x" * 8_179, "is longer than 8 KiB: found 8193 bytes"),
            ("100 KB", "http://h.test/" + "x" * 102_386, "is longer than 8 KiB: found 102400 bytes"),
        ]
    ),
    *(
        delivers(f"{name}", hi(http=at(url)), sent)
        for name, url, sent in [
            ("a scheme in capitals", "HTTP://standin.test/hook/x", to_http("hi", "/hook/x")),
            ("blanks around", "  http://standin.test/hook/x ", to_http("hi", "/hook/x")),
            ("a fragment is not sent", "http://standin.test/hook/x?a=b#frag", to_http("hi", "/hook/x", "a=b")),
            ("a query stays", "http://standin.test/hook/x?a=b&c=%20d&a", to_http("hi", "/hook/x", "a=b&c=%20d&a")),
            ("a path beyond ASCII", "http://standin.test/hook/ü x", to_http("hi", "/hook/%C3%BC%20x")),
            ("dots in the path", "http://standin.test/a/../hook/./x", to_http("hi", "/hook/x")),
            (
                "userinfo",
                "http://me:pass@standin.test/hook/x",
                to_http("hi", "/hook/x", authorization=basic("me:pass")),
            ),
            (
                "userinfo that is percent-encoded",
                "http://m%40e:p%3A%C3%BC%2F@standin.test/hook/x",
                to_http("hi", "/hook/x", authorization=basic("m@e:p:ü/")),
            ),
            (
                "a user without a password",
                "http://me@standin.test/hook/x",
                to_http("hi", "/hook/x", authorization=basic("me:")),
            ),
            (
                "a password without a user",
                "http://:pw@standin.test/hook/x",
                to_http("hi", "/hook/x", authorization=basic(":pw")),
            ),
            ("empty userinfo", "http://@standin.test/hook/x", to_http("hi", "/hook/x")),
        ]
    ),
    *(
        Case(
            f"{name}",
            hi(slack={"slack_webhook_url": url}),
            {"slack": "dry_run"},
            deliveries=[previewed("slack", JSON, '{"text":"hi"}', destination=f"slack {label}#[0-9a-f]{{4}}")],
            args={"dry_run": "true"},
        )
        for name, url, label in [
            ("an international host name", "https://Bücher.Example/x", r"xn--bcher-kva\.example"),
            ("a host in another script", "https://例え.テスト/x", r"xn--r8jz45g\.xn--zckzah"),
            ("a host with fullwidth dots", "https://hooks。slack．com/x", r"hooks\.slack\.com"),
            ("a port that is the scheme's own", "https://hooks.slack.com:443/x", r"hooks\.slack\.com"),
            ("a port of its own", "https://hooks.slack.com:8443/x", r"hooks\.slack\.com:8443"),
            ("an IPv6 address", "http://[::1]:8080/x", r"\[::1\]:8080"),
            ("a URL of 8,192 bytes", "http://h.test/" + "x" * 8_178, r"h\.test"),
            ("an IPv4 address in hexadecimal", "http://0x7f.1/x", r"127\.0\.0\.1"),
        ]
    ),
    delivers(
        "Discord's wait replaces the URL's own and the rest of the query stays",
        hi(discord={"discord_webhook_url": DISCORD["discord_webhook_url"] + "?wait=false&thread_id=5"}),
        to_discord("hi", query="thread_id=5&wait=true"),
    ),
    delivers(
        "no version is put into a path at a host that is not Discord's",
        hi(discord={"discord_webhook_url": "http://standin.test/api/v8/webhooks/123456789012345678/discord-secret"}),
        to_discord("hi", "/api/v8/webhooks/123456789012345678/discord-secret"),
    ),
    fails(
        "a host that is not allowed",
        hi(http=HTTP),
        not_attempted("http", "address_denied", "the host is not one of allowed_hosts", "senders_config.http"),
        args={"allowed_hosts": "hooks.slack.com *.example.com"},
    ),
    delivers("a host that is allowed", hi(http=HTTP), to_http("hi"), args={"allowed_hosts": "localhost, 127.0.0.1"}),
    delivers(
        "Twilio is no matter of allowed hosts", hi(sms=TWILIO), to_twilio(FORM), args={"allowed_hosts": "a.example"}
    ),
]

TEXTS = [
    fails(
        f"{name} to {sender}",
        f'{{"notification_text": {text}, "senders_config": {{"{sender}": {json.dumps(configuration)}}}}}',
        not_attempted(sender, "invalid_text", detail, "notification_text"),
    )
    for sender, configuration in [("slack", SLACK), ("discord", DISCORD), ("sms", TWILIO), ("whatsapp", TWILIO)]
    for name, text, detail in [
        ("null", "null", "notification_text must be a string, found null"),
        ("an array", '["a"]', "notification_text must be a string, found an array"),
        ("an object", '{"a": 1}', "notification_text must be a string, found an object"),
        ("an empty text", '""', "notification_text is blank"),
        ("a blank text", r'" \n\t\u00a0"', "notification_text is blank"),
    ]
]


@pytest.mark.parametrize("case", EVERY_ONE + VALUES + UNKNOWN + FIELDS + ADDRESSES + TEXTS, ids=str)
def test_a_sender_is_read_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)
