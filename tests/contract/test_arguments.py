"""Trigger arguments: valid values, errors of invalid ones, and the splitting of the command line."""

import pytest

from tests.contract.case import ARGUMENTS, Case, body_bytes, delivers, previewed, rejected, run_case
from tests.contract.provider_requests import HTTP, SLACK, to_slack
from tests.engine_host.trigger import parse_trigger_arguments
from tests.harness import Standin, Triggers

HI = {"notification_text": "hi", "senders_config": {"slack": SLACK}}
NO_BODY = "No request body provided."


def duration(least: str, most: str) -> str:
    return f"a duration from {least} to {most} (us ms s min m h d w)"


def count(least: int, most: int) -> str:
    return f"a whole number from {least} to {most}"


BACKOFF = duration("10ms", "1h")
CONNECT = duration("1ms", "5min")
DEDUP = duration("0s", "7d")
REPEAT = duration("1s", "7d")
RATE = "messages per time, such as 5/s or 60/min"
HOSTS = "hosts, or *. and a suffix, separated by spaces"

UNPARSABLE = [
    *(
        (name, value, expected)
        for name, expected in [
            ("response_timeout", duration("0s", "4500ms")),
            ("delivery_timeout", duration("1s", "7d")),
            ("initial_backoff", BACKOFF),
            ("max_backoff", BACKOFF),
            ("connect_timeout", CONNECT),
            ("attempt_timeout", CONNECT),
            ("dedup_window", DEDUP),
            ("repeat_interval", REPEAT),
        ]
        for value in ["soon", "5", "-1s", "9999d"]
    ),
    ("response_timeout", "4501ms", duration("0s", "4500ms")),
    ("delivery_timeout", "999ms", duration("1s", "7d")),
    ("max_backoff", "9ms", BACKOFF),
    ("connect_timeout", "999us", CONNECT),
    *(
        (name, value, count(1, most))
        for name, most in [
            ("max_attempts", 100),
            ("max_in_flight", 1_000_000),
            ("max_connections", 65_535),
            ("max_per_batch", 100_000),
            ("max_per_minute", 100_000),
        ]
        for value in ["0", "-1", "1.5", "many", str(most + 1), "99999999999999999999"]
    ),
    *((name, value, "true or false") for name in ["allow_mentions", "dry_run"] for value in ["maybe", "2", "truee"]),
    ("failure_status", "404", "one of 200, 502"),
    ("request_destinations", "forbid", "one of allow, ignore, deny"),
    ("private_addresses", "some", "one of allow, deny"),
    ("on_ambiguous", "retry", "one of lookup, report, resend"),
    *(("rate_limit", value, RATE) for value in ["fast", "5", "0/s", "-1/s", "5/", "/s", "5/soon", "5/0s"]),
    ("allowed_hosts", "a b:80:80", HOSTS),
]

ROWS = [
    rejected(
        f"{name}={value}",
        HI,
        "invalid_argument",
        f"The trigger argument {name} must be {expected}, found '{value}'.",
        name,
        http=503,
        args={name: value},
    )
    for name, value, expected in UNPARSABLE
] + [
    rejected(
        "a URL is not quoted",
        HI,
        "invalid_argument",
        f"The trigger argument allowed_hosts must be {HOSTS}, found '***'.",
        "allowed_hosts",
        http=503,
        args={"allowed_hosts": "http://a.example"},
    ),
    rejected(
        "an unparsable argument comes before an unreadable body",
        b"",
        "invalid_argument",
        "The trigger argument max_attempts must be a whole number from 1 to 100, found 'x'.",
        "max_attempts",
        http=503,
        args={"max_attempts": "x"},
    ),
    rejected(
        "a value that is long and not printable",
        HI,
        "invalid_argument",
        "The trigger argument max_attempts must be a whole number from 1 to 100, found 'ä ***'.",
        "max_attempts",
        http=503,
        args={"max_attempts": "ä\n\x1bb" + "x" * 100},
    ),
    *(
        rejected(
            f"twilio_base_url={value}",
            HI,
            "invalid_argument",
            f"The trigger argument twilio_base_url must be a URL such as https://api.twilio.com: it {what}.",
            "twilio_base_url",
            http=503,
            args={"twilio_base_url": value},
        )
        for value, what in [
            ("api.twilio.com", "has no scheme; it must begin with https:// or http://"),
            ("ftp://api.twilio.com", "has a scheme other than http and https"),
        ]
    ),
    *(
        rejected(
            f"userinfo in {name}",
            HI,
            "secret_in_argument",
            f"The trigger argument {name} holds a user name or password in its URL.",
            name,
            http=503,
            args={name: value},
        )
        for name, value in [
            ("twilio_base_url", "http://me:hunter2@standin.test"),
            ("outbox", "nats://me@127.0.0.1:4222"),
        ]
    ),
]

GOOD = (
    [
        delivers(f"{name}={value}", HI, to_slack("hi"), args={name: value})
        for name, values in {
            "response_timeout": ["4.5s", "4500ms", "2 s", "1s 500ms", " 2s ", "2S"],
            "delivery_timeout": ["1s", "7d", "1w", "168h", "5m", "5min", "1h 30m"],
            "max_attempts": ["1", "100"],
            "initial_backoff": ["10ms", "10000us", "1h"],
            "connect_timeout": ["5min"],
            "failure_status": ["200", "502"],
            "private_addresses": ["allow", "ALLOW"],
            "request_destinations": ["allow"],
            "allow_mentions": ["true", "T", "1", "Yes", "on"],
            "dry_run": ["false", "F", "0", "No", "OFF"],
            "rate_limit": ["5/s", "60/min", " 60 / min ", "5/10s", "1000/h"],
            "max_in_flight": ["1", "1000000"],
            "max_connections": ["1", "65535"],
            "allowed_hosts": ["127.0.0.1", "a.example,127.0.0.1", "*.example, 127.0.0.1 b.example", "0x7f.1"],
        }.items()
        for value in values
    ]
    + [
        delivers(f"{name} that is blank is not given", HI, to_slack("hi"), args={name: "  "})
        for name in [
            "response_timeout",
            "max_attempts",
            "dry_run",
            "allowed_hosts",
            "rate_limit",
            "outbox",
            "history_table",
        ]
    ]
    + [
        delivers("no arguments at all", HI, to_slack("hi"), args={}),
        delivers(
            "an unknown argument with a suggestion",
            HI,
            to_slack("hi"),
            args={"max_atempts": "5"},
            warnings=["trigger argument max_atempts: unknown, ignored; did you mean max_attempts?"],
        ),
        delivers(
            "an unknown argument without one",
            HI,
            to_slack("hi"),
            args={"zzz": "5"},
            warnings=["trigger argument zzz: unknown, ignored"],
        ),
    ]
)


@pytest.mark.parametrize("case", ROWS + GOOD, ids=str)
def test_an_argument_is_read_as_the_contract_says(case: Case, triggers: Triggers, standin: Standin) -> None:
    run_case(case, triggers, standin)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["dry_run=true,allow_mentions=false"], {"dry_run": "true", "allow_mentions": "false"}),
        (["dry_run=false", "dry_run=true"], {"dry_run": "true"}),
        (
            ["dry_run=true,allowed_hosts=127.0.0.1 *.example"],
            {"dry_run": "true", "allowed_hosts": "127.0.0.1 *.example"},
        ),
        (["dry_run=true,zz=a=b"], {"dry_run": "true", "zz": "a=b"}),
    ],
)
def test_arguments_come_through_the_splitting_of_the_command_line(
    texts: list[str], expected: dict[str, str], triggers: Triggers, standin: Standin
) -> None:
    arguments = parse_trigger_arguments(*texts)
    assert arguments == expected
    preview = previewed("slack", "application/json", '{"text":"hi"}')
    warnings = ["trigger argument zz: unknown, ignored"] if "zz" in expected else []
    case = Case("", HI, {"slack": "dry_run"}, deliveries=[preview], args=arguments, warnings=warnings)
    run_case(case, triggers, standin)


def test_a_comma_splits_a_list_on_the_command_line() -> None:
    with pytest.raises(ValueError, match="not key=value"):
        parse_trigger_arguments("allowed_hosts=a.example,b.example")


def test_two_triggers_with_other_arguments_do_not_mix(triggers: Triggers, standin: Standin) -> None:
    body = body_bytes({"notification_text": "hi", "senders_config": {"http": HTTP}}, f"127.0.0.1:{standin.port}")
    dry, real = (
        triggers.create({**ARGUMENTS, "dry_run": "true"}),
        triggers.create({**ARGUMENTS, "failure_status": "502"}),
    )
    for _ in range(3):
        assert dry.notify(body).json["results"] == {"http": "dry_run"}
        assert real.notify(body).json["results"] == {"http": True}
    assert len(standin.requests()) == 3
