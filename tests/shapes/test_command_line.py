"""The output of the command line with ``--format json``."""

from pathlib import Path

import pytest

from tests.cli.program import Done, run
from tests.harness import Standin
from tests.shapes.golden import compare

FILE = """\
[settings]
default_receivers = ["ops"]
[receivers.oncall]
slack = { webhook_url = { env = "NOT_SET" }, template = "short" }
sms = { sid = "AC1", token = { file = "token" }, from_number = "+15017122661", to_number = "+15558675310" }
[receivers.ops.http]
webhook_url = "https://ops.example/hook"
[[routes]]
match = { level = ["error", "critical"], fields = { host = "~^db" } }
receivers = ["oncall"]
continue = true
[[routes]]
match = { status = "resolved" }
receivers = ["ops"]
[templates.short]
text = "{{ notification.level | upper }}: {{ notification.text }}"
[[silences]]
name = "night"
match = { level = "info" }
weekly = "Mon-Sun 01:30-03:30"
time_zone = "UTC"
"""
WRONG = """\
[settings]
max_attempts = 0
[receivers.oncall]
slack.webhook_ulr = "x"
http = { webhook_url = { file = "absent" } }
[[routes]]
match = { level = "info" }
receivers = ["oncall"]
[templates.t]
text = "{{ notification.tilte }}{{ 1 | nope }}"
"""
NOTIFICATION = ["--text", "disk full", "--level", "error", "--field", "host=db1"]
AT = ["--at", "2026-11-30T12:00:00Z"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "notifier.toml").write_text(FILE)
    (tmp_path / "wrong.toml").write_text(WRONG)
    (tmp_path / "rules.toml").write_text(FILE.replace('default_receivers = ["ops"]\n', ""))
    return tmp_path


def command(directory: Path, *words: str, status: int = 0) -> Done:
    done = run(*words, "--format", "json", cwd=directory)
    assert done.status == status, done.err + done.out
    return done


def test_check(directory: Path) -> None:
    compare("command_line/check", command(directory, "check", "notifier.toml").json)
    compare("command_line/check_warnings", command(directory, "check", "rules.toml").json)
    compare("command_line/check_errors", command(directory, "check", "wrong.toml", "--resolve", status=1).json)
    compare("command_line/check_unreadable", command(directory, "check", "absent.toml", status=3).json)


def test_routes(directory: Path) -> None:
    compare("command_line/routes", command(directory, "routes", "notifier.toml", *NOTIFICATION, *AT).json)
    silenced = ["--text", "disk full", "--level", "info", "--at", "2026-11-30T02:00:00Z"]
    compare("command_line/routes_silenced", command(directory, "routes", "notifier.toml", *silenced, status=1).json)


def test_render(directory: Path) -> None:
    (directory / "token").write_text("token")
    flags = [*NOTIFICATION, "--receiver", "oncall", "--receiver", "absent"]
    compare("command_line/render", command(directory, "render", "notifier.toml", *flags, status=1).json)


def test_templates(directory: Path) -> None:
    flags = [*NOTIFICATION, *AT]
    compare("command_line/templates", command(directory, "templates", "check", "notifier.toml", *flags).json)
    wrong = command(directory, "templates", "check", "wrong.toml", status=1).json
    compare("command_line/templates_errors", wrong)


def test_channels(directory: Path) -> None:
    compare("command_line/channels", command(directory, "channels", "sms").json)


def test_send(directory: Path, standin: Standin) -> None:
    file = f'[receivers.hook.http]\nwebhook_url = "{standin.url}/hook/golden"\n'
    (directory / "send.toml").write_text(file)
    sent = command(directory, "send", "send.toml", "--all")
    compare("command_line/send", sent.json)
    refused = command(directory, "send", "absent.toml", "--text", "x", status=3).json
    compare("command_line/send_refused", refused, directory=directory)


def test_an_outbox_that_cannot_be_used(directory: Path) -> None:
    shown = command(directory, "outbox", "list", "absent.db", status=3)
    compare("command_line/outbox_unusable", shown.json, directory=directory)
