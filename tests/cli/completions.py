"""Writes the completion scripts of the command line from its parser: ``python -m tests.cli.completions``.

The scripts are part of the wheel, so that it needs no other package to have them. A test holds them against the parser.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from influxdb3_notifier.cli import build_parser
from influxdb3_notifier.cli.completion import SHELLS

PLACE = Path(__file__).resolve().parents[2] / "python" / "influxdb3_notifier" / "cli" / "completions"
CHANNELS = shtab.cmd("influxdb3-notifier channels | cut -d ' ' -f 1")
BY_METAVAR = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "CHANNEL": CHANNELS}
"""The completion for each placeholder of the help."""


def script(shell: str) -> str:
    """The completion script for a shell."""
    parser = build_parser()
    for action in actions(parser):
        if action.metavar in BY_METAVAR:
            action.complete = BY_METAVAR[str(action.metavar)]  # type: ignore[attr-defined] # where shtab looks
    return str(shtab.complete(parser, shell)).rstrip() + "\n"


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments, including those of commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions(command)


if __name__ == "__main__":
    for name in SHELLS:
        (PLACE / name).write_text(script(name), encoding="utf-8")
