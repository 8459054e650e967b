"""The encodings in which a reply may show a secret."""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus


def in_base64(before: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> Callable[[str], str]:
    """In base64, after ``offset`` other bytes."""
    return lambda secret: encode(f"{before}{secret} and more".encode()).decode()


def wrapped(secret: str) -> str:
    """In base64 in short lines."""
    encoded = base64.b64encode(f"a long line: {secret}".encode()).decode()
    return "\r\n".join(encoded[at : at + 16] for at in range(0, len(encoded), 16))


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "for a URL": lambda s: quote(s, safe=""),
    "for a URL, lower case": lambda s: re.sub("%..", lambda escape: escape[0].lower(), quote(s, safe="")),
    "for a form": quote_plus,
    "in JSON": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "in JSON, all escaped": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "in HTML": lambda s: html.escape(s).replace("/", "&#x2F;"),
    "in HTML, all escaped": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "as Python shows bytes": lambda s: repr(s.encode("utf-16-be").replace(b"\0", b""))[2:-1],
    "with invisible characters": lambda s: "\u200b".join(s),
    "with control characters": lambda s: "\0".join(s),
    "one character a line": lambda s: "\r\n".join(s),
    "in base64": in_base64(""),
    "in base64, one byte on": in_base64("a"),
    "in base64, two bytes on": in_base64("ab"),
    "in base64 for URLs": in_base64("", base64.urlsafe_b64encode),
    "in base64 in lines": wrapped,
    "cut off": lambda s: s[:12],
}
