"""Schedules of triggers: ``every:DURATION`` and ``cron:EXPRESSION``, in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tests.engine_host.durations import YEAR_NS, parse_duration


class Schedule(Protocol):
    """A sequence of times; None: there are no more."""

    def first(self, now: datetime) -> datetime | None:
        """The first time after ``now``."""

    def following(self, moment: datetime) -> datetime | None:
        """The time after ``moment``, which is a time of the schedule."""


class Every:
    """Multiples of an interval since 1970: ``every:1h`` is on the hour, independent of the trigger's creation."""

    def __init__(self, text: str) -> None:
        nanoseconds = parse_duration(text)
        if nanoseconds > YEAR_NS:
            raise ValueError("don't support every schedules of over 1 year")
        if nanoseconds < 1_000_000:
            # The engine accepts 0, divides by zero when it starts the trigger, and cannot start triggers any more.
            raise ValueError(f"every:{text} is less than a millisecond, which the engine does not survive")
        self._interval = timedelta(microseconds=nanoseconds / 1_000)
        self._interval_ms = nanoseconds // 1_000_000

    def first(self, now: datetime) -> datetime:
        """The next multiple of the interval. For the first call the engine uses whole milliseconds."""
        now_ms = (now - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
        return datetime.fromtimestamp(0, UTC) + timedelta(
            milliseconds=(now_ms // self._interval_ms + 1) * self._interval_ms
        )

    def following(self, moment: datetime) -> datetime:
        """The time one interval later."""
        return moment + self._interval


_NUMBERS = r"[0-9*,/?-]+"
_NAMES = r"(?:[0-9*,/?-]|[A-Za-z]{3,})+"
_CRON = re.compile(rf"{_NUMBERS} {_NUMBERS} {_NUMBERS} {_NUMBERS} {_NAMES} {_NAMES}(?: {_NUMBERS})?")
_DAY = re.compile(r"(?<![/\d])\d+")
"""A number in the field for days of the week, but not a step after a slash."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Cron:
    """Seconds, minutes, hours, days of the month, months, days of the week and, if given, years.

    As in the Rust crate ``cron``: a day must be in both of its fields, the week's days count from Sunday, which is 1,
    and no range wraps around.
    """

    def __init__(self, text: str) -> None:
        fields = text.split()
        if not _CRON.fullmatch(" ".join(fields)):
            raise ValueError(f"cron expression {text!r} has not six fields, seconds first, or a seventh for years")
        fields[4], fields[5] = _numbered(fields[4], _MONTHS), _numbered(fields[5], _DAYS)
        if any(int(start) > int(end) for start, end in re.findall(r"(\d+)-(\d+)", " ".join(fields))):
            raise ValueError(f"cron expression {text!r} has a range that ends before it starts")
        if any(int(day) == 0 for day in _DAY.findall(fields[5])):
            raise ValueError(f"cron expression {text!r}: the days of the week are 1 (Sunday) to 7")
        # croniter numbers the days of the week from 0.
        fields[5] = _DAY.sub(lambda day: str(int(day[0]) - 1), fields[5])
        self._expression = " ".join(fields)
        try:
            self.first(datetime.now(UTC))
        except ValueError as error:
            raise ValueError(f"cron expression {text!r}: {error}") from error

    def first(self, now: datetime) -> datetime | None:
        """The first moment after ``now``."""
        # Imported here, because the benchmark's environment does not have it.
        from croniter import CroniterBadDateError, croniter

        iterator = croniter(self._expression, now, second_at_beginning=True, day_or=False)
        try:
            return iterator.get_next(datetime)
        except CroniterBadDateError:
            return None

    def following(self, moment: datetime) -> datetime | None:
        """The first time after ``moment``."""
        return self.first(moment)


def _numbered(field: str, names: tuple[str, ...]) -> str:
    """Replace each name in a field by its number. Long names are valid, and the first of ``names`` is 1."""

    def number(name: re.Match[str]) -> str:
        short = name[0][:3].lower()
        if short not in names:
            raise ValueError(f"cron expression: {name[0]!r} is none of {', '.join(names)}")
        return str(names.index(short) + 1)

    return re.sub(r"[A-Za-z]+", number, field)
