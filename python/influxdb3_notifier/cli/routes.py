"""``routes FILE``: who would get a notification, and why."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output

DOES = """
Says which receivers would get a notification, and why: by which route, by default, or because it names them; and
which silence would keep it back. Below stands what each route says of it. Nothing is sent.
"""
STATUSES = {
    command.DONE: "somebody would get it",
    command.NO: "nobody would: no receiver is reached, or a silence holds",
    command.FAILED: "the file cannot be used, or the request cannot be read",
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
        brief="say who would get a notification",
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser)
    notification.add(parser)
    command.add_at(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    body = notification.request(options, text="a notification")
    arguments = command.trigger_arguments(options)
    answer = _native.routes(options.file, body, arguments, options.resolve, options.at)
    routing = output.result(options, answer)
    if options.format == "json":
        output.print_json(routing)
    else:
        for line in [*told(routing), *looked_at(routing)]:
            print(line)
    return command.DONE if reaches_somebody(routing) else command.NO


def reaches_somebody(routing: dict[str, Any]) -> bool:
    """Whether anything would be sent."""
    senders = [sender["becomes"] for sender in routing["senders"]]
    if routing["suppressed_by"] is not None or "denied" in senders:
        return False
    return "used" in senders or any(reached["why"] != "unknown" for reached in routing["receivers"])


def told(routing: dict[str, Any]) -> Iterator[str]:
    """Who would be told, a line each."""
    if "denied" in [sender["becomes"] for sender in routing["senders"]]:
        yield "nobody: request_destinations=deny, and the request brings senders_config (403)"
        return
    for sender in routing["senders"]:
        yield f"{sender['sender']}: {sender['becomes']}, of the request"
    for reached in routing["receivers"]:
        why = WHY[reached["why"]].format(**reached, title=title(reached["route"], reached["route_name"]))
        yield output.clean(f"{reached['name']}: {why}{destinations(reached)}")
    if not reaches_somebody(routing) and routing["suppressed_by"] is None:
        yield "nobody: no route matches, and there is no default receiver" if routing["rules_asked"] else "nobody"
    if routing["suppressed_by"] is not None:
        yield f"and nothing is sent: the silence {routing['suppressed_by']} holds"


WHY = {
    "named": "the request names it",
    "unknown": "there is no such receiver",
    "route": "by {title} (line {line})",
    "default": "by default",
}


def destinations(reached: dict[str, Any]) -> str:
    """`` → slack hooks.slack.com#9c41, sms``."""
    names = [destination["label"] or destination["channel"] for destination in reached["destinations"]]
    return f" -> {', '.join(names)}" if names else ""


def looked_at(routing: dict[str, Any]) -> Iterator[str]:
    """What the rules say of it."""
    yield ""
    yield f"level for rules: {routing['level'] or 'none'}"
    if routing["fields"]:
        fields = (f"{name}={value}" for name, value in routing["fields"].items())
        yield output.clean(f"fields for rules: {' '.join(fields)}")
    for route in routing["routes"]:
        title_of = title(route["number"], route["name"])
        yield output.clean(f"{'  ' * route['depth']}{title_of} (line {route['line']}): {of_route(routing, route)}")
    for silence in routing["silences"]:
        when = "" if silence["on"] else ", and it is not its time"
        yield f"silence {silence['name']} (line {silence['line']}): {fits(silence)}{when}"
    for warning in routing["warnings"]:
        yield f"warning: {warning}"


def title(number: int | None, name: str | None) -> str:
    """``route 2``, ``route 2 "databases"``."""
    return f'route {number} "{name}"' if name is not None else f"route {number}"


def of_route(routing: dict[str, Any], route: dict[str, Any]) -> str:
    """Whether a route was asked and what it says."""
    if not routing["rules_asked"]:
        return f"not asked, since the request names somebody; {fits(route)}"
    if not route["asked"]:
        return f"not asked, since {why_not_asked(routing, route)}; {fits(route)}"
    if not route["matches"]:
        return fits(route)
    below = "" if route["applies"] else "; a route in it applies"
    return fits(route) + below + (", and the next are asked too" if route["continue"] else "")


def why_not_asked(routing: dict[str, Any], route: dict[str, Any]) -> str:
    """What kept the search from coming to a route."""
    parent = routing["routes"][route["parent"] - 1] if route["parent"] else None
    if parent and not parent["asked"]:
        return f"route {parent['number']} is not asked"
    if parent and not parent["matches"]:
        return f"route {parent['number']} does not match"
    return "one before it matches"


def fits(rule: dict[str, Any]) -> str:
    """Whether the rule's matcher fits, and what does not."""
    return "matches" if rule["matches"] else f"{rule['misfit']} does not match"
