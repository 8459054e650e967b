"""One call of a plugin: compile, call, convert the result."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from tests.engine_host.database import Batch
from tests.engine_host.durations import format_duration
from tests.engine_host.local import Local
from tests.engine_host.logs import LogRing
from tests.engine_host.response import EngineResponse, ReturnValueError, read_return_value
from tests.engine_host.trigger import TriggerDefinition

SIGNATURES = {
    "process_request": "(influxdb3_local, query_parameters, request_headers, request_body, args=None)",
    "process_scheduled_call": "(influxdb3_local, call_time, args=None)",
    "process_writes": "(influxdb3_local, table_batches, args=None)",
}


class PluginError(Exception):
    """A failed call. The text is the engine's error message."""


@dataclass
class PluginRequest:
    """The arguments of ``process_request``."""

    query_parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes


def call_request(trigger: TriggerDefinition, local: Local, logs: LogRing, request: PluginRequest) -> EngineResponse:
    """Run ``process_request``. An invalid return value is also a failed call."""
    with _between_rows(trigger, logs, "starting execution of request plugin."):
        function = load_function(trigger.plugin.read(), "process_request")
        try:
            value = function(local, request.query_parameters, request.headers, request.body, _arguments(trigger))
        except BaseException as error:
            raise PluginError(f"Python function call failed: {describe(error)}") from error
        try:
            return read_return_value(value)
        except ReturnValueError as error:
            raise PluginError(str(error)) from error
        except Exception as error:
            raise PluginError(describe(error)) from error


def call_scheduled(trigger: TriggerDefinition, local: Local, logs: LogRing, moment: datetime) -> None:
    """Run ``process_scheduled_call``, which gets ``moment`` as naive local time without fractions of a second."""
    with _between_rows(trigger, logs, f"starting execution with scheduled time {_as_chrono_writes(moment)}"):
        function = load_function(trigger.plugin.read(), "process_scheduled_call")
        call_time = datetime.fromtimestamp(int(moment.timestamp()))
        _call(function, local, call_time, _arguments(trigger))


def call_writes(trigger: TriggerDefinition, local: Local, logs: LogRing, source: str, batch: Batch) -> None:
    """Run ``process_writes`` of ``source`` with the trigger's tables of ``batch``."""
    with _between_rows(trigger, logs, "starting execution of wal plugin."):
        tables = [{"table_name": table, "rows": [dict(row) for row in rows]} for table, rows in batch.items()]
        _call(load_function(source, "process_writes"), local, tables, _arguments(trigger))


@contextmanager
def _between_rows(trigger: TriggerDefinition, logs: LogRing, starting: str) -> Iterator[None]:
    """Log the engine's rows before and after a call. A failed call has no second row."""
    logs.record(trigger.name, "INFO", starting)
    started = time.monotonic_ns()
    yield
    logs.record(trigger.name, "INFO", f"finished execution in {format_duration(time.monotonic_ns() - started)}")


def load_function(source: str, name: str) -> Callable[..., object]:
    """Compile and execute ``source`` into fresh globals and look up ``name`` there.

    The globals hold ``__builtins__`` and nothing else: ``__name__`` is found among the builtins and reads
    ``builtins``, and there is no ``__file__``.
    """
    scope: dict[str, object] = {}
    try:
        exec(compile(source, "<string>", "exec"), scope)
    except BaseException as error:
        raise PluginError(describe(error)) from error
    try:
        return scope[name]  # type: ignore[return-value]
    except KeyError:
        raise PluginError(
            f"the {name} function is not present in the plugin. Should be defined as: {name}{SIGNATURES[name]}"
        ) from None


def _call(function: Callable[..., object], *arguments: object) -> None:
    try:
        function(*arguments)
    except BaseException as error:
        raise PluginError(describe(error)) from error


def _arguments(trigger: TriggerDefinition) -> dict[str, str] | None:
    """The trigger arguments, in a new dict for each call."""
    return dict(trigger.arguments) if trigger.arguments else None


def describe(error: BaseException) -> str:
    """The engine's text for an exception."""
    return f"{type(error).__qualname__}: {error}"


def _as_chrono_writes(moment: datetime) -> str:
    """``2026-11-25 10:00:00 UTC``, with fractions of a second only if they are not zero."""
    fraction = moment.microsecond
    timespec = "seconds" if not fraction else "milliseconds" if fraction % 1_000 == 0 else "microseconds"
    return f"{moment.replace(tzinfo=None).isoformat(' ', timespec)} UTC"
