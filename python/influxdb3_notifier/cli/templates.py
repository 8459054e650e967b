"""``templates check FILE``: whether the templates of a configuration file are in order."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output

DOES = """
Checks every template of the file, those of parameters such as body_template too, whatever else is wrong with it.
Given a notification, each is rendered of it, and what it makes is shown.
"""
STATUSES = {
    command.DONE: "every template is in order; there may be warnings",
    command.NO: "one is not, or makes nothing of the notification",
    command.FAILED: "the file cannot be read",
}
EXAMPLES = """
influxdb3-notifier templates check notifier.toml
influxdb3-notifier templates check notifier.toml --text 'disk full' --level error --data '{"runbook": "R7"}'
influxdb3-notifier templates check --request alert.json --format json notifier.toml
"""


def add(commands: command.Commands) -> None:
    """Add the commands for templates."""
    verbs = command.add_group(
        commands,
        "templates",
        brief="check templates",
        does="Commands for the templates of a configuration file. Each has a --help of its own.",
        examples="influxdb3-notifier templates check notifier.toml --text 'disk full'",
    )
    parser = command.add(
        verbs, "check", run, brief="check every template of a file", does=DOES, statuses=STATUSES, examples=EXAMPLES
    )
    parser.add_argument("file", metavar="FILE", help="the TOML configuration file")
    notification.add(parser)
    command.add_at(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Check, and print what was found."""
    given = notification.is_given(options)
    body = notification.request(options, text="a notification") if given else None
    checks = output.result(options, _native.check_templates(options.file, body, options.at))
    if options.format == "json":
        output.print_json({"file": options.file, "templates": checks})
    else:
        for check in checks:
            for line in told(options.file, check):
                print(line)
        print(f"{options.file}: {output.counted(len(checks), 'template')}")
    return command.NO if any(check["errors"] for check in checks) else command.DONE


def told(file: str, check: dict[str, Any]) -> Iterator[str]:
    """A template for people."""
    yield from output.problems(file, check)
    if not check["errors"]:
        yield f"{file}:{check['line']}:{check['column']}: {check['path']}: in order"
    if check["text"] is not None:
        yield "\n".join(f"    {line}" for line in check["text"].splitlines())
