"""The engine's durations, in the format of the Rust crate humantime."""

import re

_NS_PER_S = 1_000_000_000
_NS_PER_UNIT = {
    **dict.fromkeys(("nsec", "ns"), 1),
    **dict.fromkeys(("usec", "us"), 1_000),
    **dict.fromkeys(("msec", "ms"), 1_000_000),
    **dict.fromkeys(("seconds", "second", "sec", "s"), _NS_PER_S),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60 * _NS_PER_S),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3_600 * _NS_PER_S),
    **dict.fromkeys(("days", "day", "d"), 86_400 * _NS_PER_S),
    **dict.fromkeys(("weeks", "week", "w"), 7 * 86_400 * _NS_PER_S),
    **dict.fromkeys(("months", "month", "M"), 2_630_016 * _NS_PER_S),
    **dict.fromkeys(("years", "year", "y"), 31_557_600 * _NS_PER_S),
}
YEAR_NS = _NS_PER_UNIT["year"]
"""365.25 days."""
_WRITTEN = ("year", "month", "day", "h", "m", "s", "ms", "us", "ns")


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as ``1h 30m``: the sum of whole numbers with units."""
    parts = re.findall(r"\s*([0-9]+)\s*([A-Za-z]+)\s*", text)
    units = [unit for _, unit in parts]
    if not parts or re.sub(r"\s*[0-9]+\s*[A-Za-z]+\s*", "", text) or not set(units) <= _NS_PER_UNIT.keys():
        raise ValueError(f"{text!r} is no duration: give whole numbers with a unit, such as 10s, 5m or 1h 30m")
    return sum(int(number) * _NS_PER_UNIT[unit] for number, unit in parts)


def format_duration(nanoseconds: int) -> str:
    """Format nanoseconds: ``31ms 449us 193ns``, ``1day 2h``."""
    if nanoseconds == 0:
        return "0s"
    written = []
    for unit in _WRITTEN:
        count, nanoseconds = divmod(nanoseconds, _NS_PER_UNIT[unit])
        if count:
            written.append(f"{count}{unit}{'s' if count > 1 and len(unit) > 2 else ''}")
    return " ".join(written)
