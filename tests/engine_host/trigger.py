"""Triggers, with the parameters of ``influxdb3 create trigger``."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from tests.engine_host.schedule import Cron, Every, Schedule

ErrorBehavior = Literal["log", "retry", "disable"]
"""The actions after a call that raises. Request triggers ignore them."""
ERROR_BEHAVIORS: tuple[ErrorBehavior, ...] = ("log", "retry", "disable")


class TriggerOptions(TypedDict, total=False):
    """The parameters of a trigger besides its name. :data:`DEFAULTS` has the default values."""

    path: str
    """The plugin file, relative to the plugin directory."""
    spec: str
    """``request:``, ``every:``, ``cron:``, ``table:`` or ``all_tables``."""
    arguments: dict[str, str] | None
    run_asynchronous: bool
    error_behavior: ErrorBehavior


DEFAULTS: TriggerOptions = {
    "path": "notifier_plugin.py",
    "spec": "request:notify",
    "arguments": None,
    "run_asynchronous": True,
    "error_behavior": "log",
}


@dataclass(frozen=True)
class OnRequest:
    """``request:ROUTE``."""

    route: str
    """The path after ``/api/v3/engine/``, which may have several segments."""


@dataclass(frozen=True)
class OnSchedule:
    """``every:DURATION`` or ``cron:EXPRESSION``."""

    schedule: Schedule


@dataclass(frozen=True)
class OnWrite:
    """``table:NAME``, or ``all_tables`` if ``table`` is None."""

    table: str | None


class PluginFile:
    """A plugin's source. The engine reads it again for each call, and uses the last source if the file is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._source = path.read_text(encoding="utf-8")

    def read(self) -> str:
        """The current source."""
        with suppress(OSError, UnicodeDecodeError):
            self._source = self._path.read_text(encoding="utf-8")
        return self._source


@dataclass(frozen=True)
class TriggerDefinition:
    """A trigger of the host's database."""

    name: str
    plugin: PluginFile
    occasion: OnRequest | OnSchedule | OnWrite
    arguments: dict[str, str] | None
    run_asynchronous: bool
    error_behavior: ErrorBehavior


def parse_spec(spec: str) -> OnRequest | OnSchedule | OnWrite:
    """Parse a trigger specification. The ValueError of an invalid one lists the valid forms."""
    kind, _, what = spec.strip().partition(":")
    what = what.strip()
    if spec.strip() == "all_tables":
        return OnWrite(None)
    if kind == "request" and what:
        return OnRequest(what)
    if kind == "table" and what:
        return OnWrite(what)
    if kind == "every" and what:
        return OnSchedule(Every(what))
    if kind == "cron" and what:
        return OnSchedule(Cron(what))
    raise ValueError(
        f"trigger specification {spec!r} is none of request:PATH, every:DURATION, cron:EXPRESSION, table:NAME "
        "and all_tables"
    )


def parse_trigger_arguments(*texts: str) -> dict[str, str]:
    """Parse ``--trigger-arguments`` as the command line does; each text is the value of one flag.

    A text is split at every comma, then at the first ``=``. There are no quotes. The last of equal keys wins.
    """
    arguments: dict[str, str] = {}
    for text in texts:
        for pair in text.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"trigger argument {pair!r} is not key=value")
            arguments[key] = value
    return arguments
