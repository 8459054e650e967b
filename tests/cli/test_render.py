"""``render``: the output is equal to the sent messages."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from influxdb3_notifier import _native, process_request
from tests.cli.program import run
from tests.cli.test_send import Lines

CHANNELS = [channel["sender"] for channel in json.loads(_native.channels())]
FILE = """\
[receivers.oncall]
slack = { webhook_url = { env = "RENDER_NOT_SET" }, template = "short" }
sms = { from_number = "+15017122661", to_number = { file = "phone" }, sid = "AC1", token = { env = "RENDER_NOT_SET" } }
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
body_template = '{"alert": {{ notification.text | tojson }}, "at": {{ now() | time("%H:%M") | tojson }}}'
[[routes]]
receivers = ["oncall", "ops"]
[templates.short]
text = "{{ notification.text | upper }}"
[templates.broken]
text = "{{ notification.text | number }}"
"""
FLAGS = [
    "--text",
    "disk full",
    "--title",
    "Disk of db1",
    "--level",
    "error",
    "--field",
    "host=db1",
    "--field",
    "used=97.3",
]
FLAGS += ["--link", "https://grafana.example.com/d/1", "--timestamp", "2026-11-25T02:41:00Z", "--status", "firing"]
REQUEST = {
    "notification_text": "disk full",
    "title": "Disk of db1",
    "level": "error",
    "status": "firing",
    "fields": {"host": "db1", "used": 97.3},
    "link": "https://grafana.example.com/d/1",
    "timestamp": "2026-11-25T02:41:00Z",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "n.toml"
    path.write_text(FILE)
    return path


def test_without_a_file_every_channel_is_shown_as_by_a_dry_run() -> None:
    done = run("render", *FLAGS, "--format", "json")
    assert (done.status, done.err) == (0, "")
    rendering = done.json
    assert [each["sender"] for each in rendering["deliveries"]] == CHANNELS
    assert rendering["warnings"] == []
    senders = {
        "slack": {"slack_webhook_url": "https://a.example"},
        "discord": {"discord_webhook_url": "https://a.example"},
        "http": {"http_webhook_url": "https://a.example"},
    }
    body = json.dumps({**REQUEST, "senders_config": senders, "dry_run": True}).encode()
    response: Any = process_request(1, Lines(), None, None, body, None)
    previews = [entry["preview"] for entry in response[0]["deliveries"]]
    for each, preview in zip(rendering["deliveries"], previews, strict=False):
        assert (each["content_type"], each["messages"]) == (preview["content_type"], [preview["body"]])
    assert parse_qs(rendering["deliveries"][3]["messages"][0])["Body"][0].startswith("ERROR: Disk of db1\ndisk full")
    assert rendering["deliveries"][3]["segments"] == 1


def test_json_is_shown_with_line_breaks_and_a_form_as_its_fields() -> None:
    done = run("render", "--text", "hi & ü", "--channel", "http", "--channel", "sms", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.out == (
        'http (application/json)\n{\n  "message": "hi & ü"\n}\n\n'
        "sms (application/x-www-form-urlencoded, 1 segment)\nTo: +1***06\nFrom: +1***01\nBody: hi & ü\n"
    )


def seen(*flags: str) -> dict[str, str]:
    """The readable messages of each channel, without the title line."""
    done = run("render", *flags)
    assert done.err == ""
    parts = re.split(r"^(\w+) \(.*\)\n", done.out, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_output_shows_title_text_fields_link_and_colour() -> None:
    shown = seen(*FLAGS, "--dedup-key", "k")
    assert list(shown) == CHANNELS
    for channel, text in shown.items():
        for part in ("Disk of db1", "disk full", "https://grafana.example.com/d/1"):
            assert part in text, channel
        if channel != "http":
            assert re.search(r"\bhost: db1\b", text), channel
            assert re.search(r"\bused: 97\.3\b", text), channel
            assert not re.search(r'[{}"]|</?b>|\\', text), f"{channel} shows markup: {text}"
    assert json.loads(shown["http"])["message"] == "disk full"
    assert shown["slack"] == (
        "🟠 Disk of db1\ndisk full\nOpen grafana.example.com <https://grafana.example.com/d/1>\n"
        "Error · firing since 2026-11-25 02:41 UTC\nhost: db1\nused: 97.3\ncolour: orange\n\n"
    )
    assert shown["teams"].endswith("[Open grafana.example.com] <https://grafana.example.com/d/1>\ncolour: red\n\n")
    assert shown["sms"].startswith("ERROR: Disk of db1\ndisk full\nhost: db1, used: 97.3\n")


@pytest.mark.parametrize(
    ("flags", "colour"),
    [
        (["--level", "critical"], "red"),
        (["--level", "error"], "orange"),
        (["--level", "warning"], "yellow"),
        (["--level", "info"], "blue"),
        (["--level", "ok"], "green"),
        (["--level", "critical", "--status", "resolved"], "green"),
    ],
)
def test_the_colour_is_a_word(flags: list[str], colour: str) -> None:
    shown = seen(
        "--text", "x", "--field", "a=b", *flags, "--channel", "slack", "--channel", "discord", "--channel", "email"
    )
    assert {text.strip().splitlines()[-1] for text in shown.values()} == {f"colour: {colour}"}


def test_a_plain_text_is_shown_unchanged() -> None:
    shown = seen("--text", "a & b <c>", "--dedup-key", "k")
    del shown["http"], shown["alertmanager"], shown["email"]
    assert [channel for channel, text in shown.items() if "a & b <c>" not in text] == []


def test_markup_is_rendered_and_control_characters_are_escaped() -> None:
    text = "see <https://a.example|the page> & go\x1b[31m"
    shown = seen("--text", text, "--title", "db_1 *x*", "--channel", "slack", "--channel", "discord")
    assert "see the page <https://a.example> & go" in shown["slack"]
    assert "db_1 *x*" in shown["slack"]
    assert "🔵 db_1 *x*" in shown["discord"]
    assert "\x1b" not in "".join(shown.values())


def test_the_body_is_shown_on_request() -> None:
    done = run("render", *FLAGS, "--channel", "slack", "--json")
    _, _, body = done.out.partition("\n")
    [delivery] = run("render", *FLAGS, "--channel", "slack", "--format", "json").json["deliveries"]
    assert json.loads(body) == json.loads(delivery["messages"][0])


def test_a_long_text_is_shown_message_by_message() -> None:
    done = run("render", "--text", "x" * 2_000, "--channel", "sms")
    assert [line for line in done.lines() if line.startswith("message")] == ["message 1 of 2:", "message 2 of 2:"]
    [delivery] = run("render", "--text", "x" * 2_000, "--channel", "sms", "--format", "json").json["deliveries"]
    assert (len(delivery["messages"]), delivery["segments"]) == (2, 14)


def test_with_a_file_its_receivers_are_shown_and_no_secret_is_needed(file: Path) -> None:
    done = run("render", file, "--text", "disk full", "--at", "2026-11-25T02:46:00Z", "--format", "json")
    assert (done.status, done.err) == (0, "")
    deliveries = done.json["deliveries"]
    assert [(each["receiver"], each["sender"], each["destination"]) for each in deliveries] == [
        ("oncall", "slack", None),
        ("oncall", "sms", None),
        ("ops", "http", None),
    ]
    assert [each["messages"][0] for each in deliveries][::2] == [
        '{"text":"DISK FULL"}',
        '{"alert": "disk full", "at": "02:46"}',
    ]
    done = run("render", file, "--receiver", "ops", "--text", "x", "--resolve")
    assert (done.status, done.out) == (3, "")
    assert "the environment variable RENDER_NOT_SET is not set" in done.err


def test_destinations_have_labels_when_secrets_are_looked_up(file: Path, tmp_path: Path) -> None:
    (tmp_path / "phone").write_text("+15558675310\n")
    environment = {"RENDER_NOT_SET": "https://a.example/s3cret"}
    done = run("render", file, "--resolve", environment=environment)
    assert done.status == 0
    assert done.out.startswith("slack a.example#")
    assert "sms +1***10 for oncall (application/x-www-form-urlencoded, 1 segment)" in done.lines()
    assert "s3cret" not in done.out
    assert "8675" not in done.out


def test_a_message_that_cannot_be_composed_is_an_error(file: Path) -> None:
    done = run("render", file, "--template", "broken", "--text", "x", "--receiver", "ops")
    assert done.status == 0
    assert done.lines()[-1] == (
        "warning: template broken: line 12, column 8 of the configuration file: this filter takes a number; "
        "the text goes as it is"
    )
    done = run(
        "render", file, "--request", "-", stdin=b'{"notification_text": null, "receivers": ["oncall", "nobody"]}'
    )
    assert done.status == 1
    assert (
        "slack for oncall: invalid_text: notification_text must be a string, found null (notification_text)" in done.out
    )
    assert "nobody for nobody: unknown_receiver: " in done.out


def test_no_receiver_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "n.toml").write_text('[receivers.a.slack]\nwebhook_url = "https://a.example"\n')
    done = run("render", "n.toml", cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("the request: Missing required fields")
    done = run("render", "n.toml", "--receiver", "a", "--channel", "email", cwd=tmp_path)
    assert (done.status, done.out) == (1, "no receiver\n")


def test_an_unknown_channel_gets_a_suggestion() -> None:
    done = run("render", "--channel", "slak")
    assert (done.status, done.out) == (2, "")
    assert "slak: there is no such channel; did you mean slack?" in done.err


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_a_field_that_is_no_json_number_is_a_string(value: str) -> None:
    done = run("render", "--field", f"load={value}", "--channel", "http", "--format", "json")
    assert (done.status, done.err) == (0, "")
    [message] = done.json["deliveries"][0]["messages"]
    assert json.loads(message)["fields"] == {"load": value}
