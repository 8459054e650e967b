"""``check FILE``: whether a configuration file is in order."""

import argparse
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output, routes

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
    lines += [output.clean(route(found)) for found in check["tree"]]
    if check["default_receivers"]:
        lines.append(f"  by default: {', '.join(check['default_receivers'])}")
    lines += state(check["state"])
    outside = [*check["variables"], *check["files"]]
    if outside:
        looked = "looked up" if options.resolve else "not looked up (--resolve does)"
        lines.append(f"  secrets {looked}: {', '.join(outside)}")
    return lines


def route(found: dict[str, Any]) -> str:
    """``route 2 (line 9): level = "error" -> oncall, continue``, indented below the route that it stands in."""
    words = [routes.title(found["number"], found["name"]), f"(line {found['line']}):"]
    words += [found["match"] or "everything", "->", ", ".join(found["receivers"])]
    line = f"{'  ' * (found['depth'] + 1)}{' '.join(words)}"
    if found["continue"]:
        line += "; continue"
    return line + (f"; {groups(found['group'])}" if found["group"] else "")


def groups(group: dict[str, Any]) -> str:
    """How a route groups its alerts, with what it inherits."""
    by = group["group_by"]
    named = "each alert alone" if by is None else f"group_by {', '.join(by) or 'nothing'}"
    times = ("group_wait", "group_interval", "resolve_timeout")
    return ", ".join([named, *(f"{name} {group[name]}" for name in times if group[name])])


def state(found: dict[str, Any] | None) -> list[str]:
    """Whether alerts have state, and what it needs."""
    if found is None:
        return []
    kept = "in memory: a restart loses it" if found["in_memory"] else "in the outbox"
    identity = " or ".join(["dedup_key", *filter(None, [" + ".join(found["alert_key"])])])
    return [
        f"  alert state: on by {found['turned_on_by']} (line {found['line']}), {kept}",
        f"  alerts are told apart by {identity}",
        "  alert state needs a trigger every:10s with this file, or a worker: without one, nothing runs between calls",
    ]
