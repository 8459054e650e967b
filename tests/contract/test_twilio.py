"""Twilio's fields: numbers, accounts, keys, environment variables."""

import base64
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.contract.case import Case, delivered, delivers, fails, not_attempted, run_case
from tests.contract.provider_requests import ACCOUNT, TWILIO, to_twilio
from tests.engine_host.host import EngineHost
from tests.harness import Standin, Triggers

OTHER = "AC" + "1" * 32
KEY = "SK" + "2" * 32
HX = "HX" + "3" * 32
ODD = (
    "is neither an E.164 number such as +15005550006 nor a short code, a prefixed address, a messaging service or an "
    "alphanumeric sender; Twilio will judge"
)


def hi(sender: str = "sms", **fields: Any) -> dict[str, Any]:
    """A request with these fields instead of the usual ones."""
    configuration = {name: value for name, value in (TWILIO | fields).items() if value is not ...}
    return {"notification_text": "hi", "senders_config": {sender: configuration}}


def basic(user: str, password: str) -> str:
    """The header that credentials become, as a regular expression."""
    return re.escape("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def form(to: str = "%2B15558675310", sender: str = "%2B15017122661", member: str = "From") -> bytes:
    """A form with these values, encoded."""
    return f"To={to}&{member}={sender}&Body=hi".encode()


def path(account: str) -> str:
    """Where an account's messages go."""
    return f"/2010-04-01/Accounts/{account}/Messages.json"


def judged(name: str, sender: str, fields: dict[str, Any], arrived: bytes, *odd: str) -> Case:
    """Numbers that are sent unchanged. ``odd``: the fields with a warning."""
    return Case(
        name,
        hi(sender, **fields),
        {sender: True},
        deliveries=[delivered(sender, destination=rf"{sender} \S+")],
        sent=[to_twilio(arrived, sender)],
        warnings=[f"senders_config.{sender}.{field}: {ODD}" for field in odd],
        rule={"path": "/2010-04-01/*", "reply": {"status": 201, "body": '{"sid": "SM1", "status": "queued"}'}},
    )


MG = "MG" + "3" * 32
TO, FROM = "twilio_to_number", "twilio_from_number"

NUMBERS = [
    judged("blanks around a number", "sms", {TO: " +15558675310 "}, form()),
    judged("a number with a zero behind the plus", "sms", {TO: "+05558675310"}, form("%2B05558675310"), TO),
    judged("a number without a plus", "sms", {TO: "15558675310"}, form("15558675310"), TO),
    judged("a number with dashes", "sms", {TO: "+1-555-867-5310"}, form("%2B1-555-867-5310"), TO),
    judged("a number of 16 digits", "sms", {TO: "+1234567890123456"}, form("%2B1234567890123456"), TO),
    judged("words for a number", "sms", {TO: "call me maybe"}, form("call+me+maybe"), TO),
    judged("a short code to send from", "sms", {FROM: "12345"}, form(sender="12345")),
    judged("a short code to send to", "sms", {TO: "894546"}, form("894546")),
    judged("an alphanumeric sender", "sms", {FROM: "InfluxData"}, form(sender="InfluxData")),
    judged(
        "an alphanumeric sender that is too long", "sms", {FROM: "InfluxDataInc"}, form(sender="InfluxDataInc"), FROM
    ),
    judged("a messaging service", "sms", {FROM: MG}, form(sender=MG, member="MessagingServiceSid")),
    judged(
        "a name that begins as a messaging service's SID does", "sms", {FROM: "MGM Alerts"}, form(sender="MGM+Alerts")
    ),
    judged(
        "whatsapp puts its prefix before such a name",
        "whatsapp",
        {FROM: "MGM Alerts"},
        form("whatsapp%3A%2B15558675310", "whatsapp%3AMGM+Alerts"),
    ),
    judged("a number as JSON's own", "sms", {TO: 15558675310, FROM: 15017122661}, form()),
    judged("a short code as JSON's own", "sms", {FROM: 12345}, form(sender="12345")),
    judged("zero", "sms", {TO: 0}, form("0"), TO),
    judged("a messenger address", "sms", {TO: "messenger:123"}, form("messenger%3A123")),
    judged("an RCS address", "sms", {TO: "rcs:+15558675310"}, form("rcs%3A%2B15558675310")),
    judged(
        "whatsapp addresses by sms",
        "sms",
        {TO: "whatsapp:+15558675310", FROM: "whatsapp:+15017122661"},
        form("whatsapp%3A%2B15558675310", "whatsapp%3A%2B15017122661"),
    ),
    judged("64 characters", "sms", {TO: "+" + "1" * 63}, form("%2B" + "1" * 63), TO),
    judged(
        "whatsapp puts its prefix before both",
        "whatsapp",
        {},
        form("whatsapp%3A%2B15558675310", "whatsapp%3A%2B15017122661"),
    ),
    judged(
        "whatsapp puts no prefix before one that is there",
        "whatsapp",
        {TO: "whatsapp:+15558675310", FROM: " whatsapp:+15017122661"},
        form("whatsapp%3A%2B15558675310", "whatsapp%3A%2B15017122661"),
    ),
    judged(
        "whatsapp puts no prefix before a messaging service",
        "whatsapp",
        {FROM: MG},
        form("whatsapp%3A%2B15558675310", MG, "MessagingServiceSid"),
    ),
    *(
        fails(
            f"{name} in {field}",
            hi("sms", **{field: value}),
            not_attempted("sms", "invalid_config", f"{field} {what}", f"senders_config.sms.{field}"),
        )
        for field in (TO, FROM)
        for name, value, what in [
            ("a line break", "+15558675310\r\nX: y", "holds a control character; remove it (a line break, perhaps?)"),
            ("a NUL", "+1555\0", "holds a control character; remove it (a line break, perhaps?)"),
            ("65 characters", "+" + "1" * 64, "is longer than 64 characters"),
        ]
    ),
]

ALPHANUMERIC = "must be letters and digits only, such as AC and 32 hexadecimal digits"
UNUSABLE: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "an API key without an account",
        {"twilio_sid": KEY},
        "twilio_account_sid",
        "twilio_account_sid (AC…) is required when twilio_sid is an API key (SK…)",
    ),
    (
        "an API key with a blank account",
        {"twilio_sid": KEY, "twilio_account_sid": " "},
        "twilio_account_sid",
        "twilio_account_sid (AC…) is required when twilio_sid is an API key (SK…)",
    ),
    ("a slash in a SID", {"twilio_sid": "AC/../x"}, "twilio_sid", f"twilio_sid {ALPHANUMERIC}"),
    (
        "a slash in an account's SID",
        {"twilio_sid": KEY, "twilio_account_sid": "AC1/.."},
        "twilio_account_sid",
        f"twilio_account_sid {ALPHANUMERIC}",
    ),
    ("a SID that is a fraction", {"twilio_sid": 0.5}, "twilio_sid", "twilio_sid must be a string, found a number"),
    (
        "a content template's SID of another form",
        {"content_sid": "HX1"},
        "content_sid",
        "content_sid must be HX and 32 hexadecimal digits, such as HX0123456789abcdef0123456789abcdef",
    ),
    (
        "variables without a content template",
        {"content_variables": {"1": "x"}},
        "content_sid",
        "content_sid is required with content_variables: for example HX and 32 hexadecimal digits",
    ),
    *(
        (
            f"a variable's name that is {what}",
            {"content_sid": HX, "content_variables": {name: "x"}},
            "content_variables",
            "content_variables must have names of 1 to 16 characters without spaces",
        )
        for what, name in [("empty", ""), ("too long", "x" * 17), ("of two words", "a b")]
    ),
    (
        "variables that are no table",
        {"content_sid": HX, "content_variables": '{"1": "x"}'},
        "content_variables",
        "content_variables must be a table of strings, found a string",
    ),
]
CONTENT = [
    delivers(
        "a content template and its variables from a request",
        hi("whatsapp", content_sid=HX, content_variables={"1": "one\n two", "name": "", "n": 5}),
        to_twilio(
            b"To=whatsapp%3A%2B15558675310&From=whatsapp%3A%2B15017122661&ContentSid="
            + HX.encode()
            + b"&ContentVariables="
            b"%7B%221%22%3A%22one+two%22%2C%22name%22%3A%22-%22%2C%22n%22%3A%225%22%7D",
            "whatsapp",
        ),
        deliveries=[delivered("whatsapp", segments=None)],
    ),
    delivers(
        "a content template without variables from a request",
        hi("sms", content_sid=HX),
        to_twilio(b"To=%2B15558675310&From=%2B15017122661&ContentSid=" + HX.encode()),
        deliveries=[delivered("sms", segments=None)],
    ),
]
ACCOUNTS = [
    delivers(
        "an API key",
        hi(twilio_sid=KEY, twilio_account_sid=OTHER),
        to_twilio(form(), path=path(OTHER), authorization=basic(KEY, "twilio-secret")),
        rule={"path": "/2010-04-01/*", "reply": {"status": 201, "body": '{"sid": "SM1", "status": "queued"}'}},
    ),
    delivers(
        "an account beside an account",
        hi(twilio_account_sid=OTHER),
        to_twilio(form(), path=path(OTHER)),
        rule={"path": "/2010-04-01/*", "reply": {"status": 201, "body": '{"sid": "SM1", "status": "queued"}'}},
    ),
    delivers(
        "blanks around credentials", hi(twilio_sid=f" {ACCOUNT}\n", twilio_token="\ttwilio-secret "), to_twilio(form())
    ),
    *(
        fails(
            name,
            hi("sms", **fields),
            not_attempted("sms", "invalid_config", detail, f"senders_config.sms.{field}"),
        )
        for name, fields, field, detail in UNUSABLE
    ),
]


@pytest.mark.parametrize("case", NUMBERS + ACCOUNTS + CONTENT, ids=str)
def test_twilio_fields_are_read_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


@pytest.fixture
def here(engine_host: EngineHost) -> Iterator[Triggers]:
    """Triggers in this process, so that the test can set its environment."""
    with ExitStack() as stack:
        yield Triggers(engine_host, stack)


NO_SID = "twilio_sid is required, and the server's environment variable TWILIO_SID is not set either: for example "
NO_SID += "AC00000000000000000000000000000000"

ENVIRONMENT = [
    (
        {"TWILIO_SID": OTHER, "TWILIO_TOKEN": "env-secret"},
        {"twilio_sid": ..., "twilio_token": ...},
        OTHER,
        "env-secret",
    ),
    ({"TWILIO_SID": OTHER}, {"twilio_sid": ...}, OTHER, "twilio-secret"),
    ({"TWILIO_SID": OTHER}, {"twilio_sid": None}, OTHER, "twilio-secret"),
    ({"TWILIO_SID": OTHER}, {"twilio_sid": " "}, OTHER, "twilio-secret"),
    ({"TWILIO_TOKEN": "env-secret"}, {"twilio_token": ""}, ACCOUNT, "env-secret"),
    ({"TWILIO_SID": OTHER, "TWILIO_TOKEN": "env-secret"}, {}, ACCOUNT, "twilio-secret"),
    (
        {"TWILIO_SID": f" {OTHER} \n", "TWILIO_TOKEN": "env-secret\n"},
        {"twilio_sid": ..., "twilio_token": ...},
        OTHER,
        "env-secret",
    ),
]


@pytest.mark.parametrize(("environment", "fields", "account", "token"), ENVIRONMENT)
def test_sid_and_token_each_fall_back_to_the_environment(
    environment: dict[str, str],
    fields: dict[str, Any],
    account: str,
    token: str,
    here: Triggers,
    standin: Standin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sent = to_twilio(form(), path=path(account), authorization=basic(account, token))
    run_case(delivers("", hi(**fields), sent), here, standin)


@pytest.mark.parametrize("value", ["", "  "])
def test_a_blank_variable_is_none(
    value: str, here: Triggers, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_SID", value)
    entry = not_attempted("sms", "invalid_config", NO_SID, "senders_config.sms.twilio_sid")
    run_case(fails("", hi(twilio_sid=...), entry), here, standin)
