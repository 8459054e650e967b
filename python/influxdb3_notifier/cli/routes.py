"""``routes FILE``: show which receivers would get a notification, and why."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output

DESCRIPTION = """
Shows which receivers would get a notification, and why: a route matches, the request names them, or they are the
default. Shows the silence that would mute it, and which routes and silences match. Sends nothing.
"""
STATUSES = {
    command.DONE: "a receiver would get the notification",
    command.NO: "no receiver would get it, or a silence mutes it",
    command.FAILED: "the file has errors or cannot be read, or the request is invalid",
}
EXAMPLES = """
influxdb3-notifier routes notifier.toml --level critical --field host=db1
influxdb3-notifier routes notifier.toml --text '[ERROR] disk full' --at 2026-11-28T03:00:00+01:00
influxdb3-notifier routes notifier.toml --request alert.json --format json
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "routes",
        run,
        brief="show which receivers would get a notification",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser)
    notification.add(parser)
    command.add_at(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Determine the receivers, and print them."""
    body = notification.request(options, text="a notification")
    arguments = command.trigger_arguments(options)
    outcome = _native.routes(options.file, body, arguments, options.resolve, options.at)
    routing = output.result(options, outcome)
    if options.format == "json":
        output.print_json(routing)
    else:
        for line in [*receiver_lines(routing), *rule_lines(routing)]:
            print(line)
    return command.DONE if would_send(routing) else command.NO


def would_send(routing: dict[str, Any]) -> bool:
    """Whether a destination would get a message."""
    senders = [sender["status"] for sender in routing["senders"]]
    if routing["suppressed_by"] is not None or "denied" in senders:
        return False
    return "used" in senders or any(receiver["reason"] != "unknown" for receiver in routing["receivers"])


def receiver_lines(routing: dict[str, Any]) -> Iterator[str]:
    """The destinations that would get the notification, a line each."""
    if "denied" in [sender["status"] for sender in routing["senders"]]:
        yield "no receiver: request_destinations=deny, and the request has senders_config (403)"
        return
    for sender in routing["senders"]:
        yield f"{sender['sender']}: {sender['status']}, from the request"
    for receiver in routing["receivers"]:
        reason = SELECTION_REASONS[receiver["reason"]].format(
            **receiver, title=title(receiver["route"], receiver["route_name"])
        )
        yield output.escape_control(f"{receiver['name']}: {reason}{destinations(receiver)}")
    if not would_send(routing) and routing["suppressed_by"] is None:
        no_route = ": no route matches, and there is no default receiver"
        yield f"no receiver{no_route if routing['routes_evaluated'] else ''}"
    if routing["suppressed_by"] is not None:
        yield f"nothing is sent: the silence {routing['suppressed_by']} mutes the notification"


SELECTION_REASONS = {
    "named": "the request names it",
    "unknown": "there is no such receiver",
    "route": "{title} (line {line}) matches",
    "default": "default receiver",
}


def destinations(receiver: dict[str, Any]) -> str:
    """`` -> hooks.slack.com#9c41, sms``."""
    names = [destination["label"] or destination["channel"] for destination in receiver["destinations"]]
    return f" -> {', '.join(names)}" if names else ""


def rule_lines(routing: dict[str, Any]) -> Iterator[str]:
    """The input of the matchers, and which routes and silences match."""
    yield ""
    yield f"level for matchers: {routing['level'] or 'none'}"
    if routing["fields"]:
        fields = (f"{name}={value}" for name, value in routing["fields"].items())
        yield output.escape_control(f"fields for matchers: {' '.join(fields)}")
    for route in routing["routes"]:
        route_title = title(route["number"], route["name"])
        line = f"{'  ' * route['depth']}{route_title} (line {route['line']}): {route_result(routing, route)}"
        yield output.escape_control(line)
    for silence in routing["silences"]:
        inactive = "" if silence["active"] else ", but is not active at this time"
        yield f"silence {silence['name']} (line {silence['line']}): {match_result(silence)}{inactive}"
    for warning in routing["warnings"]:
        yield f"warning: {warning}"


def title(number: int | None, name: str | None) -> str:
    """``route 2``, ``route 2 "databases"``."""
    return f'route {number} "{name}"' if name is not None else f"route {number}"


def route_result(routing: dict[str, Any], route: dict[str, Any]) -> str:
    """Whether a route is evaluated, and whether it matches."""
    if not routing["routes_evaluated"]:
        return f"not evaluated, because the request names its destinations; {match_result(route)}"
    if not route["evaluated"]:
        return f"not evaluated, because {why_not_evaluated(routing, route)}; {match_result(route)}"
    if not route["matches"]:
        return match_result(route)
    nested = "" if route["applies"] else "; a nested route applies"
    return match_result(route) + nested + ("; continue" if route["continue"] else "")


def why_not_evaluated(routing: dict[str, Any], route: dict[str, Any]) -> str:
    """Why the evaluation did not reach a route."""
    parent = routing["routes"][route["parent"] - 1] if route["parent"] else None
    if parent and not parent["evaluated"]:
        return f"route {parent['number']} is not evaluated"
    if parent and not parent["matches"]:
        return f"route {parent['number']} does not match"
    return "an earlier route matches"


def match_result(rule: dict[str, Any]) -> str:
    """Whether a route or silence matches, or which part of it does not."""
    return "matches" if rule["matches"] else f"{rule['mismatch']} does not match"
