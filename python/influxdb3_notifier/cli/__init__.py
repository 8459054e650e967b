"""The command ``influxdb3-notifier``. The plugin does not import this package.

A command is a module with a function ``add(commands)``. ``COMMANDS`` lists these modules.
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
"""In the order of the help text."""
DESCRIPTION = """
Tools of influxdb3-notifier, the notification plugin for InfluxDB 3. They write the plugin file, check a
configuration file, preview routing and messages, send notifications, and manage an outbox. No server is needed.
"""
STATUSES = {
    command.DONE: "the command succeeded and found nothing wrong",
    command.NO: "the command ran, but the result is negative; each command's --help says what that means",
    command.FAILED: "the command could not run",
    command.INTERRUPTED: "Ctrl-C interrupted the command",
}
EXAMPLES = """
influxdb3-notifier check notifier.toml
influxdb3-notifier send notifier.toml --text 'test' --dry-run
influxdb3-notifier send --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: without the program's name; None: the arguments of the process.
    :returns: the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal's encoding may lack a character such as an emoji.
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
        # The reader closed the pipe. The interpreter must not write to it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return command.NO
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(prog="influxdb3-notifier", description=command.describe(DESCRIPTION, STATUSES, EXAMPLES))
    parser.add_argument("--version", action="version", version=f"influxdb3-notifier {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return parser
