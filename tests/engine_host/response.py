"""Converts ``process_request``'s return value to an HTTP response by Flask's rules, with the engine's differences."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class EngineResponse:
    """An HTTP response. ``headers`` are pairs: two spellings of a name are two headers."""

    status: int
    body: str
    headers: list[tuple[str, str]] = field(default_factory=list)


class ReturnValueError(Exception):
    """A return value of a type that the engine does not support."""


def read_return_value(value: object) -> EngineResponse:
    """Convert a plugin's return value. The engine responds 500 to an exception."""
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
    raise ReturnValueError("Unsupported return type from Python function")


def _read_tuple(value: tuple[object, ...]) -> EngineResponse:
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
            raise ReturnValueError("expected a dictionary in header item")
        headers |= _read_headers(value[2])
    return _answer(status, body, headers)


def _read_body(body: object) -> tuple[str, dict[str, str]]:
    """The body of a tuple, and the ``Content-Type`` for its type."""
    text = _text(body)
    if text is not None:
        return text, {"Content-Type": "text/html"}
    if isinstance(body, (dict, list)):
        return json.dumps(body), {"Content-Type": "application/json"}
    # The engine sends the str() of other types: b'…' for bytes, None for None.
    text = str(body)
    text.encode()
    return text, {"Content-Type": "text/plain"}


def _read_headers(headers: dict[object, object]) -> dict[str, str]:
    """Names and values must be str. The engine distinguishes spellings of a name until it sends the response."""
    read: dict[str, str] = {}
    for name, value in headers.items():
        for item in (name, value):
            if not isinstance(item, str):
                raise TypeError(f"'{type(item).__name__}' object is not an instance of 'str'")
        read[str(name)] = str(value)
    return read


def _answer(status: int, body: str, headers: dict[str, str]) -> EngineResponse:
    if not 100 <= status <= 999:
        status = 500
    return EngineResponse(status, body, [(name, _header_value(value)) for name, value in headers.items()])


def _header_value(value: str) -> str:
    """The engine sends an empty value if it has a character other than visible ASCII, space and tab."""
    return value if all(character == "\t" or " " <= character <= "~" for character in value) else ""


def _stream_item(item: object) -> str:
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError:
            return ""
    return _text(item) or ""


def _text(value: object) -> str | None:
    """``value`` if it is a str that can be encoded as UTF-8."""
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
