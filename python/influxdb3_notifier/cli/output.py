"""Printing of results, as JSON or as text. Errors go to standard error."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import parse_qsl

from influxdb3_notifier.cli import terminal
from influxdb3_notifier.cli.command import FAILED, NO, USAGE, CommandError


def print_json(value: object) -> None:
    """Print a result as JSON, with control characters escaped."""
    print("\n".join(escape_control(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n")))


def escape_control(line: str) -> str:
    """Escape control and other non-printable characters of untrusted text, as JSON does."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def print_error(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """``1 route``, ``2 routes``; ``plural`` is needed if it is not the noun with an s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def problem(file: str, kind: str, found: Mapping[str, Any], stream: TextIO | None = None) -> str:
    """``notifier.toml:3:9: error: receivers.oncall.slack: …``, a format that editors and CI systems parse."""
    position = [str(found[name]) for name in ("line", "column") if found.get(name) is not None]
    coloured = terminal.paint(kind, "bad" if kind == "error" else "warning", stream)
    parts = [coloured, *filter(None, [found.get("path"), found.get("source")]), found["message"]]
    return " ".join(filter(None, [":".join([file, *position]) + ": " + ": ".join(parts), found.get("hint")]))


def problems(file: str, check: Mapping[str, Any], stream: TextIO | None = None) -> Iterable[str]:
    """Errors, then warnings, each in the order of the file.

    :param stream: the stream on which the lines are printed; None: standard output.
    """
    for found in check["errors"]:
        yield problem(file, "error", found, stream)
    for found in check["warnings"]:
        yield problem(file, "warning", found, stream)


def result(options: argparse.Namespace, outcome: Mapping[str, Any]) -> Any:
    """Unpack the return value of a function of the extension module.

    :raises CommandError: it has an error, which is printed here.
    """
    report = outcome["error"]
    if report is None:
        return outcome["result"]
    if options.format == "json":
        print_json(report)
    else:
        for line in _error_lines(options, report):
            print_error(line)
    code = report["errors"][0]["code"]
    if code == "invalid_option":
        raise CommandError(USAGE)
    # These codes are results of a valid request: it reaches no destination.
    raise CommandError(NO if code in ("missing_field", "destinations_denied") else FAILED)


def _error_lines(options: argparse.Namespace, report: Mapping[str, Any]) -> Iterator[str]:
    first = report["errors"][0]
    match first["code"]:
        case "config_file" | "invalid_argument" | "secret_in_argument":
            yield from problems(options.file or "the trigger's arguments", report, sys.stderr)
        case "invalid_option":
            yield f"{first['path']} {first['message']}"
        case _:
            yield f"the request: {first['message']} {first.get('hint', '')}"


def readable(message: str, content_type: str) -> str:
    """Format a message body: JSON with indents, a form with one field a line, any other text unchanged."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return "\n".join(f"{name}: {value}" for name, value in parse_qsl(message, keep_blank_values=True))
    try:
        return json.dumps(json.loads(message), indent=2, ensure_ascii=False)
    except ValueError:
        return message


class Log:
    """Prints log lines, with the methods of the engine's log.

    :param write: prints one line, which begins with the level.
    :param hold_errors: hold errors until :meth:`release`, because the result repeats most of them.
    """

    def __init__(self, write: Callable[[str], None], *, hold_errors: bool = False) -> None:
        self._write = write
        self._held_errors: list[str] | None = [] if hold_errors else None

    def release(self, is_repeated: Callable[[str], bool] = lambda _: False) -> None:
        """Write the held errors, except those that the result repeats."""
        held, self._held_errors = self._held_errors or [], None
        for line in held:
            if not is_repeated(line):
                self.error(line)

    def info(self, line: str) -> None:
        """Write a line at level INFO."""
        self._print("INFO", line)

    def warn(self, line: str) -> None:
        """Write a line at level WARN."""
        self._print("WARN", line, "warning")

    def error(self, line: str) -> None:
        """Write a line at level ERROR, or hold it."""
        if self._held_errors is not None:
            self._held_errors.append(line)
        else:
            self._print("ERROR", line, "bad")

    def _print(self, level: str, line: str, style: str | None = None) -> None:
        prefix = terminal.paint(level, style, sys.stderr) if style else level
        self._write(f"{prefix} {line}")
