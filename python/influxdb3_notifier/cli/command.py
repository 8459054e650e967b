"""Common parts of all commands: exit statuses, the layout of the help, and shared options."""

import argparse
import os
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

DONE = 0
NO = 1
"""The command ran and the result is negative: the file has errors, or no receiver would get the notification."""
USAGE = 2
"""argparse's exit status for an invalid command line."""
FAILED = 3
"""The command could not run."""
INTERRUPTED = 130
"""The exit status that shells report for a program that Ctrl-C ended."""
HELP_WIDTH = 79

Run: TypeAlias = Callable[[argparse.Namespace], int]


class CommandError(Exception):
    """A command cannot continue. The code that raises it has already printed the reason.

    :param status: the exit status of the command.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Commands(Protocol):
    """The return type of ``ArgumentParser.add_subparsers``, which argparse keeps private."""

    def add_parser(self, name: str, **keywords: Any) -> argparse.ArgumentParser:
        """Add the parser of a command."""


def add(
    commands: Commands,
    name: str,
    run: Run,
    *,
    brief: str,
    description: str,
    statuses: Mapping[int, str],
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command.

    :param brief: a few words for the list of commands.
    :param description: the first paragraph of the command's help.
    :param statuses: the meaning of each exit status, without ``USAGE``, which every command has.
    :param examples: one command line per line.
    """
    parser = _add_parser(commands, name, brief, describe(description, statuses, examples))
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_group(commands: Commands, name: str, *, brief: str, description: str, examples: str) -> Commands:
    """Add a command that has subcommands.

    :returns: the object to which the subcommands are added.
    """
    return _add_parser(commands, name, brief, describe(description, {}, examples)).add_subparsers(
        metavar="COMMAND", required=True
    )


def describe(description: str, statuses: Mapping[int, str], examples: str) -> str:
    """The help text above the arguments. The parameters are those of ``add``."""
    lines = [textwrap.fill(" ".join(description.split()), HELP_WIDTH), ""]
    meanings = {**statuses, USAGE: "the command line is invalid"} if statuses else {}
    if meanings:
        lines.append("exit status:")
    for status in sorted(meanings):
        start = f"  {status}  "
        lines += textwrap.wrap(meanings[status], HELP_WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
    if meanings:
        lines.append("")
    return "\n".join([*lines, "examples:", *(f"  {line}" for line in examples.strip().splitlines())])


def _add_parser(commands: Commands, name: str, brief: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=brief, description=description)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add ``--format``."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="the format of the result; default: text"
    )


def add_file(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the configuration file and the trigger arguments."""
    parser.add_argument("file", metavar="FILE", nargs="?" if optional else None, help="the TOML configuration file")
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the trigger arguments."""
    parser.add_argument(
        "--argument",
        metavar="NAME=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="a trigger argument other than config_file_path; repeatable",
    )


def add_resolve(parser: argparse.ArgumentParser) -> None:
    """Add ``--resolve``."""
    parser.add_argument(
        "--resolve",
        action="store_true",
        help="read secrets from this command's environment and from files; default: assume that all exist",
    )


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add ``--at``."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="the current time for silences and templates, such as 2026-11-28T10:00:00+01:00; default: now",
    )


def seconds(maximum: int) -> Callable[[str], float]:
    """A parser for a number of seconds from 0 to ``maximum``."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not 0 <= number <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {maximum}")
        return number

    return parse


def trigger_arguments(options: argparse.Namespace, *, with_file: bool = False) -> dict[str, str]:
    """The trigger arguments that the command line gives."""
    arguments = dict(options.argument)
    if with_file and options.file is not None:
        # The server resolves a relative path in its plugin directory, a shell in its working directory.
        arguments["config_file_path"] = os.path.abspath(options.file)
    return arguments


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if name.strip() == "config_file_path":
        raise argparse.ArgumentTypeError("config_file_path cannot be set here: give the file as FILE")
    return name.strip(), value
