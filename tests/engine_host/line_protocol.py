"""A line protocol parser that behaves as InfluxDB 3's, with its error messages.

The packages that parse it do not tell an unsigned integer from a signed one, or lose the order of the columns.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

Value = str | int | float | bool

MAX_STRING_BYTES = 64 * 1024
_I64 = range(-(2**63), 2**63)
_U64 = range(2**64)

# A name ends at white space or at a delimiter, unless a backslash precedes it.
_MEASUREMENT = re.compile(r"(?:\\.?|[^ \t\n\0,\\])+", re.DOTALL)
_KEY = re.compile(r"(?:\\.?|[^ \t\n=\\])+", re.DOTALL)
_TAG_VALUE = re.compile(r"(?:\\.?|[^ \t\n,\\])+", re.DOTALL)
_SPACES = re.compile(" +")
_INTEGER = re.compile("(-?[0-9]+)i")
_UNSIGNED = re.compile("([0-9]+)u")
_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_STRING = re.compile(r'"((?:\\["\\]|\\(?!["\\])|[^"\\])*)"')
_BOOLEAN = re.compile("true|True|TRUE|t|T|false|False|FALSE|f|F")
_TIMESTAMP = re.compile("-?[0-9]+")


@dataclass(frozen=True)
class Point:
    """One line. ``columns`` are its tags, then its fields: type and value by name, in the order of the line."""

    line: str
    table: str
    columns: dict[str, tuple[str, Value]]
    """The kind is ``tag`` or ``field::`` and one of ``float``, ``integer``, ``uinteger``, ``string``, ``boolean``."""
    timestamp: int | None
    """In the unit of the write's precision."""


class LineError(Exception):
    """An invalid line. The text is the server's error message."""


def split_lines(text: str) -> Iterator[str]:
    """The lines of ``text`` without comments and empty lines. A string may contain line breaks."""
    start = position = 0
    in_fields = in_string = False
    equals = commas = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == " ":
            in_fields = True
        elif character == '"' and in_fields and equals > commas:
            in_string = not in_string
        elif character in "=," and in_fields and not in_string:
            equals += character == "="
            commas += character == ","
        elif character == "\n" and not in_string:
            yield from _content(text[start:position])
            start = position + 1
            in_fields = False
            equals = commas = 0
        position += 1
    yield from _content(text[start:])


def _content(line: str) -> Iterator[str]:
    """The line without leading white space and comments, unless it is empty."""
    line = line.lstrip(" \t\n")
    while line.startswith("#"):
        line = line.partition("\n")[2].lstrip(" \t\n")
    if line:
        yield line


def parse_line(line: str) -> Point:
    """Parse one line; raises :class:`LineError`."""
    return _Reader(line).point()


class _Reader:
    """A line and the position in it."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def point(self) -> Point:
        table = self._name(_MEASUREMENT, r"[, \\]")
        if table is None:
            raise LineError("Invalid measurement was provided")
        columns: dict[str, tuple[str, Value]] = {}
        if self._take(","):
            self._tags(columns)
        if not self._spaces():
            rest = self._rest()
            raise LineError(f"Expected at least one space character, got {f'`{rest}`' if rest else 'end of input'}")
        self._fields(columns)
        timestamp = self._timestamp()
        if self._rest():
            raise LineError(f"Could not parse entire line. Found trailing content: `{_cut(self._rest())}`")
        return Point(self._line, table, columns, timestamp)

    def _tags(self, columns: dict[str, tuple[str, Value]]) -> None:
        start = self._rest()
        while True:
            key = self._name(_KEY)
            if key is None:
                self._expected("tag key")
            if not self._take("="):
                raise LineError(f"Tag set malformed: could not find equals sign in `{_cut(start)}`")
            value = self._name(_TAG_VALUE)
            if value is None:
                self._expected("tag value")
            if key in columns:
                # The server accepts such a line, and then fails every query of the table.
                raise LineError(f"Must not contain duplicate tags, but `{key}` was repeated")
            columns[key] = ("tag", value)
            if not self._take(","):
                return

    def _fields(self, columns: dict[str, tuple[str, Value]]) -> None:
        """Read at least one field. :meth:`point` reports text after the fields."""
        seen: list[str] = []
        while True:
            before = self._at
            key = self._name(_KEY)
            value = self._value() if key is not None and self._take("=") else None
            if key is None or value is None:
                if not seen:
                    raise LineError("No fields were provided")
                # As in the server, only the comma after the first field is consumed.
                self._at = before - (len(seen) > 1)
                return
            if key in seen:
                raise LineError(f"invalid line protocol - multiple instances of '{key}' field found")
            if key in columns:
                raise LineError(conflict(key, "tag", value[0]))
            seen.append(key)
            columns[key] = value
            if not self._take(","):
                return

    def _value(self) -> tuple[str, Value] | None:
        if match := self._match(_INTEGER):
            return "field::integer", _whole(match[1], _I64, "integer value")
        if match := self._match(_UNSIGNED):
            return "field::uinteger", _whole(match[1], _U64, "unsigned integer value")
        if match := self._match(_FLOAT):
            return "field::float", float(match[0])
        if match := self._match(_STRING):
            if len(match[1].encode()) > MAX_STRING_BYTES:
                raise LineError("String is greater than 64KB")
            return "field::string", re.sub(r'\\(["\\])', r"\1", match[1])
        if match := self._match(_BOOLEAN):
            return "field::boolean", match[0][0] in "tT"
        return None

    def _timestamp(self) -> int | None:
        before = self._at
        found = self._match(_TIMESTAMP) if self._spaces() else None
        if found is None:
            self._at = before
            return None
        self._spaces()
        return _whole(found[0], _I64, "timestamp value")

    def _name(self, pattern: re.Pattern[str], escaped: str = r"[,= \\]") -> str | None:
        """Read a name. A backslash is literal, except before a character of ``escaped``."""
        match = self._match(pattern)
        if match is None:
            return None
        name = re.sub(rf"\\({escaped})", r"\1", match[0])
        if name.endswith("\\"):
            raise LineError("Measurements, tag keys and values, and field keys may not end with a backslash")
        return name

    def _spaces(self) -> bool:
        return self._match(_SPACES) is not None

    def _take(self, character: str) -> bool:
        taken = self._line.startswith(character, self._at)
        self._at += taken
        return taken

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._line, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _rest(self) -> str:
        return self._line[self._at :]

    def _expected(self, what: str) -> NoReturn:
        rest = self._rest()
        raise LineError(f"Expected {what}, got {f'`{_cut(rest)}`' if rest else 'end of input'}")


def conflict(column: str, expected: str, got: str) -> str:
    """The server's error message for a column with another type than before."""
    return (
        f"invalid column type for column '{column}', expected iox::column_type::{expected}, got iox::column_type::{got}"
    )


def _whole(digits: str, bounds: range, what: str) -> int:
    if int(digits) not in bounds:
        raise LineError(f"Unable to parse {what} `{digits}`")
    return int(digits)


def _cut(text: str) -> str:
    return text if len(text.encode()) <= 10 else f"{text[:10]}..."
