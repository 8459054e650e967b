"""``send [FILE]``: send a notification as the endpoint would."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli import command, notification, output, terminal

DOES = """
Sends a notification as the endpoint would, from this machine and in this command's own process, and waits until
every delivery has ended. The answer goes to standard output, the log lines to standard error. With FILE its
receivers, routes and settings are used, and its secrets are looked up here.
"""
STATUSES = {
    command.DONE: "everything was delivered, suppressed, or shown by --dry-run",
    command.NO: "something was not: it failed, is ambiguous, or had not ended when --wait was over",
    command.FAILED: "nothing was tried: the file cannot be used, or the request cannot be read or names nobody",
    command.INTERRUPTED: "interrupted; what was under way has ended with the command",
}
EXAMPLES = """
influxdb3-notifier send notifier.toml --all
influxdb3-notifier send notifier.toml --text 'a test of the on-call route' --level critical
influxdb3-notifier send notifier.toml --receiver oncall --text 'only a look' --dry-run
influxdb3-notifier send --senders-config @senders.json --text 'hello' --wait 30
influxdb3-notifier send notifier.toml --request alert.json --format json
"""
STYLES = {"delivered": "good", "failed": "bad", "ambiguous": "doubtful", "pending": "doubtful"}
"""How an outcome is painted."""

TEST = "This is a test."
"""The text of ``--all`` where the command line gives none."""


def add(commands: command.Commands) -> None:
    """Add the command."""
    parser = command.add(
        commands, "send", run, brief="send a notification", does=DOES, statuses=STATUSES, examples=EXAMPLES
    )
    command.add_file(parser, optional=True)
    notification.add(parser)
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="the key that an http receiver is given; made up if absent"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=command.seconds(7 * 24 * 3600),
        help="how long to wait for the end; as long as it takes if absent",
    )
    parser.add_argument("--all", action="store_true", help="send to every receiver of FILE, such as to test them")
    command.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Send, wait, and print the answer."""
    more: dict[str, Any] = {}
    if options.dry_run:
        more["dry_run"] = True
    if options.idempotency_key is not None:
        more["idempotency_key"] = options.idempotency_key
    if options.all:
        more["receivers"] = every_receiver(options)
    body = notification.request(options, text=TEST if options.all else None, **more)
    arguments = command.trigger_arguments(options, with_file=True)
    with terminal.Waiting("waiting for the end of every delivery; Ctrl-C stops them") as waiting:
        log = output.Log(waiting.print, keep_errors=options.format != "json")
        try:
            answer = _native.send(log, body, arguments, options.wait)
        except BaseException:
            log.release()
            raise
        log.release(lambda line: is_told(line, answer))
    if options.format == "json":
        output.print_json(answer)
    else:
        for line in told(answer):
            print(line)
    if "error" in answer:
        return command.FAILED
    return command.DONE if answer["status"] == "success" else command.NO


def every_receiver(options: argparse.Namespace) -> list[str]:
    """The names of the file's receivers.

    :raises CommandError: the file cannot be used, or has none.
    """
    if options.file is None or options.receiver:
        options.parser.error("--all is for every receiver of FILE: give FILE, and no --receiver")
    found = output.result(options, _native.check(options.file, command.trigger_arguments(options), False))
    names = [receiver["name"] for receiver in found["receivers"]]
    if found["errors"] or not names:
        for line in output.problems(options.file, found, sys.stderr):
            output.complain(line)
        if not found["errors"]:
            output.complain(f"{options.file}: it has no receiver")
        raise command.CommandError(command.FAILED)
    return names


def is_told(line: str, answer: dict[str, Any]) -> bool:
    """Whether the answer for people says what this line of the log says."""
    if "error" in answer:
        return answer["message"] in line
    failed = (delivery for delivery in answer["deliveries"] if delivery["reason"])
    return any(f"] {delivery['destination'] or delivery['sender']}: " in line for delivery in failed)


def told(answer: dict[str, Any]) -> Iterator[str]:
    """The answer for people."""
    if "error" in answer:
        yield f"nothing was sent: {answer['message']} {answer['error']['hint']}"
        return
    yield answer["status"]
    for delivery in answer["deliveries"]:
        name = delivery["destination"] or delivery["sender"]
        receiver = f"{delivery['receiver']}: " if delivery["receiver"] else ""
        yield f"  {receiver}{name}: {outcome(delivery)}"
        if "preview" in delivery:
            preview = delivery["preview"]
            message = output.readable(preview["body"], preview["content_type"])
            yield "\n".join(f"    {line}" for line in message.splitlines())
    for warning in answer["warnings"]:
        yield f"warning: {warning}"


def outcome(delivery: dict[str, Any]) -> str:
    """``delivered in 84 ms (HTTP 200, attempt 1)``."""
    words = (
        terminal.paint(delivery["outcome"], style)
        if (style := STYLES.get(delivery["outcome"]))
        else delivery["outcome"]
    )
    if delivery["outcome"] == "suppressed":
        return f"{words} by {delivery['rule']}"
    if delivery["outcome"] == "delivered":
        status = f"HTTP {delivery['http_status']}, " if delivery["http_status"] else ""
        return f"{words} in {delivery['elapsed_ms']} ms ({status}attempt {delivery['attempts']})"
    if delivery["reason"]:
        words += f", {delivery['reason']}: {delivery['detail']}"
        words += "" if words.endswith(".") else "."
        words += f" {delivery['hint']}"
    return words
