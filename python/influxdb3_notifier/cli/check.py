"""``check FILE``: check a configuration file."""

import argparse
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output, routes

DESCRIPTION = """
Reads the configuration file as the server does. Prints every error and warning with its line and column, then a
summary of the file. Sends nothing. Without --resolve it reads no secret, so you can check the file on a machine
that does not have the secrets.
"""
STATUSES = {
    command.DONE: "the file is valid; there may be warnings",
    command.NO: "the file has errors",
    command.FAILED: "the file cannot be read",
}
EXAMPLES = """
influxdb3-notifier check notifier.toml
influxdb3-notifier check --resolve /var/lib/influxdb3/plugins/notifier.toml
influxdb3-notifier check --format json notifier.toml
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "check",
        run,
        brief="check a configuration file",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Check the file, and print the report."""
    outcome = _native.check(options.file, command.trigger_arguments(options), options.resolve)
    check = output.result(options, outcome)
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
    """The last lines of the report."""
    counted = output.counted
    if check["errors"]:
        problems = [counted(len(check["errors"]), "error"), counted(len(check["warnings"]), "warning")]
        return [f"{options.file}: invalid: {', '.join(problems)}"]
    parts = [
        counted(len(check["receivers"]), "receiver"),
        counted(check["routes"], "route"),
        counted(len(check["templates"]), "template"),
        counted(len(check["silences"]), "silence"),
    ]
    lines = [f"{options.file}: valid: {', '.join(parts)}"]
    lines += [f"  {receiver['name']}: {', '.join(receiver['channels'])}" for receiver in check["receivers"]]
    lines += [output.escape_control(format_route(route)) for route in check["tree"]]
    if check["default_receivers"]:
        lines.append(f"  default receivers: {', '.join(check['default_receivers'])}")
    lines += alert_state_lines(check["state"])
    secrets = [*check["variables"], *check["files"]]
    if secrets:
        read = "read" if options.resolve else "not read (use --resolve)"
        lines.append(f"  secrets {read}: {', '.join(secrets)}")
    return lines


def format_route(route: dict[str, Any]) -> str:
    """``route 2 (line 9): level = "error" -> oncall; continue``, indented below its parent route."""
    words = [routes.title(route["number"], route["name"]), f"(line {route['line']}):"]
    words += [route["match"] or "everything", "->", ", ".join(route["receivers"])]
    line = f"{'  ' * (route['depth'] + 1)}{' '.join(words)}"
    if route["continue"]:
        line += "; continue"
    return line + (f"; {format_grouping(route['group'])}" if route["group"] else "")


def format_grouping(group: dict[str, Any]) -> str:
    """How a route groups its alerts, including inherited settings."""
    labels = group["group_by"]
    group_by = "no grouping" if labels is None else f"group_by {', '.join(labels)}" if labels else "one group"
    times = ("group_wait", "group_interval", "resolve_timeout")
    return ", ".join([group_by, *(f"{name} {group[name]}" for name in times if group[name])])


def alert_state_lines(state: dict[str, Any] | None) -> list[str]:
    """The settings of alert state; None: alert state is off."""
    if state is None:
        return []
    location = "in memory, so a restart loses it" if state["in_memory"] else "in the outbox"
    identity = " or ".join(["dedup_key", *filter(None, [" + ".join(state["alert_key"])])])
    lines = [
        f"  alert state: enabled by {state['enabled_by']} (line {state['line']}), {location}",
        f"  alert identity: {identity}",
    ]
    if not state["in_memory"]:
        lines.append(
            "  after a restart, alerts wait for a call: create a trigger with every:10s and this file, or run a worker"
        )
    return lines
