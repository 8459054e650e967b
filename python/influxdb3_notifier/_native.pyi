"""The extension module. The trigger functions never raise: they return an error as JSON, or log it."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Final, Self, final

__all__ = [
    "LEVELS",
    "PLUGIN_APIS",
    "REASONS",
    "STATUSES",
    "DeliveryFilter",
    "Outbox",
    "OutboxError",
    "__version__",
    "channels",
    "check",
    "check_templates",
    "is_level",
    "metrics",
    "plugin_source",
    "process_request",
    "process_scheduled_call",
    "process_writes",
    "render",
    "routes",
    "send",
    "stop_work",
    "work",
]

__version__: Final[str]
"""The version of the wheel, as in its metadata."""

PLUGIN_APIS: Final[tuple[int, ...]]
"""The versions of the plugin file's interface that this wheel supports."""

LEVELS: Final[tuple[str, ...]]
"""The names of the levels, the lowest first."""

STATUSES: Final[tuple[str, ...]]
"""The statuses of a notification."""

REASONS: Final[tuple[str, ...]]
"""The codes of the reasons why a delivery fails."""

def channels() -> str:
    """The description of every channel as a JSON list of objects, in the registry's order."""

def plugin_source() -> str:
    """The text of this wheel's ``notifier_plugin.py``."""

def process_request(
    plugin_api: int,
    influxdb3_local: object,
    query_parameters: object,
    request_headers: object,
    request_body: object,
    args: object,
) -> tuple[object, int] | tuple[object, int, dict[str, str]]:
    """Answer one call of a ``request:`` trigger.

    :param plugin_api: the plugin file's interface version; the response to an unsupported one is 503.
    :param influxdb3_local: the engine's object. The package holds it until the last delivery ends.
    :param query_parameters: mapping of str to str, or None.
    :param request_headers: mapping of str to str with lower-case names, or None.
    :param request_body: uncompressed bytes, or None.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    :returns: (body, status) or (body, status, headers): a plugin's return value in the engine.
    """

def process_scheduled_call(plugin_api: int, influxdb3_local: object, call_time: object, args: object) -> None:
    """Recover the requests that stopped processes left in the outbox. The call does not wait for deliveries.

    :param plugin_api: the plugin file's interface version; an unsupported one is logged.
    :param influxdb3_local: the engine's object. The package holds it until the next call.
    :param call_time: the time of the call, a naive local datetime; not used.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    """

def process_writes(plugin_api: int, influxdb3_local: object, table_batches: object, args: object) -> None:
    """Make notifications from rows that were written to a table. The call does not wait for deliveries.

    :param plugin_api: the plugin file's interface version; an unsupported one is logged.
    :param influxdb3_local: the engine's object. The package holds it until the last delivery ends.
    :param table_batches: list of {"table_name": str, "rows": list of dict of str to str, int, float or bool}; ``time``
        is in nanoseconds since 1970.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    """

class OutboxError(Exception):
    """An outbox cannot be used. ``args`` are the message and the hint."""

@final
class DeliveryFilter:
    """A filter for the deliveries of an outbox. A delivery must meet every given condition."""

    def __new__(
        cls,
        *,
        task: tuple[str, int | None] | None = None,
        states: Sequence[str] | None = None,
        sender: str | None = None,
        receiver: str | None = None,
        reason: str | None = None,
    ) -> Self:
        """Make a filter.

        :param task: a task_id or its beginning, and an index or None.
        :param states: some of waiting, dead, ended, dropped; an empty sequence or None: all.
        :param reason: the reason code of a failed delivery.
        """

@final
class Outbox:
    """An existing outbox, for the command line."""

    def __new__(cls, location: str | PathLike[str], config: str | PathLike[str] | None = None) -> Self:
        """Open the file, or connect to the NATS servers.

        :param location: a path, or ``nats://`` addresses, separated by spaces.
        :param config: the configuration file with the credentials and TLS settings of the servers.
        :raises OutboxError: the outbox does not exist, or cannot be used. Every method may raise it.
        """

    def list(self, delivery_filter: DeliveryFilter, limit: int) -> list[dict[str, Any]]:
        """Deliveries, the oldest first.

        :returns: dicts with ``id``, ``state``, ``accepted``, ``deadline``, ``ended`` (milliseconds since 1970),
            ``owned``, ``sealed``, and ``delivery``, an entry of a response's ``deliveries``.
        """

    def request_json(self, task: str) -> str | None:
        """The request as JSON, without its destinations; None: the task does not exist."""

    def retry(self, delivery_filter: DeliveryFilter) -> int:
        """Redrive dead letters.

        :returns: the number of deliveries.
        """

    def drop(self, delivery_filter: DeliveryFilter) -> int:
        """Drop deliveries.

        :returns: the number of deliveries.
        """

    def stats(self) -> dict[str, int | None]:
        """Statistics of the whole outbox.

        :returns: ``waiting``, ``dead``, ``ended``, ``dropped``, ``requests``, ``bytes``, and ``oldest`` (milliseconds
            since 1970; None when no delivery waits).
        """

# For the command line. The functions from `check` to `is_level` send nothing and return {"error": …, "result": …}: one
# is None. ``error`` has ``errors`` and ``warnings``, lists of problems: {"code", "message", "line", "column", "path",
# "source", "hint"}, without the parts that are unknown. The code says what is wrong: ``config_file``,
# ``invalid_argument`` and ``secret_in_argument`` the configuration, ``invalid_option`` an option of the command line,
# any other the request.

def check(path: str | PathLike[str], arguments: dict[str, str], resolve: bool) -> dict[str, Any]:
    """Check a configuration file.

    :param arguments: trigger arguments except config_file_path, which is ``path``.
    :param resolve: whether to read secrets from this process's environment and from files.
    :returns: ``errors`` and ``warnings`` ({"line", "column", "path", "message"}), ``receivers`` ({"name", "channels"}),
        ``default_receivers``, ``routes`` (a count), ``templates``, ``silences``, ``variables``, ``files``.
    """

def routes(
    path: str | PathLike[str], request: bytes, arguments: dict[str, str], resolve: bool, at: str | None
) -> dict[str, Any]:
    """Determine which receivers would get a request's notification, and why.

    :param at: an RFC 3339 time; None: now.
    :returns: ``level``, ``fields``, ``receivers``, ``senders``, ``routes_evaluated``, ``routes``, ``silences``,
        ``suppressed_by``, ``warnings``.
    """

def render(
    path: str | PathLike[str] | None, request: bytes, arguments: dict[str, str], resolve: bool, at: str | None
) -> dict[str, Any]:
    """Compose the messages for each destination.

    :param path: None: without a file. A request without destinations is then rendered for every channel.
    :returns: ``deliveries`` ({"sender", "receiver", "destination", "content_type", "messages", "segments", "reason",
        "detail", "path"}), ``warnings``.
    """

def check_templates(path: str | PathLike[str], request: bytes | None, at: str | None) -> dict[str, Any]:
    """Check every template of a configuration file, and render it if a request is given.

    :returns: a list of {"path", "line", "column", "errors", "warnings", "text"}.
    """

def is_level(word: str, path: str | PathLike[str] | None) -> dict[str, Any]:
    """Whether a word is a level or an alias for one, including the file's ``level_map``.

    :param path: None: without a file.
    :returns: a boolean.
    """

def send(log: object, request: bytes, arguments: dict[str, str], wait: float | None) -> dict[str, Any]:
    """Send a request as the endpoint does, and wait until every delivery ends.

    :param log: an object with the methods ``info``, ``warn`` and ``error``; each is called with one log line.
    :param arguments: trigger arguments, including config_file_path.
    :param wait: seconds; None: no limit. A delivery that has not ended by then is ``pending`` and continues.
    :returns: the endpoint's response body at that time.
    :raises KeyboardInterrupt: a signal arrives during the wait.
    """

def work(log: object, arguments: dict[str, str], claimed_config_path: str) -> dict[str, Any]:
    """Claim requests of the outbox that no process owns. Returns without waiting for deliveries.

    :param log: as in :func:`send`. The package also calls it after the return.
    :param arguments: trigger arguments, including config_file_path.
    :param claimed_config_path: the config_file_path of the triggers whose requests are claimed.
    :returns: ``claimed``, a count of requests, and ``error``: None, or why none was claimed (``message``, ``hint``,
        and ``retryable``: a later call may succeed without a change).
    """

def stop_work(seconds: float) -> int:
    """Stop claiming, wait at most ``seconds`` for deliveries in flight, and release the rest to other processes.

    :returns: the number of released deliveries.
    """

def metrics() -> str:
    """The metrics of this process as Prometheus text."""
