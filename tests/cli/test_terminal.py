"""Output at a terminal: colours and a progress indicator."""

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import PROGRAM, heed_interrupts, run
from tests.harness import Standin

COLOURS = ("\x1b[31m", "\x1b[32m", "\x1b[33m")


class Terminal:
    """The program with a terminal for both of its outputs."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [str(PROGRAM), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**clean, "TERM": "xterm", **environment},
            preexec_fn=heed_interrupts,
        )
        os.close(theirs)
        self.text = ""

    def until(self, words: str | None = None) -> str:
        """The output until the terminal shows ``words``, or until the end."""
        while words is None or words not in self.text:
            try:
                some = os.read(self._ours, 4096)
            except OSError:  # how Linux says that nobody has it open any more
                some = b""
            if not some:
                assert words is None, f"{words!r} never came: {self.text!r}"
                break
            self.text += some.decode()
        return self.text

    def end(self) -> str:
        """The whole output."""
        self.until()
        os.close(self._ours)
        self.process.wait(30)
        return self.text


def broken(directory: Path) -> Path:
    file = directory / "n.toml"
    file.write_text("[receivers.a.slack]\nunknown = 1\n")
    return file


def test_an_error_is_red_on_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal("check", broken(tmp_path))
    assert "\x1b[31merror\x1b[0m: " in terminal.end()
    assert terminal.process.returncode == 1


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_color_turns_colours_off(tmp_path: Path, environment: dict[str, str]) -> None:
    text = Terminal("check", broken(tmp_path), **environment).end()
    assert "error: " in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "arguments", [["check"], ["routes"], ["send", "--text", "x", "--format", "json"]], ids=" ".join
)
def test_a_pipe_gets_no_colour(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, broken(tmp_path), environment={"TERM": "xterm"})
    assert "error" in (done.out + done.err).lower()
    assert "\x1b" not in done.out + done.err


def test_outcomes_and_levels_have_colours(standin: Standin, tmp_path: Path) -> None:
    (tmp_path / "ok.json").write_text(f'{{"http": {{"http_webhook_url": "{standin.url}/hook/ok"}}}}')
    (tmp_path / "no.json").write_text(f'{{"http": {{"http_webhook_url": "{standin.url}/hook/no"}}}}')
    standin.rule("/hook/no", reply={"status": 404, "body": ""})
    delivered = Terminal("send", "--text", "x", "--senders-config", f"@{tmp_path}/ok.json").end()
    assert "\x1b[32mdelivered\x1b[0m in " in delivered
    command = ("send", "--text", "x", "--senders-config", f"@{tmp_path}/no.json")
    assert "\x1b[31mERROR\x1b[0m notifier [" in Terminal(*command, "--format", "json").end()
    failed = Terminal(*command).end()
    assert "ERROR" not in failed
    assert "\x1b[31mfailed\x1b[0m, unknown_destination" in failed


def test_a_waiting_command_shows_a_message_and_removes_it(standin: Standin, tmp_path: Path) -> None:
    config = tmp_path / "senders.json"
    config.write_text(f'{{"http": {{"http_webhook_url": "{standin.url}/hook/slow"}}}}')
    standin.rule("/hook/slow", hang=True)
    terminal = Terminal("send", "--text", "x", "--senders-config", f"@{config}", "--format", "json")
    assert "\r\x1b[Kwaiting for the deliveries; Ctrl-C stops them, 1 s" in terminal.until(", 1 s")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end().endswith(" s\r\x1b[Kinterrupted\r\n")
    assert terminal.process.returncode == 130


def test_a_pipe_gets_no_progress_message(standin: Standin, tmp_path: Path) -> None:
    config = tmp_path / "senders.json"
    config.write_text(f'{{"http": {{"http_webhook_url": "{standin.url}/hook/slow"}}}}')
    standin.rule("/hook/slow", delay_ms=1500)
    done = run("send", "--text", "x", "--senders-config", f"@{config}", environment={"TERM": "xterm"})
    assert done.status == 0
    assert all(line.startswith("INFO notifier [") for line in done.err.splitlines())
