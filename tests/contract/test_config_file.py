"""Receivers, routes and settings of the configuration file, end to end."""

from typing import Any

import pytest

from tests.contract.case import (
    HOST,
    Case,
    ExpectedDelivery,
    delivered,
    delivers,
    delivers_to,
    fails,
    ignored,
    not_attempted,
    previewed,
    rejected,
    run_case,
)
from tests.contract.provider_requests import DISCORD, HTTP, SLACK, TWILIO, to_discord, to_http, to_slack, to_twilio
from tests.harness import Standin, Triggers

ONCALL = f"""
[receivers.oncall]
slack.webhook_url = "http://{HOST}/services/T0/B0/oncall"
[receivers.oncall.sms]
twilio_sid = "{TWILIO["twilio_sid"]}"
token = "twilio-secret"
from_number = "+15017122661"
twilio_to_number = "+15558675310"
"""
OPS = f"""
[receivers.ops.http]
http_webhook_url = "http://{HOST}/hook/ops"
"""
TEAM = f"""
[receivers.team]
discord.webhook_url = "http://{HOST}/api/webhooks/123456789012345678/team"
"""
ALL = ONCALL + OPS + TEAM
FORM = b"To=%2B15558675310&From=%2B15017122661&Body="


def slack(text: str) -> tuple[str, Any]:
    return "oncall", to_slack(text, "/services/T0/B0/oncall")


def sms(text: bytes) -> tuple[str, Any]:
    return "oncall", to_twilio(FORM + text)


def ops(text: str | bytes) -> tuple[str, Any]:
    return "ops", to_http(text, "/hook/ops")


def team(text: str) -> tuple[str, Any]:
    return "team", to_discord(text, "/api/webhooks/123456789012345678/team")


def hi(**members: Any) -> dict[str, Any]:
    return {"notification_text": "hi", **members}


NAMED = [
    delivers_to("a receiver with two channels", hi(receivers=["oncall"]), ALL, slack("hi"), sms(b"hi")),
    delivers_to(
        "two receivers in the order of the request",
        hi(receivers=["ops", "oncall"]),
        ALL,
        ops("hi"),
        slack("hi"),
        sms(b"hi"),
    ),
    delivers_to("one that is named twice", hi(receivers=["ops", "ops"]), ALL, ops("hi")),
    delivers_to(
        "one of several destinations of a channel",
        hi(receivers=["both"]),
        "[receivers.both]\n"
        f'http = [{{ webhook_url = "http://{HOST}/hook/1" }}, {{ http_webhook_url = "http://{HOST}/hook/2" }}]\n',
        ("both", to_http("hi", "/hook/1")),
        ("both", to_http("hi", "/hook/2")),
    ),
    Case(
        "receivers beside senders_config",
        hi(receivers=["ops"], senders_config={"slack": SLACK}),
        {"slack": True, "ops": True},
        deliveries=[delivered("slack"), delivered("http", receiver="ops")],
        sent=[to_slack("hi"), ops("hi")[1]],
        config=ALL,
    ),
    fails(
        "an unknown receiver",
        hi(receivers=["onkall"]),
        not_attempted(
            "onkall",
            "unknown_receiver",
            "There is no such receiver; did you mean oncall?",
            "receivers",
            receiver="onkall",
        ),
        results={"onkall": "Invalid sender"},
        config=ALL,
    ),
    fails(
        "a receiver where there is no file",
        hi(receivers=["oncall"]),
        not_attempted("oncall", "unknown_receiver", None, "receivers", receiver="oncall"),
        results={"oncall": "Invalid sender"},
    ),
    Case(
        "an unknown receiver beside one that there is",
        hi(receivers=["nobody", "ops"]),
        {"nobody": "Invalid sender", "ops": True},
        status="partial",
        deliveries=[
            not_attempted("nobody", "unknown_receiver", None, "receivers", receiver="nobody"),
            delivered("http", receiver="ops"),
        ],
        sent=[ops("hi")[1]],
        config=ALL,
    ),
    Case(
        "a sender and a receiver of a request share a name: the worse stands",
        hi(receivers=["http"], senders_config={"http": HTTP}),
        {"http": "Invalid sender"},
        status="partial",
        deliveries=[delivered("http"), not_attempted("http", "unknown_receiver", None, "receivers", receiver="http")],
        sent=[to_http("hi")],
        config=ALL,
    ),
    Case(
        "one of a receiver's destinations fails",
        hi(receivers=["oncall"]),
        {"oncall": False},
        status="partial",
        deliveries=[
            ExpectedDelivery(
                "slack", "failed", "unknown_destination", http_status=404, parts_delivered=0, receiver="oncall"
            ),
            delivered("sms", receiver="oncall"),
        ],
        sent=[slack("hi")[1], sms(b"hi")[1]],
        config=ALL,
        rule={"path": "/services/*", "reply": {"status": 404, "body": "no_service"}},
    ),
    rejected(
        "receivers of a wrong type",
        hi(receivers="oncall"),
        "invalid_field",
        "The field receivers must be a list of names, found a string.",
        "receivers",
        config=ALL,
    ),
    Case(
        "a dry run shows what every receiver would get, and no number",
        hi(receivers=["oncall"], dry_run=True),
        {"oncall": "dry_run"},
        deliveries=[
            previewed("slack", "application/json", '{"text":"hi"}', receiver="oncall"),
            previewed(
                "sms", "application/x-www-form-urlencoded", "To=%2B1***10&From=%2B1***61&Body=hi", receiver="oncall"
            ),
        ],
        config=ALL,
    ),
]

RULES = (
    ALL
    + """
[[routes]]
match = { level = ["error", "critical"], fields = { host = "~^db" } }
receivers = ["oncall"]
continue = true

[[routes]]
match = { level = "critical" }
receivers = ["ops", "oncall"]

[[routes]]
match = { status = "resolved", fields = { count = "3", up = "true" } }
receivers = ["team"]
"""
)
DEFAULT = 'default_receivers = ["team"]\n'
RICH_HTTP = b'{"message":"hi","level":"critical"}'


def rich_http(level: str, **more: str) -> bytes:
    rest = "".join(f',"{name}":{value}' for name, value in more.items())
    return f'{{"message":"hi","level":"{level}"{rest}}}'.encode()


ROUTED = [
    delivers_to(
        "the first route that matches", hi(level="crit"), RULES.replace('["ops", "oncall"]', '["ops"]'), ops(RICH_HTTP)
    ),
    delivers_to(
        "a level in the text",
        {"notification_text": "[CRITICAL] hi"},
        RULES.replace('["ops", "oncall"]', '["ops"]'),
        ops("[CRITICAL] hi"),
    ),
    delivers_to(
        "the level beats the one in the text",
        {"notification_text": "[OK] hi", "level": "critical"},
        RULES.replace('["ops", "oncall"]', '["ops"]'),
        ops(b'{"message":"[OK] hi","level":"critical"}'),
    ),
    delivers_to(
        "numbers and booleans match by their text",
        {"notification_text": "hi", "status": "resolved", "fields": {"count": 3, "up": True}},
        RULES.replace('receivers = ["team"]', 'receivers = ["ops"]'),
        ops(b'{"message":"hi","status":"resolved","fields":{"count":3,"up":true}}'),
    ),
    delivers_to("no route, and a default of the file", hi(), "[settings]\n" + DEFAULT + RULES, team("hi")),
    delivers_to("no route, and a default of the arguments", hi(), RULES, ops("hi"), args={"default_receivers": "ops"}),
    delivers_to(
        "several defaults, of which one stands twice",
        hi(),
        RULES.replace('[[routes]]\nmatch = { level = "critical"', '[[routes]]\nmatch = { level = "ok"'),
        ops("hi"),
        team("hi"),
        args={"default_receivers": "ops team ops"},
    ),
    delivers_to(
        "an empty senders_config names nobody",
        hi(senders_config={}),
        RULES,
        ops("hi"),
        args={"default_receivers": "ops"},
    ),
    rejected(
        "nobody is named and no rule applies",
        hi(),
        "missing_field",
        "Missing required fields: 'senders_config' or 'notification_text'. The request names no destination, no route "
        "matches it, and there is no default receiver.",
        "senders_config",
        config=RULES,
    ),
    delivers(
        "a request that names senders is for them alone",
        hi(senders_config={"slack": SLACK}),
        to_slack("hi"),
        config="[settings]\n" + DEFAULT + RULES,
    ),
    delivers_to(
        "a request that names receivers is for them alone",
        hi(receivers=["ops"], level="critical"),
        RULES,
        ops(RICH_HTTP),
    ),
]

BOTH = {"slack": SLACK, "discord": [DISCORD, DISCORD]}
IGNORE = '[settings]\nrequest_destinations = "ignore"\n'
DENY = '[settings]\nrequest_destinations = "deny"\n'
NOT_USED = (
    "senders_config is not used (request_destinations=ignore), and no route or default receiver applies: "
    "nothing was sent"
)

DESTINATIONS = [
    Case(
        "what a request brings is ignored, and the default decides",
        hi(senders_config=BOTH),
        {"slack": "ignored", "discord": "ignored", "team": True},
        deliveries=[ignored("slack"), ignored("discord"), ignored("discord"), delivered("discord", receiver="team")],
        sent=[team("hi")[1]],
        config=IGNORE + DEFAULT + RULES,
    ),
    Case(
        "what a request brings is ignored, and a route decides",
        {
            "notification_text": "[CRITICAL] hi",
            "senders_config": {"slack": {"slack_webhook_url": "not even a URL"}, "pager": 5},
        },
        {"slack": "ignored", "pager": "ignored", "ops": True, "oncall": True},
        deliveries=[
            ignored("slack"),
            ignored("pager"),
            delivered("http", receiver="ops"),
            delivered("slack", receiver="oncall"),
            delivered("sms", receiver="oncall"),
        ],
        sent=[ops("[CRITICAL] hi")[1], slack("[CRITICAL] hi")[1], sms(b"%5BCRITICAL%5D+hi")[1]],
        config=RULES,
        args={"request_destinations": "ignore"},
    ),
    Case(
        "receivers that a request names count also then",
        hi(senders_config={"slack": SLACK}, receivers=["ops"]),
        {"slack": "ignored", "ops": True},
        deliveries=[ignored("slack"), delivered("http", receiver="ops")],
        sent=[ops("hi")[1]],
        config=IGNORE + DEFAULT + RULES,
    ),
    Case(
        "all is ignored and nothing applies",
        hi(senders_config={"slack": SLACK}),
        {"slack": "ignored"},
        status="failed",
        deliveries=[ignored("slack")],
        warnings=[NOT_USED],
        config=IGNORE + RULES,
    ),
    Case(
        "all is ignored, and failure_status says so",
        hi(senders_config={"slack": SLACK}),
        {"slack": "ignored"},
        status="failed",
        http=502,
        deliveries=[ignored("slack")],
        warnings=[NOT_USED],
        config=IGNORE + "failure_status = 502\n" + RULES,
    ),
    Case(
        "ignored, and what the rules choose fails",
        hi(senders_config={"slack": SLACK}),
        {"slack": "ignored", "team": False},
        status="failed",
        deliveries=[
            ignored("slack"),
            ExpectedDelivery(
                "discord", "failed", "unknown_destination", http_status=404, parts_delivered=0, receiver="team"
            ),
        ],
        sent=[to_discord("hi", "/api/webhooks/123456789012345678/gone")],
        # A unique webhook, because the notifier pauses a deleted one.
        config=IGNORE + DEFAULT + RULES.replace("8/team", "8/gone"),
        rule={"path": "/api/webhooks/*", "reply": {"status": 404, "body": ""}},
    ),
    rejected(
        "destinations in requests are denied, and nothing is sent, not even to receivers",
        hi(senders_config={"slack": SLACK}, receivers=["ops"]),
        "destinations_denied",
        "This trigger takes no destinations from requests: nothing was sent.",
        "senders_config",
        http=403,
        config=DENY + RULES,
    ),
    delivers_to(
        "an empty senders_config brings nothing that could be denied",
        hi(senders_config={}),
        DENY + DEFAULT + RULES,
        team("hi"),
    ),
    delivers_to("a request without senders_config is not denied", hi(receivers=["ops"]), DENY + RULES, ops("hi")),
    delivers_to(
        "what judges requests does not judge receivers",
        hi(receivers=["ops"]),
        ALL,
        ops("hi"),
        args={"private_addresses": "deny", "allowed_hosts": "example.com"},
    ),
]

SETTINGS = [
    delivers_to(
        "the file wins over an argument, with a warning",
        hi(receivers=["ops"]),
        "[settings]\ndry_run = false\nmax_attempts = 3\n" + ALL,
        ops("hi"),
        args={"dry_run": "true", "max_attempts": "5"},
        warnings=[
            "trigger argument dry_run: the configuration file has another value, which applies",
            "trigger argument max_attempts: the configuration file has another value, which applies",
        ],
    ),
    delivers_to(
        "what means the same is no difference",
        hi(receivers=["ops"]),
        '[settings]\nresponse_timeout = "2s"\nallowed_hosts = ["a.example", "B.example"]\ndry_run = false\n' + ALL,
        ops("hi"),
        args={"response_timeout": "2000ms", "allowed_hosts": "a.example b.example", "dry_run": "no"},
    ),
    delivers_to(
        "default receivers of both",
        hi(),
        "[settings]\n" + DEFAULT + ALL,
        team("hi"),
        args={"default_receivers": "ops"},
        warnings=["trigger argument default_receivers: the configuration file has another value, which applies"],
    ),
    delivers_to(
        "the file says where Twilio is",
        hi(receivers=["oncall"]),
        f'[settings]\ntwilio_base_url = "http://{HOST}"\n' + ONCALL,
        slack("hi"),
        sms(b"hi"),
        args={"response_timeout": "4s"},
    ),
    rejected(
        "a default receiver that is not in the file",
        hi(),
        "invalid_argument",
        "The trigger argument default_receivers names 'onkall', which is no receiver of the configuration file.",
        "default_receivers",
        http=503,
        config=ALL,
        args={"default_receivers": "onkall"},
    ),
    rejected(
        "a default receiver and no file",
        hi(),
        "invalid_argument",
        "The trigger argument default_receivers names 'oncall', which is no receiver of the configuration file.",
        "default_receivers",
        http=503,
        args={"default_receivers": "oncall"},
    ),
]


@pytest.mark.parametrize("case", NAMED + ROUTED + DESTINATIONS + SETTINGS, ids=str)
def test_receivers_follow_from_request_file_and_arguments(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)
