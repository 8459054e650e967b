"""``send``: delivers as the endpoint, and waits for the end."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import PROGRAM, heed_interrupts, run
from tests.harness import Standin

ANSWER = ["status", "message", "task_id", "results", "deliveries", "warnings"]


class Lines:
    """Receives log lines."""

    def info(self, line: str) -> None:
        """Ignored."""

    warn = error = info


def write(directory: Path, standin: Standin, more: str = "") -> Path:
    file = directory / "n.toml"
    file.write_text(
        f'[settings]\ninitial_backoff = "10ms"\nmax_backoff = "20ms"\n{more}\n'
        f'[receivers.chat.slack]\nwebhook_url = {{ env = "SEND_SLACK_URL" }}\n'
        f'[receivers.hook.http]\nwebhook_url = "{standin.url}/hook/send"\n'
        '[[routes]]\nmatch = { level = "critical" }\nreceivers = ["chat", "hook"]\n'
        '[[routes]]\nreceivers = ["hook"]\n'
        '[[silences]]\nname = "quiet"\nmatch = { level = "ok" }\n'
    )
    return file


@pytest.fixture
def environment(standin: Standin) -> dict[str, str]:
    return {"SEND_SLACK_URL": f"{standin.url}/services/T0/B0/send"}


def test_a_notification_is_sent_and_its_log_goes_to_standard_error(
    standin: Standin, environment: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path, standin)
    done = run("send", file, "--text", "hi", "--level", "critical", "--format", "json", environment=environment)
    response = done.json
    assert (done.status, list(response), response["results"]) == (0, ANSWER, {"chat": True, "hook": True})
    assert sorted(message["provider"] for message in standin.messages()) == ["slack", "webhook"]
    lines = done.err.splitlines()
    assert lines[0] == f"INFO notifier [{response['task_id']}] accepted: 2 deliveries"
    assert sum("delivered in" in line for line in lines) == 2


def test_the_output_lists_each_outcome(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    standin.rule("/hook/*", reply={"status": 404, "body": "gone"})
    done = run("send", write(tmp_path, standin), "--text", "hi", "--level", "critical", environment=environment)
    assert done.status == 1
    status, chat, hook = done.lines()
    assert status == "partial"
    assert chat.startswith("  chat: slack 127.0.0.1:")
    assert " ms (HTTP 200, attempt 1)" in chat
    assert "failed, unknown_destination: the receiver: gone. " in hook
    # The log does not say it again.
    assert "gone" not in done.err
    assert "accepted: 2 deliveries" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--receiver", "nobody"], "unknown_receiver"),
        (["--request", "-"], "Missing required fields"),
    ],
)
def test_a_failure_is_printed_once(
    flags: list[str], words: str, standin: Standin, environment: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path, standin)
    text = ["--text", "hi"] if "--receiver" in flags else []
    done = run("send", file, *flags, *text, stdin=b"{}", environment=environment)
    assert done.status in (1, 3)
    assert (done.out.count(words), done.err.count(words)) == (1, 0)
    done = run("send", file, *flags, *text, "--format", "json", stdin=b"{}", environment=environment)
    # A program reads the one, and people the other.
    assert (words in done.out, words in done.err) == (True, True)


def test_every_receiver_is_tested_at_once(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path, standin)
    done = run("send", file, "--all", "--format", "json", environment=environment)
    assert (done.status, done.json["results"]) == (0, {"chat": True, "hook": True})
    assert {message["text"] for message in standin.messages()} == {"This is a test."}
    done = run("send", file, "--all", "--text", "drill", "--dry-run", environment=environment)
    assert [line.strip() for line in done.lines() if "drill" in line] == ['"text": "drill"', '"message": "drill"']


def test_testing_every_receiver_needs_a_file_with_receivers(standin: Standin, tmp_path: Path) -> None:
    file = write(tmp_path, standin)
    for arguments in (["--all"], [file, "--all", "--receiver", "chat"]):
        done = run("send", *arguments)
        assert (done.status, "--all sends to every receiver of FILE" in done.err) == (2, True)
    (tmp_path / "empty.toml").write_text("[settings]\n")
    done = run("send", tmp_path / "empty.toml", "--all")
    assert (done.status, "the file has no receiver" in done.err) == (3, True)
    (tmp_path / "bad.toml").write_text("[receivers.a.slak]\n")
    done = run("send", tmp_path / "bad.toml", "--all")
    assert (done.status, "slak" in done.err) == (3, True)
    assert standin.messages() == []


def test_it_waits_for_every_delivery_to_end(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    standin.rule("/hook/*", reply={"status": 503, "headers": [["retry-after", "1"]], "body": ""}, times=2)
    file = write(tmp_path, standin, 'response_timeout = "100ms"')
    done = run("send", file, "--text", "hi", "--format", "json", environment=environment)
    assert (done.status, done.json["results"]) == (0, {"hook": True})
    assert done.json["deliveries"][0]["attempts"] == 3
    assert "attempt 1 failed" in done.err
    assert "delivered in" in done.err


def test_it_waits_at_most_for_the_given_time(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    standin.rule("/hook/*", hang=True)
    file = write(tmp_path, standin, 'response_timeout = "100ms"')
    done = run("send", file, "--text", "hi", "--wait", "0.3", environment=environment)
    assert done.status == 1
    assert done.lines()[0] == "pending"
    assert done.lines()[1].endswith(": pending")


def test_a_dry_run_shows_the_messages_and_sends_nothing(
    standin: Standin, environment: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path, standin, "dry_run = false")
    done = run("send", file, "--text", "hi", "--dry-run", environment=environment)
    assert done.status == 0
    assert done.lines()[0] == "success"
    assert done.lines()[1].endswith(": dry_run")
    assert done.lines()[2:] == ["    {", '      "message": "hi"', "    }"]
    request = json.dumps({"notification_text": "hi", "dry_run": False})
    done = run("send", file, "--request", "-", "--dry-run", environment=environment, stdin=request.encode())
    assert done.lines()[1].endswith(": dry_run")
    assert standin.requests() == []


def test_silences_apply_to_send(standin: Standin, environment: dict[str, str], tmp_path: Path) -> None:
    done = run("send", write(tmp_path, standin), "--text", "hi", "--level", "ok", environment=environment)
    assert done.status == 0
    assert done.lines()[1].endswith(": suppressed by quiet")
    assert standin.requests() == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_without_a_file_the_request_names_its_destinations(encoding: str, standin: Standin, tmp_path: Path) -> None:
    senders = tmp_path / "senders.json"
    text = json.dumps({"http": {"http_webhook_url": f"{standin.url}/hook/direct"}, "pager": {}})
    senders.write_text(text, encoding=encoding)
    done = run("send", "--text", "hi", "--senders-config", f"@{senders}")
    assert (done.status, done.lines()[0]) == (1, "partial")
    assert done.lines()[2].startswith("  pager: failed, unknown_sender: ")
    assert [message["text"] for message in standin.messages()] == ["hi"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--text", "hi"], "missing_field", "Missing required fields: 'senders_config' or 'notification_text'."),
        (["--request", "-"], "no_body", "No request body provided."),
        (["--text", "hi", "--argument", "max_attempts=0"], "invalid_argument", "must be a whole number from 1 to 100"),
        (
            ["--text", "hi", "--senders-config", '{"slack": {}}', "--argument", "request_destinations=deny"],
            "destinations_denied",
            "This trigger takes no destinations from requests",
        ),
        (["/not/there.toml", "--text", "hi"], "config_file", "/not/there.toml is not there"),
    ],
)
def test_a_refused_request_exits_with_3_and_the_endpoints_error(arguments: list[str], code: str, words: str) -> None:
    done = run("send", *arguments)
    assert done.status == 3
    assert words in done.out
    assert done.out.startswith("nothing was sent: ")
    assert done.err == ""
    done = run("send", *arguments, "--format", "json")
    assert done.err.startswith("ERROR notifier [-] answered ")
    response: Any = done.json
    assert (response["error"]["code"], response["results"]) == (code, {})


def test_the_idempotency_key_reaches_an_http_receiver(
    standin: Standin, environment: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path, standin)
    keys = []
    for _ in range(2):
        run("send", file, "--text", "hi", "--idempotency-key", "the same", environment=environment)
        [request] = standin.requests()
        keys += [value for name, value in request["headers"] if name.lower() == "idempotency-key"]
        standin.clear()
    assert keys[0] == keys[1]


def test_an_interrupt_is_reported(standin: Standin, tmp_path: Path) -> None:
    standin.rule("/hook/*", hang=True)
    senders = json.dumps({"http": {"http_webhook_url": f"{standin.url}/hook/hangs"}})
    command = [str(PROGRAM), "send", "--text", "hi", "--senders-config", senders]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts) as process:
        assert process.stderr is not None
        # The first line comes when the call has answered: from then on it only waits.
        assert "accepted: 1 delivery" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted\n")
