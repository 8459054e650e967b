"""``templates check FILE``: check the templates of a configuration file."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output

DESCRIPTION = """
Checks every template of the file, including those in parameters such as body_template. Ignores other errors of the
file. Given a notification, it also renders each template and prints the text.
"""
STATUSES = {
    command.DONE: "every template is valid; there may be warnings",
    command.NO: "a template has errors, or cannot render the notification",
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
        description="Commands for the templates of a configuration file. See COMMAND --help.",
        examples="influxdb3-notifier templates check notifier.toml --text 'disk full'",
    )
    parser = command.add(
        verbs,
        "check",
        run,
        brief="check every template of a file",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="the TOML configuration file")
    notification.add(parser)
    command.add_at(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Check the templates, and print the report."""
    has_notification = notification.is_given(options)
    body = notification.request(options, text="a notification") if has_notification else None
    checks = output.result(options, _native.check_templates(options.file, body, options.at))
    if options.format == "json":
        output.print_json({"file": options.file, "templates": checks})
    else:
        for check in checks:
            for line in format_check(options.file, check):
                print(line)
        print(f"{options.file}: {output.counted(len(checks), 'template')}")
    return command.NO if any(check["errors"] for check in checks) else command.DONE


def format_check(file: str, check: dict[str, Any]) -> Iterator[str]:
    """The report on a template as lines of text."""
    yield from output.problems(file, check)
    if not check["errors"]:
        yield f"{file}:{check['line']}:{check['column']}: {check['path']}: valid"
    if check["text"] is not None:
        yield "\n".join(f"    {line}" for line in check["text"].splitlines())
