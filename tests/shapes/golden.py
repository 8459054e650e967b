"""Golden files: JSON as the program writes it, with a word such as ``<task>`` for each value that differs between runs.

``UPDATE_GOLDEN=1`` writes them again.
"""

import difflib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness import ROOT

FOLDER = Path(__file__).parent / "golden"

Words = Mapping[str, str]
"""The placeholder for a member's value, by its name. Null stays."""

EVERYWHERE: Words = {
    "elapsed_ms": "<milliseconds>",
    "next_attempt_in_ms": "<milliseconds>",
    "time": "<time>",
}
TEXTS = [
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<task>"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"#[0-9a-f]{4,}\b"), "#<digest>"),
    (re.compile(r"\b(in|after) \d+ ms\b"), r"\1 <milliseconds> ms"),
    (re.compile(r"\binfluxdb3-notifier==[0-9.]+"), "influxdb3-notifier==<version>"),
    (re.compile(r"\belapsed_ms=\d+i"), "elapsed_ms=<milliseconds>i"),
    (re.compile(r" \d{19}$"), " <unix nanoseconds>"),
    (re.compile(r"\bSM[0-9a-f]{32}\b"), "SM<32 hexadecimal digits>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<64 hexadecimal digits>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<32 hexadecimal digits>"),
]
"""Patterns of varying texts, and their placeholders."""


def masked(value: Any, words: Words) -> Any:
    """The value with placeholders for the parts that differ between runs."""
    if isinstance(value, dict):
        return {masked(name, words): _member(name, member, words) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(item, words) for item in value]
    if isinstance(value, str):
        for pattern, word in TEXTS:
            value = pattern.sub(word, value)
    return value


def _member(name: str, value: Any, words: Words) -> Any:
    # A container is never replaced: its members are part of the shape.
    is_replaced = name in words and isinstance(value, str | int | float) and not isinstance(value, bool)
    return words[name] if is_replaced else masked(value, words)


def text_of(value: Any, words: Words) -> str:
    """The text of a golden file. Members keep the order in which the program writes them."""
    return json.dumps(masked(value, {**EVERYWHERE, **words}), indent=2, ensure_ascii=False) + "\n"


def differences(golden: str, text: str) -> list[str]:
    """The lines of a unified diff; empty if both are equal."""
    return list(difflib.unified_diff(golden.splitlines(), text.splitlines(), "golden", "found", lineterm=""))


def compare(name: str, value: Any, words: Words | None = None, *, directory: Path | None = None) -> None:
    """Fail unless the value has the shape of the golden file.

    :param name: of the file in ``golden``, without its suffix.
    :param words: for members of this shape alone.
    :param directory: of the test; its name differs between runs.
    """
    path = FOLDER / f"{name}.json"
    text = text_of(value, words or {})
    if directory is not None:
        text = text.replace(str(directory.resolve()), "<directory>").replace(str(directory), "<directory>")
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    golden = path.read_text() if path.exists() else ""
    found = differences(golden, text)
    where = path.relative_to(ROOT)
    assert not found, "\n".join(
        [f"{where} differs; UPDATE_GOLDEN=1 writes it again, then read the difference:", *found]
    )
