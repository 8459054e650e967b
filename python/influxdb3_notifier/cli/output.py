"""How results are printed: JSON for programs, lines for people; what cannot be done goes to standard error."""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from influxdb3_notifier.cli import terminal
from influxdb3_notifier.cli.command import FAILED, NO, USAGE


def print_json(value: object) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


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
    words = [painted, *filter(None, [found["path"]]), found["what"]]
    return ":".join([file, *place]) + ": " + ": ".join(words)


def problems(file: str, check: Mapping[str, Any], stream: TextIO | None = None) -> Iterable[str]:
    """Errors, then warnings, each in the order of the file.

    :param stream: where they will be printed; None: standard output.
    """
    for found in check["errors"]:
        yield problem(file, "error", found, stream)
    for found in check["warnings"]:
        yield problem(file, "warning", found, stream)


def refused(options: argparse.Namespace, refusal: Mapping[str, Any]) -> int:
    """Say why there is no result.

    :returns: the exit status.
    """
    if options.format == "json":
        print_json({"refused": refusal})
    file = options.file or "the trigger's arguments"
    if "unreadable" in refusal:
        if options.format == "text":
            complain(f"{file}: {refusal['unreadable']}")
        return FAILED
    if "unusable" in refusal:
        if options.format == "text":
            for line in problems(file, refusal["unusable"], sys.stderr):
                complain(line)
        return FAILED
    if "time" in refusal:
        if options.format == "text":
            complain(f"--at {refusal['time']}")
        return USAGE
    if options.format == "text":
        request = refusal["request"]
        complain(f"the request: {request['message']} {request['hint']}")
    return NO if refusal["request"]["code"] in ("missing_field", "destinations_denied") else FAILED
