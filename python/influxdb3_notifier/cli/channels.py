"""``influxdb3-notifier channels``: what each channel wants and can carry, as the wheel itself knows it."""

import argparse
import json
import textwrap
from collections.abc import Iterable
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output
from influxdb3_notifier.cli.parser import did_you_mean

DOES = """
Lists the channels, or shows one: its parameters, how long a text may be, what a second sending does, an example.
The names are those of senders_config in a request and of channels in a receiver of the configuration file.
"""
STATUSES = {command.DONE: "shown", command.NO: "there is no channel of that name"}
EXAMPLES = """
influxdb3-notifier channels
influxdb3-notifier channels slack
influxdb3-notifier channels slack --format json
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "channels",
        run,
        brief="show what a channel wants and can carry",
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument("name", metavar="CHANNEL", nargs="?", help="such as slack; all if absent")
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Print what the registry says."""
    known = _known()
    if options.name is None:
        if options.format == "json":
            output.print_json(list(known.values()))
        else:
            print(_listed(known))
        return command.DONE
    channel = known.get(options.name)
    if channel is None:
        output.complain(_unknown(options.name, known))
        return command.NO
    if options.format == "json":
        output.print_json(channel)
    else:
        print(_described(channel))
    return command.DONE


def known_name(text: str) -> str:
    """A channel's name on a command line."""
    known = _known()
    if text not in known:
        raise argparse.ArgumentTypeError(_unknown(text, known))
    return text


def _known() -> dict[str, dict[str, Any]]:
    """Every channel by its name, in the registry's order."""
    return {channel["sender"]: channel for channel in json.loads(_native.channels())}


def _unknown(name: str, known: Iterable[str]) -> str:
    meant = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    return f"{name}: there is no such channel{meant}"


def _listed(known: dict[str, dict[str, Any]]) -> str:
    width = max(map(len, known))
    return "\n".join(f"{name:<{width}}  {channel['about']}" for name, channel in known.items())


def _described(channel: dict[str, Any]) -> str:
    """A channel as people read it."""
    of_requests = [parameter for parameter in channel["parameters"] if not parameter["operator_only"]]
    of_file = [parameter for parameter in channel["parameters"] if parameter["operator_only"]]
    blocks = [f"{channel['sender']}: sends to {channel['about']}", _parameters("parameters", of_requests)]
    if of_file:
        blocks.append(_parameters("parameters that only the configuration file may set", of_file))
    blocks.append("\n".join(_facts(channel)))
    blocks.append("a request:\n" + json.dumps(channel["example"], indent=2, ensure_ascii=False))
    return "\n\n".join(blocks)


def _parameters(title: str, parameters: list[dict[str, Any]]) -> str:
    lines = [f"{title}:"]
    for parameter in parameters:
        marks = [parameter["kind"], *(word for word in ("required", "secret") if parameter[word])]
        if parameter["environment"]:
            marks.append(f"or {parameter['environment']} of the server's environment")
        lines.append(f"  {parameter['name']} ({', '.join(marks)})")
        lines += textwrap.wrap(parameter["description"], 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines.append(f"      example: {parameter['example']}")
    return "\n".join(lines)


def _facts(channel: dict[str, Any]) -> list[str]:
    longest = channel["longest_text"]
    if longest is None:
        text = "of any length"
    else:
        then = {"split": "a longer one is split", "cut": "a longer one is cut short"}[channel["longer_text"]]
        text = f"up to {longest['length']} {longest['unit']}; {then}"
    return [
        f"text: {text}",
        f"a second sending: {channel['second_sending']}",
        f"a resolved with the same dedup_key: {channel['resolved']}",
    ]
