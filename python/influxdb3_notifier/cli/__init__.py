"""The command ``influxdb3-notifier``. Nothing in here is imported by the plugin.

A command is a module with ``add(commands)``, and a line in ``COMMANDS``.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from influxdb3_notifier._native import __version__
from influxdb3_notifier.cli import (
    channels,
    check,
    command,
    completion,
    install_plugin,
    outbox,
    render,
    routes,
    send,
    templates,
    worker,
)
from influxdb3_notifier.cli.parser import Parser

COMMANDS = (install_plugin, channels, check, routes, render, send, templates, outbox, worker, completion)
"""In the order of the help."""
DOES = """
Tools of influxdb3-notifier, the notification plugin of InfluxDB 3: they write the plugin file, check a
configuration file, say who would get what, send, and look into an outbox. No server is needed.
"""
STATUSES = {
    command.DONE: "done, and the answer is yes",
    command.NO: "done, and the answer is no",
    command.FAILED: "it could not be done",
    command.INTERRUPTED: "interrupted",
}
EXAMPLES = """
influxdb3-notifier check notifier.toml
influxdb3-notifier send notifier.toml --text 'a test' --dry-run
influxdb3-notifier send --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: without the program's name; None: those of the process.
    :returns: the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        # Whatever the terminal's encoding: an emoji is no reason to fail.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
    except command.CommandError as error:
        return error.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return command.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Nothing more may be written, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return command.NO
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(prog="influxdb3-notifier", description=command.describe(DOES, STATUSES, EXAMPLES))
    parser.add_argument("--version", action="version", version=f"influxdb3-notifier {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return parser
