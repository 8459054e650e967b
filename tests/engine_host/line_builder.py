"""``LineBuilder``. The engine adds it to the builtins, so plugins use it without an import."""

import builtins
from typing import Self


def _escape(text: str, characters: str) -> str:
    """Put a backslash before each of ``characters`` in ``text``."""
    for character in characters:
        text = text.replace(character, "\\" + character)
    return text


def _check_key(key: str) -> None:
    """Reject the keys that the engine's builder rejects."""
    if not key or any(character in key for character in " ,="):
        raise ValueError(f"key {key!r} is empty or contains a space, comma or equals sign")


class LineBuilder:
    """Builds one line of line protocol. The field methods return the builder."""

    def __init__(self, measurement: str) -> None:
        if " " in measurement:
            raise ValueError("Measurement name cannot contain spaces")
        self._measurement = measurement
        self._tags: dict[str, str] = {}
        self._fields: dict[str, str] = {}
        self._timestamp_ns: int | None = None

    def tag(self, key: str, value: object) -> Self:
        """Set a tag."""
        _check_key(key)
        self._tags[key] = _escape(str(value), "\\,= ")
        return self

    def int64_field(self, key: str, value: int) -> Self:
        """Set a signed integer field."""
        return self._field(key, f"{value}i")

    def uint64_field(self, key: str, value: int) -> Self:
        """Set an unsigned integer field."""
        if value < 0:
            raise ValueError(f"uint64 field {key!r} cannot be negative")
        return self._field(key, f"{value}u")

    def float64_field(self, key: str, value: float) -> Self:
        """Set a float field."""
        return self._field(key, f"{int(value)}.0" if value % 1 == 0 else str(value))

    def string_field(self, key: str, value: str) -> Self:
        """Set a string field."""
        return self._field(key, '"' + _escape(value, '\\"') + '"')

    def bool_field(self, key: str, value: bool) -> Self:
        """Set a boolean field."""
        return self._field(key, "t" if value else "f")

    def time_ns(self, timestamp_ns: int) -> Self:
        """Set the time, in nanoseconds since 1970."""
        self._timestamp_ns = timestamp_ns
        return self

    def build(self) -> str:
        """The line. It needs at least one field."""
        if not self._fields:
            raise ValueError(f"At least one field is required: {self._measurement}")
        head = ",".join([_escape(self._measurement, ","), *(f"{k}={v}" for k, v in self._tags.items())])
        fields = ",".join(f"{_escape(k, chr(92))}={v}" for k, v in self._fields.items())
        tail = "" if self._timestamp_ns is None else f" {self._timestamp_ns}"
        return f"{head} {fields}{tail}"

    def _field(self, key: str, text: str) -> Self:
        _check_key(key)
        self._fields[key] = text
        return self


def install() -> None:
    """Add ``LineBuilder`` to the builtins, as the engine does."""
    builtins.LineBuilder = LineBuilder  # type: ignore[attr-defined]
