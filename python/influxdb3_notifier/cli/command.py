"""What all commands have in common: exit statuses, the form of their help, and what every one may be given."""

import argparse
import os
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

DONE = 0
NO = 1
"""The command did its work, and the answer is no: something is wrong with the file, nobody would be told."""
USAGE = 2
"""argparse's own, for a command line that cannot be read."""
FAILED = 3
"""The command could not do its work."""
INTERRUPTED = 130
"""As shells say it of a program that Ctrl-C has ended."""
WIDTH = 79
"""Columns of the help."""

Run: TypeAlias = Callable[[argparse.Namespace], int]


class CommandError(Exception):
    """A command cannot go on; why has been said.

    :param status: the exit status that it ends with.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Commands(Protocol):
    """What argparse gives for commands to be added to."""

    def add_parser(self, name: str, **keywords: Any) -> argparse.ArgumentParser:
        """Add a command's parser."""


def add(
    commands: Commands, name: str, run: Run, *, brief: str, does: str, statuses: Mapping[int, str], examples: str
) -> argparse.ArgumentParser:
    """Add a command.

    :param brief: a few words for the list of commands.
    :param does: what it does, for its own help.
    :param statuses: what each exit status means; that of a command line that cannot be read is added.
    :param examples: command lines, one a line.
    """
    parser = _add_parser(commands, name, brief, describe(does, statuses, examples))
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_group(commands: Commands, name: str, *, brief: str, does: str, examples: str) -> Commands:
    """Add a command that has commands of its own.

    :returns: what those are added to.
    """
    return _add_parser(commands, name, brief, describe(does, {}, examples)).add_subparsers(
        metavar="COMMAND", required=True
    )


def describe(does: str, statuses: Mapping[int, str], examples: str) -> str:
    """What stands in a help above the arguments; the parameters are those of ``add``."""
    lines = [textwrap.fill(" ".join(does.split()), WIDTH), ""]
    meanings = {**statuses, USAGE: "the command line cannot be read"} if statuses else {}
    if meanings:
        lines.append("exit status:")
    for status in sorted(meanings):
        start = f"  {status}  "
        lines += textwrap.wrap(meanings[status], WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
    if meanings:
        lines.append("")
    return "\n".join([*lines, "examples:", *(f"  {line}" for line in examples.strip().splitlines())])


def _add_parser(commands: Commands, name: str, brief: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=brief, description=description)


def add_format(parser: argparse.ArgumentParser) -> None:
    """For people or for programs."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how the result is printed; text if absent"
    )


def add_file(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The configuration file and the trigger's arguments."""
    parser.add_argument("file", metavar="FILE", nargs="?" if optional else None, help="the TOML configuration file")
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The trigger's arguments."""
    parser.add_argument(
        "--argument",
        metavar="NAME=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="an argument that the trigger has besides config_file_path; may be repeated",
    )


def add_resolve(parser: argparse.ArgumentParser) -> None:
    """Whether secrets are looked up."""
    parser.add_argument(
        "--resolve",
        action="store_true",
        help="look secrets up, in the environment of this command and in files; without, they count as being there",
    )


def add_at(parser: argparse.ArgumentParser) -> None:
    """Another time than now."""
    parser.add_argument(
        "--at", metavar="TIME", help="as if it were then, for silences and templates: 2026-11-28T10:00:00+01:00"
    )


def seconds(most: int) -> Callable[[str], float]:
    """What reads a number of seconds from 0 to ``most``."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not 0 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to {most}")
        return number

    return read


def trigger_arguments(options: argparse.Namespace, *, with_file: bool = False) -> dict[str, str]:
    """The arguments of the trigger that the command line stands for."""
    arguments = dict(options.argument)
    if with_file and options.file is not None:
        # The server's paths are relative to its plugin directory, those of a shell to where one is.
        arguments["config_file_path"] = os.path.abspath(options.file)
    return arguments


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if name.strip() == "config_file_path":
        raise argparse.ArgumentTypeError("config_file_path is FILE here")
    return name.strip(), value
