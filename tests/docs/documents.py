"""The documents' fenced blocks, and the comparison of their responses with real ones."""

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from tests import harness


@dataclass
class Block:
    """A fenced block: its language, its text and its heading."""

    language: str
    text: str
    heading: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    heading = ""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("#"):
            heading = line
        elif fence := re.match(r"( *)```(\w*)$", line):
            inner = []
            for inside in lines:
                if inside.strip() == "```":
                    break
                inner.append(inside.removeprefix(fence[1]))
            found.append(Block(fence[2], "\n".join(inner), heading))
    return found


def as_curl_would(words: list[str]) -> Any:
    """The request of a curl command that has -X, -H, -d and a URL."""
    method, body, headers, url = "GET", b"", [], ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            # The shell replaces variables in double quotes.
            headers.append((name, os.path.expandvars(value)))
        elif word == "-d":
            body = next(rest).encode()
        else:
            url = word
    return harness.http_request(method, url, body=body, headers=headers).json


VOLATILE = {"task_id", "destination", "elapsed_ms", "message_id"}


def shape(value: Any, name: str = "") -> Any:
    """A response, with varying values replaced by their types."""
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__ if name in VOLATILE else value


if __name__ == "__main__":
    # Where there is no curl.
    words = [word for word in sys.argv if word not in ("-s", "-sS")]
    print(json.dumps(as_curl_would(words)))
