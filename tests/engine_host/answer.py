"""What the engine makes of the value that ``process_request`` returns: Flask's rules, with its own oddities."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Answer:
    """An HTTP answer. ``headers`` are pairs: two spellings of a name are two headers."""

    status: int
    body: str
    headers: list[tuple[str, str]] = field(default_factory=list)


class UnreadableError(Exception):
    """A return value of no kind that the engine knows."""


def read_return_value(value: object) -> Answer:
    """Read a plugin's return value; raises what makes the engine answer 500."""
    if isinstance(value, tuple) and 1 <= len(value) <= 3:
        return _read_tuple(value)
    text = _text(value)
    if text is not None:
        return _answer(200, text, {"Content-Type": "text/html"})
    if isinstance(value, (dict, list)):
        return _answer(200, json.dumps(value), {"Content-Type": "application/json"})
    if isinstance(value, Iterable):
        # A stream of str and bytes is joined; other items, such as the ints of a bytes object, vanish.
        return _answer(200, "".join(map(_stream_item, value)), {"Content-Type": "text/html"})
    raise UnreadableError("Unsupported return type from Python function")


def _read_tuple(value: tuple[object, ...]) -> Answer:
    """(body,), (body, status), (body, headers) or (body, status, headers)."""
    body, headers = _read_body(value[0])
    status = 200
    if len(value) >= 2:
        second = value[1]
        if isinstance(second, int):
            status = int(second)
        elif isinstance(second, dict):
            headers |= _read_headers(second)
    if len(value) == 3:
        if not isinstance(value[2], dict):
            raise UnreadableError("expected a dictionary in header item")
        headers |= _read_headers(value[2])
    return _answer(status, body, headers)


def _read_body(body: object) -> tuple[str, dict[str, str]]:
    """The body of a tuple and the header that its type brings."""
    text = _text(body)
    if text is not None:
        return text, {"Content-Type": "text/html"}
    if isinstance(body, (dict, list)):
        return json.dumps(body), {"Content-Type": "application/json"}
    # Anything else goes as its str: bytes come out as b'…', None as None.
    text = str(body)
    text.encode()
    return text, {"Content-Type": "text/plain"}


def _read_headers(headers: dict[object, object]) -> dict[str, str]:
    """Names and values must be str. The spelling of a name counts until the answer is on the wire."""
    read: dict[str, str] = {}
    for name, value in headers.items():
        for item in (name, value):
            if not isinstance(item, str):
                raise TypeError(f"'{type(item).__name__}' object is not an instance of 'str'")
        read[str(name)] = str(value)
    return read


def _answer(status: int, body: str, headers: dict[str, str]) -> Answer:
    if not 100 <= status <= 999:
        status = 500
    return Answer(status, body, [(name, _header_value(value)) for name, value in headers.items()])


def _header_value(value: str) -> str:
    """A value with CR, LF or anything but visible ASCII, space and tab comes out empty."""
    return value if all(character == "\t" or " " <= character <= "~" for character in value) else ""


def _stream_item(item: object) -> str:
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError:
            return ""
    return _text(item) or ""


def _text(value: object) -> str | None:
    """``value`` if it is a str that UTF-8 can hold."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
