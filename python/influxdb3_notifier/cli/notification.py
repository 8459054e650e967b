"""A notification on the command line: flags, or the whole request as JSON."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from influxdb3_notifier import _native
from influxdb3_notifier.cli.command import FAILED, CommandError
from influxdb3_notifier.cli.output import complain
from influxdb3_notifier.cli.parser import unknown_word
from influxdb3_notifier.cli.terminal import is_terminal

TEXTS = {
    "title": ("TEXT", "a headline"),
    "level": ("LEVEL", "ok, info, warning, error or critical, or another word for one"),
    "status": ("STATUS", "firing, acknowledged or resolved"),
    "link": ("URL", "where to look"),
    "timestamp": ("TIME", "when it happened, by RFC 3339"),
    "dedup_key": ("KEY", "notifications with the same key leave one after the other"),
    "template": ("NAME", "the file's template that makes the text"),
}
"""Members of a request that are a string."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("the notification")
    group.add_argument("--text", metavar="TEXT", help="what to say")
    for name, (metavar, meaning) in TEXTS.items():
        words: dict[str, Any] = {"choices": _native.STATUSES, "type": str.lower} if name == "status" else {}
        group.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=meaning, **words)
    group.add_argument(
        "--field",
        metavar="NAME=VALUE",
        type=_field,
        action="append",
        help="what else there is to know; may be repeated",
    )
    group.add_argument("--data", metavar="JSON", type=_object, help="an object for templates")
    group.add_argument(
        "--receiver",
        metavar="NAME",
        action="append",
        help="a receiver of the file, in place of routes; may be repeated",
    )
    group.add_argument(
        "--senders-config",
        metavar="JSON",
        type=_object,
        help="destinations as a request brings them; @FILE reads them, so that no secret is in the command line",
    )
    group.add_argument(
        "--request", metavar="FILE", help="the whole request as the endpoint takes it; - reads it from standard input"
    )


def is_given(options: argparse.Namespace) -> bool:
    """Whether the command line says anything of a notification."""
    return options.request is not None or bool(_members(options))


def request(options: argparse.Namespace, *, text: str | None = None, **more: Any) -> bytes:
    """The request's body.

    :param text: what is said where the command line gives no text; None: that is an error of the command line.
    :param more: members besides.
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
    """Refuse a level that is none: the endpoint would take it for an error."""
    word = options.level
    if word is None or word in _native.LEVELS:
        return
    # A file that cannot be used may know the word; the command says what is wrong with the file.
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
    """The file's request, with these members in place of its own."""
    try:
        body = _standard_input() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        complain(f"{file}: {error.strerror or error}")
        raise CommandError(FAILED) from None
    if not members:
        return body
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        whole = None
    # What is no object is refused with the endpoint's own words.
    return json.dumps({**whole, **members}).encode() if isinstance(whole, dict) else body


def _standard_input() -> bytes:
    if sys.stdin.isatty() and is_terminal(sys.stderr):
        complain("reading the request from the terminal; Ctrl-D ends it")
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
    """Whether it is a boolean, or a number that a request may have: NaN is none, and a double holds no larger one."""
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
        # Not the text: it may hold a secret.
        raise argparse.ArgumentTypeError(f"it is no JSON: {_where(error)}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("it nests too deep") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("it must be a JSON object")
    return value


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    return "it is not UTF-8"
