"""What a trigger is, as ``influxdb3 create trigger`` is told."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from tests.engine_host.schedule import Cron, Every, Schedule

ErrorBehavior = Literal["log", "retry", "disable"]
"""What follows a call that raised; of no effect on request triggers."""
ERROR_BEHAVIORS: tuple[ErrorBehavior, ...] = ("log", "retry", "disable")


class TriggerOptions(TypedDict, total=False):
    """What a trigger may be created with besides its name; what is not given is as in :data:`DEFAULTS`."""

    path: str
    """The plugin's file, in the plugin directory."""
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
    """What follows ``/api/v3/engine/``; may have several segments."""


@dataclass(frozen=True)
class OnSchedule:
    """``every:DURATION`` or ``cron:EXPRESSION``."""

    schedule: Schedule


@dataclass(frozen=True)
class OnWrite:
    """``table:NAME``, or ``all_tables`` when there is no table."""

    table: str | None


class PluginFile:
    """A plugin's source, which is read anew for each call; of one that is gone the engine keeps what it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._source = path.read_text(encoding="utf-8")

    def read(self) -> str:
        """The source as it is now."""
        with suppress(OSError, UnicodeDecodeError):
            self._source = self._path.read_text(encoding="utf-8")
        return self._source


@dataclass(frozen=True)
class Trigger:
    """A trigger of the host's database."""

    name: str
    plugin: PluginFile
    occasion: OnRequest | OnSchedule | OnWrite
    arguments: dict[str, str] | None
    run_asynchronous: bool
    error_behavior: ErrorBehavior


def parse_spec(spec: str) -> OnRequest | OnSchedule | OnWrite:
    """Read a trigger specification; ValueError says what it may be."""
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
    """Read ``--trigger-arguments`` as the command line does, once for each time the flag is given.

    Cut at every comma, then at the first ``=``; nothing can be quoted; the last of equal keys wins.
    """
    arguments: dict[str, str] = {}
    for text in texts:
        for pair in text.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"trigger argument {pair!r} is not key=value")
            arguments[key] = value
    return arguments
