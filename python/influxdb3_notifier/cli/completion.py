"""``completion SHELL``: print the completion script of a shell."""

import argparse
import sys
from importlib.resources import files

from influxdb3_notifier.cli import command

SHELLS = ("bash", "zsh")
"""``completions/SHELL`` is generated from the parser by ``make completions``."""
DESCRIPTION = """
Prints a script with which a shell completes commands, options, files and channels of influxdb3-notifier.
"""
STATUSES = {command.DONE: "the script is printed"}
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
        brief="print the completion script of a shell",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    sys.stdout.write((files(__package__) / "completions" / options.shell).read_text(encoding="utf-8"))
    return command.DONE
