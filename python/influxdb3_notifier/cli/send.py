"""``send [FILE]``: send a notification as the endpoint does."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output, terminal

DESCRIPTION = """
Sends a notification from this machine, as the endpoint does from the server, and waits until every delivery ends.
Prints the response on standard output and log lines on standard error. Given FILE, it uses the file's receivers,
routes and settings, and reads the secrets on this machine.
"""
STATUSES = {
    command.DONE: "every delivery was delivered, suppressed, or shown by --dry-run",
    command.NO: "a delivery failed, is ambiguous, or did not end within --wait",
    command.FAILED: "nothing was sent: the file has errors, or the request is invalid or has no destination",
    command.INTERRUPTED: "Ctrl-C interrupted the command and its deliveries",
}
EXAMPLES = """
influxdb3-notifier send notifier.toml --all
influxdb3-notifier send notifier.toml --text 'a test of the on-call route' --level critical
influxdb3-notifier send notifier.toml --receiver oncall --text 'a preview' --dry-run
influxdb3-notifier send --senders-config @senders.json --text 'hello' --wait 30
influxdb3-notifier send notifier.toml --request alert.json --format json
"""
STYLES = {"delivered": "good", "failed": "bad", "ambiguous": "warning", "pending": "warning"}
"""The style of each outcome."""

TEST_TEXT = "This is a test."
"""The default text of ``--all``."""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands,
        "send",
        run,
        brief="send a notification",
        description=DESCRIPTION,
        statuses=STATUSES,
        examples=EXAMPLES,
    )
    command.add_file(parser, optional=True)
    notification.add(parser)
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="the idempotency key of the request; default: a random key"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=command.seconds(7 * 24 * 3600),
        help="how long to wait for the deliveries; default: until all end",
    )
    parser.add_argument("--all", action="store_true", help="send to every receiver of FILE, as a test")
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Send, wait, and print the response."""
    members: dict[str, Any] = {}
    if options.dry_run:
        members["dry_run"] = True
    if options.idempotency_key is not None:
        members["idempotency_key"] = options.idempotency_key
    if options.all:
        members["receivers"] = every_receiver(options)
    body = notification.request(options, text=TEST_TEXT if options.all else None, **members)
    arguments = command.trigger_arguments(options, with_file=True)
    with terminal.WaitIndicator("waiting for the deliveries; Ctrl-C stops them") as indicator:
        log = output.Log(indicator.print, hold_errors=options.format != "json")
        try:
            response = _native.send(log, body, arguments, options.wait)
        except BaseException:
            log.release()
            raise
        log.release(lambda line: is_repeated(line, response))
    if options.format == "json":
        output.print_json(response)
    else:
        for line in format_response(response):
            print(line)
    if "error" in response:
        return command.FAILED
    return command.DONE if response["status"] == "success" else command.NO


def every_receiver(options: argparse.Namespace) -> list[str]:
    """The names of the file's receivers.

    :raises CommandError: the file has errors, or no receiver.
    """
    if options.file is None or options.receiver:
        options.parser.error("--all sends to every receiver of FILE: give FILE, and omit --receiver")
    check = output.result(options, _native.check(options.file, command.trigger_arguments(options), False))
    names = [receiver["name"] for receiver in check["receivers"]]
    if check["errors"] or not names:
        for line in output.problems(options.file, check, sys.stderr):
            output.print_error(line)
        if not check["errors"]:
            output.print_error(f"{options.file}: the file has no receiver")
        raise command.CommandError(command.FAILED)
    return names


def is_repeated(line: str, response: dict[str, Any]) -> bool:
    """Whether the printed response repeats a log line."""
    if "error" in response:
        return response["message"] in line
    failed = (delivery for delivery in response["deliveries"] if delivery["reason"])
    return any(f"] {delivery['destination'] or delivery['sender']}: " in line for delivery in failed)


def format_response(response: dict[str, Any]) -> Iterator[str]:
    """The response as lines of text."""
    if "error" in response:
        yield f"nothing was sent: {response['message']} {response['error']['hint']}"
        return
    yield response["status"]
    for delivery in response["deliveries"]:
        name = delivery["destination"] or delivery["sender"]
        receiver = f"{delivery['receiver']}: " if delivery["receiver"] else ""
        yield f"  {receiver}{name}: {format_outcome(delivery)}"
        if "preview" in delivery:
            preview = delivery["preview"]
            message = output.readable(preview["body"], preview["content_type"])
            yield "\n".join(f"    {line}" for line in message.splitlines())
    for warning in response["warnings"]:
        yield f"warning: {warning}"


def format_outcome(delivery: dict[str, Any]) -> str:
    """``delivered in 84 ms (HTTP 200, attempt 1)``."""
    style = STYLES.get(delivery["outcome"])
    outcome = terminal.paint(delivery["outcome"], style) if style else delivery["outcome"]
    if delivery["outcome"] == "suppressed":
        return f"{outcome} by {delivery['rule']}"
    if delivery["outcome"] == "delivered":
        status = f"HTTP {delivery['http_status']}, " if delivery["http_status"] else ""
        return f"{outcome} in {delivery['elapsed_ms']} ms ({status}attempt {delivery['attempts']})"
    if delivery["reason"]:
        outcome += f", {delivery['reason']}: {delivery['detail']}"
        outcome += "" if outcome.endswith(".") else "."
        outcome += f" {delivery['hint']}"
    return outcome
