"""The options that describe a notification, or give the whole request as JSON."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli.command import FAILED, CommandError
from influxdb3_notifier.cli.output import print_error
from influxdb3_notifier.cli.parser import unknown_word
from influxdb3_notifier.cli.terminal import is_terminal

TEXTS = {
    "title": ("TEXT", "a headline"),
    "level": ("LEVEL", "ok, info, warning, error or critical, or an alias"),
    "status": ("STATUS", "firing, acknowledged or resolved"),
    "link": ("URL", "a link, such as to a dashboard"),
    "timestamp": ("TIME", "the time of the event, in RFC 3339"),
    "dedup_key": ("KEY", "the identity of the alert; its notifications are delivered in order"),
    "template": ("NAME", "the template of FILE that renders the text"),
}
"""Members of a request that are strings."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("the notification")
    group.add_argument("--text", metavar="TEXT", help="the text")
    for name, (metavar, meaning) in TEXTS.items():
        keywords: dict[str, Any] = {"choices": _native.STATUSES, "type": str.lower} if name == "status" else {}
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=meaning, **keywords)
    group.add_argument(
        "--field",
        metavar="NAME=VALUE",
        type=_field,
        action="append",
        help="a field; repeatable",
    )
    group.add_argument("--data", metavar="JSON", type=_object, help="a JSON object for templates")
    group.add_argument(
        "--receiver",
        metavar="NAME",
        action="append",
        help="a receiver of FILE, instead of the routes; repeatable",
    )
    group.add_argument(
        "--senders-config",
        metavar="JSON",
        type=_object,
        help="the request's destinations; @FILE reads them from a file, which keeps secrets out of the command line",
    )
    group.add_argument(
        "--request", metavar="FILE", help="the whole request, the endpoint's JSON; - reads standard input"
    )


def is_given(options: argparse.Namespace) -> bool:
    """Whether the command line has an option for the notification."""
    return options.request is not None or bool(_members(options))


def request(options: argparse.Namespace, *, text: str | None = None, **more: Any) -> bytes:
    """The request body.

    :param text: the default text; None: a command line without a text is invalid.
    :param more: additional members.
    :raises CommandError: the file of ``--request`` cannot be read.
    """
    _check_level(options)
    members = {**_members(options), **more}
    if options.request is not None:
        return _merged(options.request, members)
    if "notification_text" not in members:
        if text is None:
            options.parser.error("give --text, or --request")
        members["notification_text"] = text
    return json.dumps(members).encode()


def _check_level(options: argparse.Namespace) -> None:
    """Reject an unknown level. The endpoint would accept it as ``error``."""
    word = options.level
    if word is None or word in _native.LEVELS:
        return
    # An invalid file has no result here. The command reports its errors later.
    if _native.is_level(word, options.file)["result"] is False:
        options.parser.error(f"argument --level: {unknown_word('value', word, _native.LEVELS)}")


def _members(options: argparse.Namespace) -> dict[str, Any]:
    members = {
        "notification_text": options.text,
        **{name: getattr(options, name) for name in TEXTS},
        "fields": dict(options.field) if options.field else None,
        "data": options.data,
        "receivers": options.receiver,
        "senders_config": options.senders_config,
    }
    return {name: value for name, value in members.items() if value is not None}


def _merged(file: str, members: dict[str, Any]) -> bytes:
    """The file's request, with ``members`` added or replaced."""
    try:
        body = _standard_input() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        print_error(f"{file}: {error.strerror or error}")
        raise CommandError(FAILED) from None
    if not members:
        return body
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        whole = None
    # The endpoint's validation rejects a body that is not an object.
    return json.dumps({**whole, **members}).encode() if isinstance(whole, dict) else body


def _standard_input() -> bytes:
    if sys.stdin.isatty() and is_terminal(sys.stderr):
        print_error("reading the request from the terminal; press Ctrl-D to end it")
    return sys.stdin.buffer.read()


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        scalar = json.loads(value)
    except (ValueError, RecursionError):
        return name, value
    return name, scalar if _is_scalar(scalar) else value


def _is_scalar(value: Any) -> bool:
    """Whether the value is a boolean or a finite number that fits in a double."""
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _object(text: str) -> dict[str, Any]:
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        value = json.loads(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]}: {error.strerror or error}") from None
    except ValueError as error:
        # The message omits the text, which may contain a secret.
        raise argparse.ArgumentTypeError(f"invalid JSON: {_error_position(error)}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("the JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("the value must be a JSON object")
    return value


def _error_position(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    return "not UTF-8"
