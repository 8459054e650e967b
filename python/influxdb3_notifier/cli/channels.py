"""``influxdb3-notifier channels``: the parameters and limits of each channel, from the wheel's registry."""

import argparse
import json
import textwrap
from collections.abc import Iterable
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, output
from influxdb3_notifier.cli.parser import did_you_mean

DESCRIPTION = """
Lists the channels, or shows one: its parameters, its maximum text length, the effect of a resend, and an example
request. Requests use these names in senders_config, the configuration file uses them in receivers.
"""
STATUSES = {command.DONE: "the channels are printed", command.NO: "there is no channel with that name"}
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
        brief="list the channels, or show the parameters and limits of one",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "name", metavar="CHANNEL", nargs="?", help="a channel's name, such as slack; default: list all channels"
    )
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list of channels, or one channel."""
    known = _channels_by_name()
    if options.name is None:
        if options.format == "json":
            output.print_json(list(known.values()))
        else:
            print(_format_list(known))
        return command.DONE
    channel = known.get(options.name)
    if channel is None:
        output.print_error(_unknown(options.name, known))
        return command.NO
    if options.format == "json":
        output.print_json(channel)
    else:
        print(_format_channel(channel))
    return command.DONE


def channel_name(text: str) -> str:
    """Parse a channel's name on a command line."""
    known = _channels_by_name()
    if text not in known:
        raise argparse.ArgumentTypeError(_unknown(text, known))
    return text


def _channels_by_name() -> dict[str, dict[str, Any]]:
    """Every channel by its name, in the registry's order."""
    return {channel["sender"]: channel for channel in json.loads(_native.channels())}


def _unknown(name: str, known: Iterable[str]) -> str:
    suggestion = did_you_mean(name, known) or f"; the channels are {', '.join(known)}"
    return f"{name}: there is no such channel{suggestion}"


def _format_list(known: dict[str, dict[str, Any]]) -> str:
    width = max(map(len, known))
    return "\n".join(f"{name:<{width}}  {channel['about']}" for name, channel in known.items())


def _format_channel(channel: dict[str, Any]) -> str:
    request_parameters = [parameter for parameter in channel["parameters"] if not parameter["operator_only"]]
    file_parameters = [parameter for parameter in channel["parameters"] if parameter["operator_only"]]
    blocks = [f"{channel['sender']}: sends to {channel['about']}", _format_parameters("parameters", request_parameters)]
    if file_parameters:
        blocks.append(_format_parameters("parameters that only the configuration file may set", file_parameters))
    blocks.append("\n".join(_format_limits(channel)))
    blocks.append("example request:\n" + json.dumps(channel["example"], indent=2, ensure_ascii=False))
    return "\n\n".join(blocks)


def _format_parameters(title: str, parameters: list[dict[str, Any]]) -> str:
    lines = [f"{title}:"]
    for parameter in parameters:
        marks = [parameter["kind"], *(word for word in ("required", "secret") if parameter[word])]
        if parameter["environment"]:
            marks.append(f"or the server's environment variable {parameter['environment']}")
        lines.append(f"  {parameter['name']} ({', '.join(marks)})")
        lines += textwrap.wrap(parameter["description"], 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines.append(f"      example: {parameter['example']}")
    return "\n".join(lines)


def _format_limits(channel: dict[str, Any]) -> list[str]:
    longest = channel["longest_text"]
    if longest is None:
        text = "any length"
    else:
        action = {"split": "a longer text is split", "cut": "a longer text is cut"}[channel["longer_text"]]
        text = f"up to {longest['length']} {longest['unit']}; {action}"
    return [
        f"text: {text}",
        f"resend of the same notification: {channel['second_sending']}",
        f"resolved notification with the same dedup_key: {channel['resolved']}",
    ]
