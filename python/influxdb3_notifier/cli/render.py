"""``render [FILE]``: what each channel would show and send."""

import argparse
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import channels, command, notification, output, text_form

DOES = """
Shows what people would see of a notification: title, text, fields, links, and the colour as a word. With --json the
bodies that would be sent, as a dry run of the endpoint shows them. With FILE for the receivers that would get it;
without, for every channel. Nothing is sent, and without --resolve no secret is looked up.
"""
STATUSES = {
    command.DONE: "every message could be made",
    command.NO: "one could not, or nobody would get any",
    command.FAILED: "the file cannot be used, or the request cannot be read",
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
        brief="show what people would see in each channel",
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
    parser.add_argument("--json", action="store_true", help="the bodies as they would be sent")
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
        print("\n\n".join("\n".join(shown(delivery, options.json)) for delivery in rendering["deliveries"]) or "nobody")
        for warning in rendering["warnings"]:
            print(f"\nwarning: {warning}")
    deliveries = rendering["deliveries"]
    failed = any(delivery["reason"] not in (None, "ignored") for delivery in deliveries)
    made = any(delivery["messages"] for delivery in deliveries)
    return command.NO if failed or not made else command.DONE


def shown(delivery: dict[str, Any], raw: bool) -> Iterator[str]:
    """A delivery for people: a line about it, then its messages.

    :param raw: show the bodies.
    """
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
        content_type = delivery["content_type"] or ""
        seen = None if raw else text_form.of(delivery["sender"], message, content_type)
        yield seen if seen is not None else output.readable(message, content_type)
