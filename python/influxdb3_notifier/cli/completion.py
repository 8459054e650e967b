"""``completion SHELL``: the script that lets a shell complete this command line."""

import argparse
import sys
from importlib.resources import files

from influxdb3_notifier.cli import command

SHELLS = ("bash", "zsh")
"""For each there is ``completions/SHELL``, which is written from the parser and not by hand."""
DOES = """
Prints the script that lets a shell complete commands, flags, files and channels. It is for the program's name,
influxdb3-notifier, wherever that is found.
"""
STATUSES = {command.DONE: "printed"}
EXAMPLES = """
influxdb3-notifier completion bash > ~/.local/share/bash-completion/completions/influxdb3-notifier
influxdb3-notifier completion zsh > ~/.zfunc/_influxdb3-notifier
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "completion",
        run,
        brief="print the script that completes this command line in a shell",
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, help="for which shell")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    sys.stdout.write((files(__package__) / "completions" / options.shell).read_text(encoding="utf-8"))
    return command.DONE
