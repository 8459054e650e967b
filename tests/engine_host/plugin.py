"""One call of a plugin, from its source to the answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.engine_host.answer import Answer, UnreadableError, read_return_value
from tests.engine_host.local import Local
from tests.engine_host.logs import LogRing

SIGNATURE = "process_request(influxdb3_local, query_parameters, request_headers, request_body, args=None)"


class PluginError(Exception):
    """A call that failed; its text is what the answer says under ``error``."""


@dataclass
class Request:
    """What the engine passes to ``process_request``."""

    query_parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes


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
            f"the {name} function is not present in the plugin. Should be defined as: {SIGNATURE}"
        ) from None


def describe(error: BaseException) -> str:
    """An exception as the engine shows it."""
    return f"{type(error).__qualname__}: {error}"


def call_request_plugin(
    path: Path, local: Local, request: Request, arguments: dict[str, str] | None, logs: LogRing, trigger_name: str
) -> Answer:
    """Run one request through the plugin at ``path`` and write the engine's own log rows around it.

    Whatever the plugin raises becomes a 500, also what is no ``Exception``, and the trigger goes on.
    """
    logs.record(trigger_name, "INFO", "starting execution of request plugin.")
    started = time.monotonic()
    try:
        answer = _call(path, local, request, arguments)
    except PluginError as error:
        logs.record(trigger_name, "ERROR", f"error running request plugin: {error}")
        return Answer(500, json.dumps({"error": str(error)}))
    elapsed_us = round((time.monotonic() - started) * 1e6)
    logs.record(trigger_name, "INFO", f"finished execution in {elapsed_us}us")
    return answer


def _call(path: Path, local: Local, request: Request, arguments: dict[str, str] | None) -> Answer:
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PluginError(f"reading plugin file: {error}") from error
    function = load_function(source, "process_request")
    # Each call has dicts of its own: what a plugin does to them, the next call does not see.
    passed = dict(arguments) if arguments else None
    try:
        value = function(local, request.query_parameters, request.headers, request.body, passed)
    except BaseException as error:
        raise PluginError(f"Python function call failed: {describe(error)}") from error
    try:
        return read_return_value(value)
    except UnreadableError as error:
        raise PluginError(str(error)) from error
    except Exception as error:
        raise PluginError(describe(error)) from error
