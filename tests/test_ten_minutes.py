"""docs/ten-minutes.md, followed word for word: an empty home, a server, and two stand-ins that get a message each."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.documents import Block, blocks, shape
from tests.harness import Standin, eventually

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ten-minutes.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
HOME = "/home/me"
"""Whose home the page's outputs show."""


class Reader:
    """Someone who types what the page says, in an empty home."""

    def __init__(self, home: Path, standin: Standin) -> None:
        self.home = home
        self.standin = standin
        self.url = "http://localhost:8181"
        programs = home / "bin"
        programs.mkdir()
        self._program(programs / "influxdb3", "tests.engine_host.command")
        if shutil.which("curl") is None:
            self._program(programs / "curl", "tests.documents")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO", "INFLUXDB3"))}
        for name in ("VIRTUAL_ENV", "PLUGIN_DIR", "PYTHONPATH"):
            clean.pop(name, None)
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = clean | {"HOME": str(home), "PATH": path, "NO_PROXY": "*", "no_proxy": "*"}

    @staticmethod
    def _program(path: Path, module: str) -> None:
        path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"\n')
        path.chmod(0o755)

    def types(self, block: Block) -> str:
        """Run a block to its end; gives its output."""
        process = subprocess.run(
            self._command(block), capture_output=True, text=True, env=self.environment, cwd=self.home, check=False
        )
        assert process.returncode == 0, f"{block.text}\n{process.stdout}{process.stderr}"
        return process.stdout

    @contextmanager
    def keeps_running(self, block: Block) -> Iterator[None]:
        """Run a block in a terminal of its own until the end."""
        state = self.home / ".engine-host.json"
        with subprocess.Popen(
            self._command(block), env=self.environment, cwd=self.home, start_new_session=True
        ) as server:
            try:
                eventually(
                    lambda: server.poll() is not None or (state.exists() and state.read_text()), "up", timeout=50
                )
                self.url = json.loads(state.read_text())["url"]
                yield
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGTERM)

    def _command(self, block: Block) -> list[str]:
        text = block.text.replace("http://localhost:8181", self.url)
        for host in ("hooks.slack.com", "discord.com"):
            text = text.replace(f"https://{host}", self.standin.url)
        assert "https://" not in text, "no packet of a test leaves loopback"
        return ["bash", "-euo", "pipefail", "-c", text]


@pytest.mark.timeout(180)
def test_the_page_ends_with_a_routed_message_at_two_stand_ins(standin: Standin, tmp_path: Path) -> None:
    reader = Reader(tmp_path, standin)
    serve, *rest = BLOCKS
    assert serve.text.startswith("influxdb3 serve ")
    with reader.keeps_running(serve):
        outputs = compare_all(reader, rest)
    status = next(json.loads(text) for text in outputs if '"receivers"' in text and '"plugin_api"' in text)
    assert (status["status"], status["receivers"], status["warnings"]) == ("ok", ["oncall", "team"], [])
    messages = [(message["provider"], message["text"]) for message in standin.messages()]
    assert [provider for provider, _ in messages] == ["slack", "discord"]
    assert "CPU of db1 at 97 %" in messages[0][1]
    assert "Backup of db1 took 40 minutes" in messages[1][1]
    # Nobody but the server's user can read the secrets.
    secrets = tmp_path / ".plugins" / "secrets"
    assert [path.stat().st_mode & 0o077 for path in (secrets, *secrets.iterdir())] == [0, 0, 0]


def compare_all(reader: Reader, rest: list[Block]) -> list[str]:
    """Type every block, and hold each output against the one that the page shows behind it."""
    outputs: list[str] = []
    for block in rest:
        if block.language == "bash":
            outputs.append(reader.types(block))
        elif block.language == "json":
            assert shape(json.loads(outputs[-1])) == shape(json.loads(block.text))
        else:
            assert block.language == "text"
            assert outputs[-1].strip() == block.text.replace(HOME, str(reader.home)).strip()
    return outputs


def test_the_pages_file_is_the_example() -> None:
    [heredoc] = [block.text for block in BLOCKS if "notifier.toml <<'END'" in block.text]
    example = (ROOT / "examples" / "two-receivers.toml").read_text(encoding="utf-8")
    shown: Any = heredoc.split("<<'END'\n")[1].removesuffix("\nEND")
    assert example.partition("\n\n")[2].strip() == shown.strip()


def test_the_pages_version_is_cargos() -> None:
    cargo = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    assert f'version = "{PAGE.partition("influxdb3-notifier==")[2].split()[0]}"' in cargo
