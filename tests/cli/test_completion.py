"""``completion``: the shells' suggestions, and scripts that match the parser."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from influxdb3_notifier.cli.completion import SHELLS
from tests.cli import completions
from tests.cli.program import MODULE, PROGRAM, run

# The completion function of bash-completion.
AT_TAB = """
source {script}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
[ -n "$OPEN" ] || {{ COMP_WORDS+=(''); COMP_CWORD=$((COMP_CWORD + 1)); }}
$(complete -p influxdb3-notifier | sed 's/.*-F \\([^ ]*\\).*/\\1/') influxdb3-notifier
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_script_matches_the_parser(shell: str) -> None:
    written = (completions.PLACE / shell).read_text(encoding="utf-8")
    assert written == completions.script(shell), "python -m tests.cli.completions, then make build"
    assert run("completion", shell).out == written
    assert run("completion", shell, program=MODULE).out == written


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("influxdb3-notifier te", ["templates"]),
        ("influxdb3-notifier outbox re", ["retry"]),
        ("influxdb3-notifier send --dr", ["--dry-run"]),
        ("influxdb3-notifier check --format ", ["text", "json"]),
        ("influxdb3-notifier channels dis", ["discord"]),
        ("influxdb3-notifier render --channel goo", ["google_chat"]),
        ("influxdb3-notifier check noti", ["notifier.toml"]),
        ("influxdb3-notifier send --request al", ["alert.json"]),
        ("influxdb3-notifier install-plugin plug", ["plugins"]),
        ("influxdb3-notifier completion ", ["bash", "zsh"]),
    ],
)
def test_bash_completes_commands_and_flags(words: str, offered: list[str], tmp_path: Path) -> None:
    for name in ("notifier.toml", "alert.json", "other"):
        (tmp_path / name).touch()
    (tmp_path / "plugins").mkdir()
    program = AT_TAB.format(script=completions.PLACE / "bash", words=words)
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    environment["OPEN"] = "" if words.endswith(" ") else "yes"
    process = subprocess.run(
        ["bash", "--norc", "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    assert (process.stdout.split(), process.stderr) == (offered, "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_loads_the_script(tmp_path: Path) -> None:
    shutil.copy(completions.PLACE / "zsh", tmp_path / "_influxdb3-notifier")
    program = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump; "
    program += "autoload +X _influxdb3-notifier; print -r -- $_comps[influxdb3-notifier]"
    process = subprocess.run(["zsh", "-f", "-c", program], capture_output=True, text=True, check=True)
    assert (process.stdout, process.stderr) == ("_influxdb3-notifier\n", "")
