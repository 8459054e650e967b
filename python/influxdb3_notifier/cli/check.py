"""``check FILE``: whether a configuration file is in order."""

import argparse
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output

DOES = """
Reads the configuration file as the server does, and prints every error and warning with its place, and what the
file has. Nothing is sent. Without --resolve no secret is looked up: the file can be checked where its secrets are
not.
"""
STATUSES = {
    command.DONE: "the file can be used; there may be warnings",
    command.NO: "it cannot be used",
    command.FAILED: "it cannot be read",
}
EXAMPLES = """
influxdb3-notifier check notifier.toml
influxdb3-notifier check --resolve /var/lib/influxdb3/plugins/notifier.toml
influxdb3-notifier check --format json notifier.toml
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands, "check", run, brief="check a configuration file", does=DOES, statuses=STATUSES, examples=EXAMPLES
    )
    command.add_file(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Check the file, and print the report."""
    answer = _native.check(options.file, command.trigger_arguments(options), options.resolve)
    check = output.result(options, answer)
    errors = len(check["errors"])
    if options.format == "json":
        output.print_json({"file": options.file, "ok": not errors, **check})
        return command.NO if errors else command.DONE
    for line in output.problems(options.file, check):
        print(line)
    for line in summary(options, check):
        print(line)
    return command.NO if errors else command.DONE


def summary(options: argparse.Namespace, check: dict[str, Any]) -> list[str]:
    """What the file comes to."""
    counted = output.counted
    if check["errors"]:
        wrong = [counted(len(check["errors"]), "error"), counted(len(check["warnings"]), "warning")]
        return [f"{options.file}: cannot be used: {', '.join(wrong)}"]
    parts = [
        counted(len(check["receivers"]), "receiver"),
        counted(check["routes"], "route"),
        counted(len(check["templates"]), "template"),
        counted(len(check["silences"]), "silence"),
    ]
    lines = [f"{options.file}: in order: {', '.join(parts)}"]
    lines += [f"  {receiver['name']}: {', '.join(receiver['channels'])}" for receiver in check["receivers"]]
    if check["default_receivers"]:
        lines.append(f"  by default: {', '.join(check['default_receivers'])}")
    outside = [*check["variables"], *check["files"]]
    if outside:
        looked = "looked up" if options.resolve else "not looked up (--resolve does)"
        lines.append(f"  secrets {looked}: {', '.join(outside)}")
    return lines
