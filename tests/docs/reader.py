"""A reader who runs all commands of a document, with an empty home, an engine host and stand-ins."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.documents import Block, blocks, shape
from tests.engine_host.command import served
from tests.harness import ROOT, Standin

HOME = "/home/me"
"""The user in the documents' outputs."""

FIRST_STEPS = [
    block
    for block in blocks((ROOT / "docs" / "five-minutes.md").read_text(encoding="utf-8"))
    if block.heading.startswith(("## 1.", "## 2."))
]
"""The steps of docs/five-minutes.md that other pages need: the server, then the notifier."""


class Reader:
    """Runs the commands of a page in an empty home.

    :param others: programs that the page uses besides, by their names.
    """

    def __init__(self, home: Path, standin: Standin, others: dict[str, str] | None = None) -> None:
        self.home = home
        self.standin = standin
        self.url = "http://localhost:8181"
        self._exported = home / ".exported"
        programs = home / "bin"
        programs.mkdir()
        self._program(programs / "influxdb3", "tests.engine_host.command")
        for name, program in (others or {}).items():
            (programs / name).write_text(program)
            (programs / name).chmod(0o755)
        if shutil.which("curl") is None:
            self._program(programs / "curl", "tests.docs.documents")
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
        """Run a block, and return its output. Later blocks have its exported variables."""
        process = subprocess.run(
            self._command(block, f"env -0 > {self._exported}"),
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.home,
            check=False,
        )
        assert process.returncode == 0, f"{block.text}\n{process.stdout}{process.stderr}"
        exported = self._exported.read_bytes().decode().split("\0")
        self.environment |= dict(variable.split("=", 1) for variable in exported if "=" in variable)
        return process.stdout

    @contextmanager
    def keeps_running(self, block: Block) -> Iterator[None]:
        """Run a block in a separate terminal until the end of the test."""
        with served(self._command(block), self.environment, self.home) as self.url:
            yield

    def compare_all(self, rest: list[Block]) -> list[str]:
        """Run every block, and compare its output with the page's."""
        outputs: list[str] = []
        for block in rest:
            if block.language == "bash":
                outputs.append(self.types(block))
            elif block.language == "json":
                assert shape(json.loads(outputs[-1])) == shape(json.loads(block.text))
            else:
                assert block.language == "text"
                shown = block.text.replace(HOME, str(self.home)).strip()
                assert outputs[-1].strip() == shown, f"{outputs[-1]}\n\n{shown}"
        return outputs

    def _command(self, block: Block, then: str = "true") -> list[str]:
        text = block.text.replace("http://localhost:8181", self.url)
        for host in ("hooks.slack.com", "discord.com"):
            text = text.replace(f"https://{host}", self.standin.url)
        if "twilio" in text:
            text = text.replace("[settings]\n", f'[settings]\ntwilio_base_url = "{self.standin.url}"\n')
        assert "https://" not in text, "no packet of a test leaves loopback"
        return ["bash", "-euo", "pipefail", "-c", f"{text}\n{then}"]
