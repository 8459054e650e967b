"""``routes``: the receivers of a notification and the reasons, and silences at a given time."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Done, run

FILE = """\
[settings]
default_receivers = ["ops"]
[receivers.oncall]
slack.webhook_url = { env = "ROUTES_SLACK_URL" }
sms = { sid = "AC1", token = "t", from_number = "+15017122661", to_number = "+15558675310" }
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
[receivers.team.discord]
webhook_url = "https://discord.com/api/webhooks/1/x"

[[routes]]
match = { level = ["error", "critical"], fields = { host = "~^db" } }
receivers = ["oncall"]
continue = true

[[routes]]
match = { level = "critical" }
receivers = ["oncall", "ops"]

[[routes]]
match = { status = "resolved" }
receivers = ["team"]
"""
NIGHT = """
[[silences]]
name = "night"
match = { level = ["ok", "info", "warning"] }
weekly = "Mon-Sun 01:30-03:30"
time_zone = "Europe/Berlin"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "n.toml"
    path.write_text(FILE)
    return path


def routes(file: Path, *flags: str, **environment: str) -> Any:
    return run("routes", file, *flags, "--format", "json", environment=environment).json


def reached(routing: Any) -> list[tuple[str, str, int | None]]:
    return [(reached["name"], reached["reason"], reached["route"]) for reached in routing["receivers"]]


WHO: list[tuple[list[str], list[tuple[str, str, int | None]], list[str]]] = [
    ([], [("ops", "default", None)], ["level", "level", "status"]),
    (["--level", "crit"], [("oncall", "route", 2), ("ops", "route", 2)], ["fields.host", "", "-status"]),
    (
        ["--level", "critical", "--field", "host=db1"],
        [("oncall", "route", 1), ("ops", "route", 2)],
        ["", "", "-status"],
    ),
    (["--level", "error", "--field", "host=db1"], [("oncall", "route", 1)], ["", "level", "status"]),
    (["--text", "[ERROR] x", "--field", "host=db1"], [("oncall", "route", 1)], ["", "level", "status"]),
    (["--status", "resolved"], [("team", "route", 3)], ["level", "level", ""]),
    (["--receiver", "team", "--level", "critical"], [("team", "named", None)], ["-fields.host", "-", "-status"]),
    (["--receiver", "tean"], [("tean", "unknown", None)], ["-level", "-level", "-status"]),
]


def test_the_files_level_names_work_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "n.toml"
    text = '[settings]\nlevel_map = { wichtig = "critical", page = "info" }\n'
    text += '[receivers.a.slack]\nwebhook_url = "https://a.example"\n'
    file.write_text(text)
    for word, level in [("wichtig", "critical"), ("PAGE", "info"), ("fatal", "critical"), ("sev-3", "warning")]:
        assert routes(file, "--level", word)["level"] == level
    done = run("routes", file, "--level", "wichtg")
    assert (done.status, done.err.count("\n")) == (2, 2)
    assert "--level: unknown value: wichtg; choose from ok, info, warning, error, critical" in done.err
    # Errors of the file come first, because the file may define the word.
    file.write_text(text + "[recievers]\n")
    done = run("routes", file, "--level", "wichtg")
    assert (done.status, "did you mean receivers?" in done.err) == (3, True)


@pytest.mark.parametrize(("flags", "who", "said"), WHO, ids=lambda value: " ".join(map(str, value)))
def test_the_output_has_the_receivers_and_each_routes_decision(
    flags: list[str], who: list[tuple[str, str, int | None]], said: list[str], file: Path
) -> None:
    routing = routes(file, *flags)
    assert reached(routing) == who
    # Routes that are not evaluated have a minus.
    got = [("" if route["evaluated"] else "-") + (route["mismatch"] or "") for route in routing["routes"]]
    assert got == said
    assert [route["line"] for route in routing["routes"]] == [11, 16, 20]
    nobody = all(why == "unknown" for _, why, _ in who)
    assert run("routes", file, *flags).status == int(nobody)


def test_without_json_the_output_is_lines(file: Path) -> None:
    done = run("routes", file, "--level", "critical", "--field", "host=db1")
    assert (done.status, done.err) == (0, "")
    assert done.lines() == [
        "oncall: route 1 (line 11) matches -> slack, sms",
        "ops: route 2 (line 16) matches -> http",
        "",
        "level for matchers: critical",
        "fields for matchers: host=db1",
        "route 1 (line 11): matches; continue",
        "route 2 (line 16): matches",
        "route 3 (line 20): not evaluated, because an earlier route matches; status does not match",
    ]


def test_labels_of_destinations_are_shown_when_secrets_are_looked_up(file: Path) -> None:
    done = run(
        "routes", file, "--level", "critical", "--resolve", environment={"ROUTES_SLACK_URL": "https://a.example/x"}
    )
    assert done.lines()[0].startswith("oncall: route 2 (line 16) matches -> slack a.example#")
    assert done.lines()[0].endswith(", sms +1***10")
    done = run("routes", file, "--level", "critical", "--resolve", environment={"ROUTES_SLACK_URL": ""})
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith(f"{file}:4:21: error: receivers.oncall.slack.webhook_url: the environment variable")


# At other times; Berlin's clocks go forward on 29 March 2026 at 2 and back on 25 October at 3.
NIGHTS = [
    ("2026-03-28T00:29:00Z", False),
    ("2026-03-28T00:30:00Z", True),
    ("2026-03-28T02:29:00Z", True),
    ("2026-03-28T02:30:00Z", False),
    ("2026-03-29T00:30:00Z", True),
    ("2026-03-29T01:29:00Z", True),
    ("2026-03-29T01:30:00Z", False),
    ("2026-10-24T23:29:00Z", False),
    ("2026-10-24T23:30:00Z", True),
    ("2026-10-25T02:29:00Z", True),
    ("2026-10-25T02:30:00Z", False),
    ("2026-07-01T02:00:00+02:00", True),
    ("2026-07-01T02:00:00+00:00", False),
]


@pytest.mark.parametrize(("at", "holds"), NIGHTS)
def test_a_silence_at_a_given_time_uses_its_time_zone(at: str, holds: bool, file: Path) -> None:
    file.write_text(FILE + NIGHT)
    done = run("routes", file, "--level", "info", "--at", at)
    assert done.status == int(holds)
    assert ("nothing is sent: the silence night mutes the notification" in done.lines()) == holds
    # It is not for others.
    assert run("routes", file, "--level", "error", "--at", at).status == 0


def test_an_inactive_silence_says_why(file: Path) -> None:
    file.write_text(FILE + NIGHT)
    lines = run("routes", file, "--level", "error", "--at", "2026-07-01T12:00:00Z").lines()
    assert lines[-1] == "silence night (line 24): level does not match, but is not active at this time"


def test_a_silence_is_not_for_a_resolved(file: Path) -> None:
    file.write_text(FILE + NIGHT)
    done = run("routes", file, "--level", "info", "--status", "resolved", "--at", "2026-10-25T01:30:00Z")
    assert done.status == 0
    assert done.lines()[-1] == "silence night (line 24): status does not match"


MODES = [
    ("ignore", 0, ["slack: ignored, from the request", "ops: default receiver -> http"]),
    ("allow", 0, ["slack: used, from the request"]),
    ("deny", 1, ["no receiver: request_destinations=deny, and the request has senders_config (403)"]),
]


@pytest.mark.parametrize(("mode", "status", "lines"), MODES)
def test_request_destinations_decides_about_a_requests_own_destinations(
    mode: str, status: int, lines: list[str], file: Path
) -> None:
    body = json.dumps(
        {"notification_text": "x", "senders_config": {"slack": {"slack_webhook_url": "https://a.example"}}}
    )
    done = run("routes", file, "--request", "-", "--argument", f"request_destinations={mode}", stdin=body.encode())
    assert (done.status, done.lines()[: len(lines) + 1]) == (status, [*lines, ""])


def test_no_matching_route_means_no_receiver(file: Path) -> None:
    file.write_text(FILE.replace('default_receivers = ["ops"]', ""))
    done = run("routes", file, "--text", "x")
    assert (done.status, done.lines()[0]) == (1, "no receiver: no route matches, and there is no default receiver")


# Requests


def test_a_request_is_read_as_the_endpoint_reads_it(file: Path, tmp_path: Path) -> None:
    request = tmp_path / "alert.json"
    request.write_bytes('{"notification_text": "[CRITICAL] ü", "extra": 1}'.encode("utf-16"))
    done = run("routes", file, "--request", request)
    assert (done.status, done.lines()[0]) == (0, "oncall: route 2 (line 16) matches -> slack, sms")
    assert done.lines()[-1] == "warning: extra: unknown field, ignored"
    # Flags replace the request's members.
    done = run("routes", file, "--request", request, "--level", "ok")
    assert done.lines()[0] == "ops: default receiver -> http"


BAD_REQUESTS: list[tuple[bytes, int, str]] = [
    (b"", 3, "the request: No request body provided. POST a JSON object with notification_text and senders_config."),
    (b"{", 3, "the request: Invalid JSON in request body. At line 1, column 1: "),
    (b"[]", 3, "the request: Invalid JSON in request body. It must be an object, found an array. "),
    (b'{"receivers": ["ops"]}', 1, "the request: Missing required fields: 'senders_config' or 'notification_text'. "),
    (
        b'{"notification_text": "x", "receivers": "ops"}',
        3,
        "the request: The field receivers must be a list of names, ",
    ),
]


@pytest.mark.parametrize(("body", "status", "message"), BAD_REQUESTS)
def test_an_invalid_request_gets_the_endpoints_error(body: bytes, status: int, message: str, file: Path) -> None:
    done = run("routes", file, "--request", "-", stdin=body)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(message)
    assert run("routes", file, "--request", "-", "--format", "json", stdin=body).json["errors"][0]["code"]


def test_a_request_file_that_is_not_there_is_named(file: Path) -> None:
    done = run("routes", file, "--request", "/not/there.json")
    assert (done.status, done.out, done.err) == (3, "", "/not/there.json: No such file or directory\n")


def test_an_invalid_time_exits_with_2(file: Path) -> None:
    done: Done = run("routes", file, "--at", "tomorrow")
    assert (done.status, done.out) == (2, "")
    assert done.err == "--at must be a time of RFC 3339, such as 2026-01-31T12:00:00Z\n"


def test_an_invalid_file_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text("[recievers]\n")
    done = run("routes", "n.toml", cwd=tmp_path)
    assert (done.status, done.out) == (3, "")
    assert done.err == "n.toml:1:2: error: recievers: unknown key; did you mean receivers?\n"
