"""``render [FILE]``: what each channel would send."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import channels, command, notification, output

DOES = """
Shows the messages that a notification would become, as a dry run of the endpoint does. With FILE for the receivers
that would get it; without, for every channel. Nothing is sent, and without --resolve no secret is looked up.
"""
STATUSES = {
    command.DONE: "every message could be made",
    command.NO: "one could not, or nobody would get any",
    command.FAILED: "the file cannot be used, or the request cannot be read",
}
EXAMPLES = """
influxdb3-notifier render --text 'disk full' --title 'Disk of db1' --level error --field host=db1
influxdb3-notifier render notifier.toml --receiver oncall --template short --text 'disk full'
influxdb3-notifier render notifier.toml --request alert.json --channel slack --format json
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "render",
        run,
        brief="show what each channel would send",
        does=DOES,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser, optional=True)
    notification.add(parser)
    parser.add_argument(
        "--channel",
        metavar="CHANNEL",
        type=channels.known_name,
        action="append",
        help="only this channel; may be repeated",
    )
    command.add_at(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Render, and print the messages."""
    body = notification.request(options, text="This is a test.")
    arguments = command.trigger_arguments(options)
    answer = _native.render(options.file, body, arguments, options.resolve, options.at)
    rendering = output.result(options, answer)
    if options.channel:
        chosen = [each for each in rendering["deliveries"] if each["sender"] in options.channel]
        rendering["deliveries"] = chosen
    if options.format == "json":
        output.print_json(rendering)
    else:
        print("\n\n".join("\n".join(shown(delivery)) for delivery in rendering["deliveries"]) or "nobody")
        for warning in rendering["warnings"]:
            print(f"\nwarning: {warning}")
    deliveries = rendering["deliveries"]
    failed = any(delivery["reason"] not in (None, "ignored") for delivery in deliveries)
    made = any(delivery["messages"] for delivery in deliveries)
    return command.NO if failed or not made else command.DONE


def shown(delivery: dict[str, Any]) -> Iterator[str]:
    """A delivery for people: a line about it, then its messages."""
    name = delivery["destination"] or delivery["sender"]
    receiver = f" for {delivery['receiver']}" if delivery["receiver"] else ""
    if delivery["reason"]:
        words = ": ".join(filter(None, [delivery["reason"], delivery["detail"]]))
        yield f"{name}{receiver}: {words}" + (f" ({delivery['path']})" if delivery["path"] else "")
        return
    about = [delivery["content_type"] or "no content type"]
    if delivery["segments"] is not None:
        about.append(output.counted(delivery["segments"], "segment"))
    yield f"{name}{receiver} ({', '.join(about)})"
    messages = delivery["messages"]
    for number, message in enumerate(messages, 1):
        if len(messages) > 1:
            yield f"message {number} of {len(messages)}:"
        yield output.readable(message, delivery["content_type"] or "")
