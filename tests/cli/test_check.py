"""``check``: the complete report, with locations for editors."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from influxdb3_notifier.cli.check import alert_state_lines
from tests.cli.program import Done, run
from tests.harness import ROOT

GOOD = """\
[settings]
default_receivers = ["ops"]
[receivers.oncall]
slack.webhook_url = { env = "CHECK_SLACK_URL" }
sms = [
    { from_number = "+15017122661", to_number = "+15558675310", sid = "AC1", token = { file = "token" } },
    { from_number = "+15017122661", to_number = "+15558675311" },
]
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
[[routes]]
match = { level = "critical" }
receivers = ["oncall"]
[templates.short]
text = "{{ notification.text }}"
[[silences]]
name = "weekend"
match = { level = "info" }
"""
BAD = """\
[settings]
max_attempts = 0
[receivers.oncall]
slack.webhook_ulr = "s3cret"
http = { webhook_url = "ftp://s3cret" }
[[routes]]
receivers = ["onkall"]
[templates.t]
text = '''
{{ notification.tilte }}
{{ 1 | nope }}'''
"""


def check(directory: Path, text: str | bytes, *arguments: object, **environment: str) -> Done:
    (directory / "n.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    clean = {"CHECK_SLACK_URL": "", "TWILIO_SID": "", "TWILIO_TOKEN": ""}
    return run("check", "n.toml", *arguments, cwd=directory, environment=clean | environment)


def test_a_valid_file_is_summarised(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD)
    assert (done.status, done.err) == (0, "")
    assert done.lines() == [
        "n.toml: valid: 2 receivers, 1 route, 1 template, 1 silence",
        "  oncall: slack, sms, sms",
        "  ops: http",
        '  route 1 (line 11): level = "critical" -> oncall',
        "  default receivers: ops",
        "  secrets not read (use --resolve): CHECK_SLACK_URL, token",
    ]


def test_a_warning_says_that_some_notifications_match_no_route(tmp_path: Path) -> None:
    receiver = '[receivers.ops.http]\nwebhook_url = "https://ops.example/hook"\n'
    some = '[[routes]]\nmatch = { level = "critical" }\nreceivers = ["ops"]\n'
    done = check(tmp_path, receiver + some)
    assert (done.status, done.lines()[0]) == (
        0,
        "n.toml:3:1: warning: routes: a notification that no route matches is refused: set default_receivers, or end "
        "with a route that has no match",
    )
    for no_warning in (receiver, receiver + some + '[[routes]]\nreceivers = ["ops"]\n', GOOD):
        assert "is refused" not in check(tmp_path, no_warning).out
    assert "is refused" not in check(tmp_path, receiver + some, "--argument", "default_receivers=ops").out


TREE = """\
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
[receivers.log.http]
webhook_url = "https://log.example/hook"
[[routes]]
name = "databases"
match = { fields.host = "~^db", level = ["error", "critical"] }
receivers = ["ops", "log"]
continue = true
[[routes.routes]]
match = { fields.env = "!live" }
receivers = "log"
[[routes]]
receivers = "log"
"""


def test_the_routes_are_shown_as_a_tree_with_inherited_settings(tmp_path: Path) -> None:
    done = check(tmp_path, TREE)
    assert done.lines()[3:] == [
        '  route 1 "databases" (line 5): level = ["error", "critical"], fields.host = "~^db" -> ops, log; continue',
        '    route 2 (line 10): fields.env = "!live" -> log',
        "  route 3 (line 13): everything -> log",
    ]
    inherits = TREE.replace('receivers = "log"\n[[routes]]', "[[routes]]")
    assert '    route 2 (line 10): fields.env = "!live" -> ops, log' in check(tmp_path, inherits).lines()


STATE = """\
[settings]
alert_key = ["title", "fields.host"]
state = "memory"
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
[[routes]]
receivers = "ops"
group_wait = "5s"
[[routes.routes]]
match = { level = "error" }
group_by = []
resolve_timeout = "2h"
"""


def test_alert_state_is_shown_with_the_line_that_turns_it_on(tmp_path: Path) -> None:
    done = check(tmp_path, STATE)
    assert done.status == 0
    assert done.lines()[2:] == [
        "  route 1 (line 6): everything -> ops; no grouping, group_wait 5s, group_interval 0s",
        '    route 2 (line 9): level = "error" -> ops; one group, group_wait 5s, group_interval 5m, resolve_timeout 2h',
        "  alert state: enabled by routes[0].group_wait (line 8), in memory, so a restart loses it",
        "  alert identity: dedup_key or title + fields.host",
    ]


def test_alert_state_in_a_store_needs_calls_after_a_restart() -> None:
    state = {"enabled_by": "routes[0].group_by", "line": 3, "in_memory": False, "alert_key": [], "max_alerts": 9}
    assert alert_state_lines(state)[1:] == [
        "  alert identity: dedup_key",
        "  after a restart, alerts wait for a call: create a trigger with every:10s and this file, or run a worker",
    ]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "turns alert state on, which needs a store: set "),
        ('outbox = "nats://a"', "turns alert state on, which works with an outbox in a file"),
    ],
)
def test_alert_state_without_a_store_for_it_is_an_error(place: str, message: str, tmp_path: Path) -> None:
    done = check(tmp_path, STATE.replace('state = "memory"', place))
    assert done.status == 1
    assert done.lines()[0].startswith(f"n.toml:8:1: error: routes[0].group_wait: {message}")


def test_settings_that_alert_state_leaves_without_effect_are_warned_of(tmp_path: Path) -> None:
    done = check(tmp_path, STATE.replace("[settings]", '[settings]\nrepeat_interval = "4h"\nmax_per_batch = 3'))
    effect = "has no effect, since routes[0].group_wait in line 10 turns alert state on"
    assert done.status == 0
    assert done.lines()[:2] == [f"n.toml: warning: {name}: {effect}" for name in ("repeat_interval", "max_per_batch")]


def test_a_route_that_never_applies_is_warned_of(tmp_path: Path) -> None:
    twice = '[[routes.routes]]\nmatch = { fields.env = "!live", title = "x" }\n'
    done = check(tmp_path, TREE.replace("[[routes]]\nreceivers", f"{twice}[[routes]]\nreceivers"))
    assert (done.status, done.lines()[0]) == (
        0,
        "n.toml:13:1: warning: routes[0].routes[1]: never applies: the route in line 10 matches all that it matches; "
        "put it before that route, or give that route continue = true",
    )


BODIES = """\
[receivers.r.http]
webhook_url = "https://ops.example/hook"
body_template = '{}'
"""


@pytest.mark.parametrize(
    ("template", "is_safe"),
    [
        ('{"text": "{{ notification.text }}"}', False),
        ('{"text": {{ notification.text | tojson }}}', True),
        ('{"host": "{{ notification.fields.host }}"}', False),
        ('{"host": {{ notification.fields.host | tojson }}}', True),
        ('{"who": "{{ data.owner.name }}"}', False),
        ('{"who": "{{ data.owner.name | default(1) | tojson }}"}', True),
        ('{"level": "{{ notification.level }}"}', True),
        ('{"cpu": {{ notification.fields.cpu }}}', True),
        ('{"cpu": {{ notification.fields.cpu', True),
    ],
)
def test_a_body_template_that_quotes_can_break_gets_a_warning(template: str, is_safe: bool, tmp_path: Path) -> None:
    done = check(tmp_path, BODIES.format(template))
    assert ("with quotes and line breaks in the values, receivers.r: body_template" in done.out) != is_safe, done.out


def test_secrets_are_looked_up_on_request(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD, "--resolve")
    assert done.status == 1
    assert done.lines() == [
        "n.toml:4:21: error: receivers.oncall.slack.webhook_url: the environment variable CHECK_SLACK_URL is not set "
        "where the server runs",
        "n.toml:6:86: error: receivers.oncall.sms[0].token: the file token is not there",
        "n.toml:7:5: error: receivers.oncall.sms[1].twilio_sid: twilio_sid is required, and the server's environment "
        "variable TWILIO_SID is not set either: for example AC00000000000000000000000000000000",
        "n.toml: invalid: 3 errors, 0 warnings",
    ]
    (tmp_path / "token").write_text("t")
    variables = {"CHECK_SLACK_URL": "https://a.example/x", "TWILIO_SID": "AC1", "TWILIO_TOKEN": "t"}
    done = check(tmp_path, GOOD, "--resolve", **variables)
    assert (done.status, done.lines()[-1]) == (0, "  secrets read: CHECK_SLACK_URL, token")


def test_all_errors_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    done = check(tmp_path, BAD)
    assert (done.status, done.err) == (1, "")
    assert [line.split(": ")[:3] for line in done.lines()[:-1]] == [
        ["n.toml:2:16", "error", "settings.max_attempts"],
        ["n.toml:4:7", "error", "receivers.oncall.slack.webhook_ulr"],
        ["n.toml:5:24", "error", "receivers.oncall.http.http_webhook_url"],
        ["n.toml:7:14", "error", "routes[0].receivers"],
        ["n.toml:9:8", "error", "templates.t.text"],
    ]
    assert done.lines()[-1] == "n.toml: invalid: 5 errors, 0 warnings"
    assert "did you mean webhook_url?" in done.out
    assert "did you mean oncall?" in done.out
    assert "s3cret" not in done.out


def test_the_json_report_has_the_same_content(tmp_path: Path) -> None:
    good = check(tmp_path, GOOD, "--format", "json")
    assert good.status == 0
    assert good.json == {
        "file": "n.toml",
        "ok": True,
        "errors": [],
        "warnings": [],
        "receivers": [{"name": "oncall", "channels": ["slack", "sms", "sms"]}, {"name": "ops", "channels": ["http"]}],
        "default_receivers": ["ops"],
        "routes": 1,
        "tree": [
            {
                "number": 1,
                "line": 11,
                "depth": 0,
                "name": None,
                "match": 'level = "critical"',
                "receivers": ["oncall"],
                "continue": False,
                "group": None,
            }
        ],
        "state": None,
        "templates": ["short"],
        "silences": ["weekend"],
        "variables": ["CHECK_SLACK_URL"],
        "files": ["token"],
    }
    bad = check(tmp_path, BAD, "--format", "json")
    assert (bad.status, bad.json["ok"], len(bad.json["errors"])) == (1, False, 5)
    assert bad.json["errors"][0] == {
        "line": 2,
        "column": 16,
        "path": "settings.max_attempts",
        "code": "config_file",
        "message": "must be a whole number from 1 to 100",
    }


WARNED: list[tuple[str, list[str], str]] = [
    (
        GOOD + "[templates.t]\ntext = '{{ notification.tilte }}'\n",
        [],
        "n.toml:20:8: warning: templates.t.text: there is no notification.tilte, so this is empty; "
        "did you mean notification.title?",
    ),
    (
        GOOD,
        ["--argument", "default_receivers=oncall"],
        "n.toml: warning: trigger argument default_receivers: the configuration file has another value, which applies",
    ),
    (
        GOOD,
        ["--argument", "max_atempts=3"],
        "n.toml: warning: trigger argument max_atempts: unknown, ignored; did you mean max_attempts?",
    ),
]


@pytest.mark.parametrize(("text", "arguments", "line"), WARNED)
def test_a_warning_is_no_error(text: str, arguments: list[str], line: str, tmp_path: Path) -> None:
    done = check(tmp_path, text, *arguments)
    assert (done.status, done.lines()[0]) == (0, line)


def test_an_invalid_trigger_argument_is_an_error(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD.replace('default_receivers = ["ops"]', ""), "--argument", "default_receivers=nobody")
    assert done.status == 1
    assert done.lines()[0].startswith(
        "n.toml: error: default_receivers: The trigger argument default_receivers names 'nobody', which is no receiver"
    )


UNREADABLE: dict[str, tuple[Any, str]] = {
    "none": (lambda file: None, "is not there"),
    "a directory": (lambda file: file.mkdir(), "is a directory"),
    "a pipe": (os.mkfifo, "is no file"),
}


@pytest.mark.parametrize(("make", "what"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_ends_with_3(make: Any, what: str, tmp_path: Path) -> None:
    make(tmp_path / "n.toml")
    done = run("check", "n.toml", cwd=tmp_path)
    assert (done.status, done.out, done.err) == (3, "", f"n.toml: error: the file {what}\n")
    done = run("check", "--format", "json", "n.toml", cwd=tmp_path)
    problem = {"code": "config_file", "message": f"the file {what}"}
    assert (done.status, done.json, done.err) == (3, {"errors": [problem], "warnings": []}, "")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'a = 1\nb = "\xc3\xa9\xff"\n', "n.toml:2:7: error: this is no UTF-8; save the file as UTF-8"),
        (b"\xff\xfe[\0a\0]\0", "n.toml:1:1: error: this is UTF-16; save the file as UTF-8"),
        (b"", "n.toml:1:1: error: the file is empty"),
        (b"[receivers.a\n", "n.toml:1:13: error: this table's name is not closed; ] is missing; the file ends here"),
    ],
)
def test_a_toml_syntax_error_has_its_line(content: bytes, line: str, tmp_path: Path) -> None:
    done = check(tmp_path, content)
    assert (done.status, done.lines()[0]) == (1, line)


def test_the_endpoints_hint_names_this_command(tmp_path: Path) -> None:
    """The command in the log line works: the path is the argument's."""
    source = (ROOT / "core" / "src" / "config" / "load.rs").read_text(encoding="utf-8")
    assert "`influxdb3-notifier {check} {name}` shows everything." in source
    assert set(re.findall(r'"(check[^"]*)"', source)) == {"check", "check --resolve"}
