"""``render [FILE]``: preview the messages of a notification."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import channels, command, message_text, notification, output

DESCRIPTION = """
Shows a notification as people would see it: title, text, fields, links and colour. With --json it shows the request
bodies instead, as the endpoint's dry run does. Given FILE, it shows the messages to the receivers that would get the
notification, otherwise the messages of every channel. Sends nothing. Without --resolve it reads no secret.
"""
STATUSES = {
    command.DONE: "every message is rendered",
    command.NO: "a message cannot be rendered, or there is no receiver",
    command.FAILED: "the file has errors or cannot be read, or the request is invalid",
}
EXAMPLES = """
influxdb3-notifier render --text 'disk full' --title 'Disk of db1' --level error --field host=db1
influxdb3-notifier render notifier.toml --receiver oncall --template short --text 'disk full'
influxdb3-notifier render --text 'disk full' --level error --channel slack --json
influxdb3-notifier render notifier.toml --request alert.json --channel slack --format json
"""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "render",
        run,
        brief="preview a notification's messages",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser, optional=True)
    notification.add(parser)
    parser.add_argument(
        "--channel",
        metavar="CHANNEL",
        type=channels.channel_name,
        action="append",
        help="only this channel; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="show the request bodies")
    command.add_at(parser)
    command.add_resolve(parser)
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Render, and print the messages."""
    body = notification.request(options, text="This is a test.")
    arguments = command.trigger_arguments(options)
    outcome = _native.render(options.file, body, arguments, options.resolve, options.at)
    rendering = output.result(options, outcome)
    if options.channel:
        rendering["deliveries"] = [each for each in rendering["deliveries"] if each["sender"] in options.channel]
    if options.format == "json":
        output.print_json(rendering)
    else:
        deliveries_text = ("\n".join(format_delivery(each, raw=options.json)) for each in rendering["deliveries"])
        print("\n\n".join(deliveries_text) or "no receiver")
        for warning in rendering["warnings"]:
            print(f"\nwarning: {warning}")
    deliveries = rendering["deliveries"]
    failed = any(delivery["reason"] not in (None, "ignored") for delivery in deliveries)
    has_messages = any(delivery["messages"] for delivery in deliveries)
    return command.NO if failed or not has_messages else command.DONE


def format_delivery(delivery: dict[str, Any], *, raw: bool) -> Iterator[str]:
    """A delivery as text: a headline, then its messages.

    :param raw: show the request bodies.
    """
    name = delivery["destination"] or delivery["sender"]
    receiver = f" for {delivery['receiver']}" if delivery["receiver"] else ""
    if delivery["reason"]:
        reason = ": ".join(filter(None, [delivery["reason"], delivery["detail"]]))
        yield f"{name}{receiver}: {reason}" + (f" ({delivery['path']})" if delivery["path"] else "")
        return
    about = [delivery["content_type"] or "no content type"]
    if delivery["segments"] is not None:
        about.append(output.counted(delivery["segments"], "segment"))
    yield f"{name}{receiver} ({', '.join(about)})"
    messages = delivery["messages"]
    for number, message in enumerate(messages, 1):
        if len(messages) > 1:
            yield f"message {number} of {len(messages)}:"
        content_type = delivery["content_type"] or ""
        text = None if raw else message_text.from_message(delivery["sender"], message, content_type)
        yield text if text is not None else output.readable(message, content_type)
