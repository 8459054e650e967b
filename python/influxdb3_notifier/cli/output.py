"""How results are printed: JSON for programs, lines for people; what cannot be done goes to standard error."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import parse_qsl

from influxdb3_notifier.cli import terminal
from influxdb3_notifier.cli.command import FAILED, NO, USAGE, CommandError


def print_json(value: object) -> None:
    """Print a result for programs. What a terminal would obey is escaped, as JSON allows."""
    print("\n".join(clean(line) for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n")))


def clean(line: str) -> str:
    """A line with text that others have written: what a terminal would obey, or not show, as JSON escapes it."""
    return "".join(shown if shown.isprintable() else json.dumps(shown)[1:-1] for shown in line)


def complain(text: str) -> None:
    """Say why something was not done."""
    print(text, file=sys.stderr)


def counted(count: int, what: str, several: str | None = None) -> str:
    """``1 route``, ``2 routes``; ``several`` where the plural is another word."""
    return f"{count} {what if count == 1 else several or what + 's'}"


def problem(file: str, kind: str, found: Mapping[str, Any], stream: TextIO | None = None) -> str:
    """``notifier.toml:3:9: error: receivers.oncall.slack: …``, as editors and continuous integration read it."""
    place = [str(found[name]) for name in ("line", "column") if found.get(name) is not None]
    painted = terminal.paint(kind, "bad" if kind == "error" else "doubtful", stream)
    words = [painted, *filter(None, [found.get("path"), found.get("source")]), found["message"]]
    return " ".join(filter(None, [":".join([file, *place]) + ": " + ": ".join(words), found.get("hint")]))


def problems(file: str, check: Mapping[str, Any], stream: TextIO | None = None) -> Iterable[str]:
    """Errors, then warnings, each in the order of the file.

    :param stream: where they will be printed; None: standard output.
    """
    for found in check["errors"]:
        yield problem(file, "error", found, stream)
    for found in check["warnings"]:
        yield problem(file, "warning", found, stream)


def result(options: argparse.Namespace, answer: Mapping[str, Any]) -> Any:
    """The result in what the extension module has answered.

    :raises CommandError: there is none; why was said.
    """
    refusal = answer["refused"]
    if refusal is None:
        return answer["result"]
    if options.format == "json":
        print_json({"refused": refusal})
    else:
        for line in _reasons(options, refusal):
            complain(line)
    if "time" in refusal:
        raise CommandError(USAGE)
    # A request that was read and could be answered: with no.
    no = refusal.get("request", {}).get("code") in ("missing_field", "destinations_denied")
    raise CommandError(NO if no else FAILED)


def _reasons(options: argparse.Namespace, refusal: Mapping[str, Any]) -> Iterator[str]:
    file = options.file or "the trigger's arguments"
    if "unreadable" in refusal:
        yield f"{file}: {refusal['unreadable']}"
    elif "unusable" in refusal:
        yield from problems(file, refusal["unusable"], sys.stderr)
    elif "time" in refusal:
        yield f"--at {refusal['time']}"
    else:
        request = refusal["request"]
        yield f"the request: {request['message']} {request.get('hint', '')}"


def readable(message: str, content_type: str) -> str:
    """A message's body for people: JSON with line breaks, a form as its fields, anything else as it is."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return "\n".join(f"{name}: {value}" for name, value in parse_qsl(message, keep_blank_values=True))
    try:
        return json.dumps(json.loads(message), indent=2, ensure_ascii=False)
    except ValueError:
        return message


class Log:
    """Takes log lines in the engine's place.

    :param write: takes each line, its level before it.
    :param keep_errors: errors wait for :meth:`release`, as most of them stand in the result.
    """

    def __init__(self, write: Callable[[str], None], *, keep_errors: bool = False) -> None:
        self._to = write
        self._kept: list[str] | None = [] if keep_errors else None

    def release(self, is_told: Callable[[str], bool] = lambda _: False) -> None:
        """Write the errors that were kept, but for those that are told elsewhere."""
        kept, self._kept = self._kept or [], None
        for line in kept:
            if not is_told(line):
                self.error(line)

    def info(self, line: str) -> None:
        """Of what went well."""
        self._write("INFO", line)

    def warn(self, line: str) -> None:
        """Of what goes on."""
        self._write("WARN", line, "doubtful")

    def error(self, line: str) -> None:
        """Of what failed."""
        if self._kept is not None:
            self._kept.append(line)
        else:
            self._write("ERROR", line, "bad")

    def _write(self, level: str, line: str, style: str | None = None) -> None:
        shown = terminal.paint(level, style, sys.stderr) if style else level
        self._to(f"{shown} {line}")
