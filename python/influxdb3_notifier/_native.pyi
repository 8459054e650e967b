"""The extension module: every function is total, what goes wrong is answered as JSON with a status."""

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
"""The values of ``PLUGIN_API`` in ``notifier_plugin.py`` that this wheel takes."""

LEVELS: Final[tuple[str, ...]]
"""The names of the levels, the least first."""

STATUSES: Final[tuple[str, ...]]
"""The statuses of a notification."""

REASONS: Final[tuple[str, ...]]
"""The codes of the reasons why a delivery fails."""

def channels() -> str:
    """A JSON list of objects: what is known of every channel, in the registry's order."""

def plugin_source() -> str:
    """The text of the ``notifier_plugin.py`` that belongs to this wheel."""

def process_request(
    plugin_api: int,
    influxdb3_local: object,
    query_parameters: object,
    request_headers: object,
    request_body: object,
    args: object,
) -> tuple[object, int] | tuple[object, int, dict[str, str]]:
    """Answer one call of a ``request:`` trigger.

    :param plugin_api: the calling file's ``PLUGIN_API``; one that the wheel does not take is answered 503.
    :param influxdb3_local: the engine's object; its log methods are kept until the last delivery has ended.
    :param query_parameters: mapping of str to str, or None.
    :param request_headers: mapping of str to str with names in lower case, or None.
    :param request_body: bytes, already inflated, or None.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    :returns: (body, status) or (body, status, headers), as the engine reads a plugin's return value.
    """

def process_scheduled_call(plugin_api: int, influxdb3_local: object, call_time: object, args: object) -> None:
    """Go on with what former processes have left in the outbox; waits for no delivery.

    :param plugin_api: the calling file's ``PLUGIN_API``; one that the wheel does not take is logged.
    :param influxdb3_local: the engine's object; its log methods are kept until the next call.
    :param call_time: when the engine called, a naive local datetime; not used.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    """

def process_writes(plugin_api: int, influxdb3_local: object, table_batches: object, args: object) -> None:
    """Make notifications of the rows that were written to a table; waits for no delivery.

    :param plugin_api: the calling file's ``PLUGIN_API``; one that the wheel does not take is logged.
    :param influxdb3_local: the engine's object; its log methods are kept until the last delivery has ended.
    :param table_batches: list of {"table_name": str, "rows": list of dict of str to str, int, float or bool}; ``time``
        is in nanoseconds since 1970.
    :param args: the trigger arguments, mapping of str to str, or None when there are none.
    """

class OutboxError(Exception):
    """An outbox cannot be used; ``args`` are what is wrong and what to do."""

@final
class DeliveryFilter:
    """Which deliveries of an outbox are meant: those to which all that is given applies."""

    def __new__(
        cls,
        *,
        task: tuple[str, int | None] | None = None,
        states: Sequence[str] | None = None,
        sender: str | None = None,
        receiver: str | None = None,
        reason: str | None = None,
    ) -> Self:
        """Select deliveries; all conditions must hold.

        :param task: a task_id or its beginning, and an index or None.
        :param states: some of waiting, dead, ended, dropped; none: any.
        :param reason: the code of a failure's reason.
        """

@final
class Outbox:
    """An outbox that is there, for the command line."""

    def __new__(cls, place: str | PathLike[str], config: str | PathLike[str] | None = None) -> Self:
        """Open the file, or connect to the NATS servers.

        :param place: a path, or ``nats://`` addresses, separated by spaces.
        :param config: the configuration file that says how the servers are reached.
        :raises OutboxError: it is not there, or cannot be used; as from every method.
        """

    def list(self, delivery_filter: DeliveryFilter, limit: int) -> list[dict[str, Any]]:
        """Deliveries, the oldest first.

        :returns: ``id``, ``state``, ``accepted``, ``deadline``, ``ended`` (milliseconds since 1970), ``owned``,
            ``sealed``, and ``delivery`` as answers have it.
        """

    def request_json(self, task: str) -> str | None:
        """The request as JSON, without its destinations; None: there is no such task."""

    def retry(self, delivery_filter: DeliveryFilter) -> int:
        """Let dead letters be delivered again; gives back how many."""

    def drop(self, delivery_filter: DeliveryFilter) -> int:
        """End deliveries without delivering them; gives back how many."""

    def stats(self) -> dict[str, int | None]:
        """Counts of the whole outbox.

        :returns: ``waiting``, ``dead``, ``ended``, ``dropped``, ``requests``, ``bytes``, and ``oldest`` (milliseconds
            since 1970; None where nothing waits).
        """

# For the command line. Those that send nothing give {"refused": …, "result": …}, of which one is None. ``refused`` has
# one member: ``unreadable`` (words to follow the file's name), ``unusable`` (the result of a check), ``request``
# ({"code", "message", "path", "hint"}) or ``time`` (words to follow the option's name).

def check(path: str | PathLike[str], arguments: dict[str, str], resolve: bool) -> dict[str, Any]:
    """Check a configuration file.

    :param arguments: of the trigger; config_file_path is ``path``.
    :param resolve: whether secrets are looked up, in this process's environment and in files.
    :returns: ``errors`` and ``warnings`` ({"line", "column", "path", "what"}), ``receivers`` ({"name", "channels"}),
        ``default_receivers``, ``routes`` (how many), ``templates``, ``silences``, ``variables``, ``files``.
    """

def routes(
    path: str | PathLike[str], request: bytes, arguments: dict[str, str], resolve: bool, at: str | None
) -> dict[str, Any]:
    """Say who would get the notification of a request, and why.

    :param at: a time of RFC 3339; None: now.
    :returns: ``level``, ``fields``, ``receivers``, ``senders``, ``rules_asked``, ``routes``, ``silences``,
        ``suppressed_by``, ``warnings``.
    """

def render(
    path: str | PathLike[str] | None, request: bytes, arguments: dict[str, str], resolve: bool, at: str | None
) -> dict[str, Any]:
    """Compose what each channel would be sent.

    :param path: None: without a file; a request that names nobody is then rendered for every channel.
    :returns: ``deliveries`` ({"sender", "receiver", "destination", "content_type", "messages", "segments", "reason",
        "detail", "path"}), ``warnings``.
    """

def check_templates(path: str | PathLike[str], request: bytes | None, at: str | None) -> dict[str, Any]:
    """Check every template of a configuration file, and render it of a request's notification if there is one.

    :returns: a list of {"path", "line", "column", "errors", "warnings", "text"}.
    """

def is_level(word: str, path: str | PathLike[str] | None) -> dict[str, Any]:
    """Whether a word is a level or another word for one, also by the file's ``level_map``.

    :param path: None: without a file.
    :returns: a boolean.
    """

def send(log: object, request: bytes, arguments: dict[str, str], wait: float | None) -> dict[str, Any]:
    """Send a request as the endpoint would, and wait for the end of every delivery.

    :param log: has ``info``, ``warn`` and ``error``, which are called with each log line as it comes.
    :param arguments: of the trigger, config_file_path among them.
    :param wait: seconds; None: until everything has ended. What has not ended then is ``pending``, and goes on.
    :returns: what the endpoint would answer then.
    :raises KeyboardInterrupt: by a signal while it waits.
    """

def work(log: object, arguments: dict[str, str], claimed_config_path: str) -> dict[str, Any]:
    """Take over what the outbox holds and nobody has in hand; returns at once.

    :param log: as in :func:`send`; called later too.
    :param arguments: of the trigger, config_file_path among them.
    :param claimed_config_path: the config_file_path of the triggers whose requests are taken over.
    :returns: ``taken``, how many requests, and ``trouble``: None, or why nothing could be taken (``message``, ``hint``,
        and ``passes``: it may change by itself).
    """

def stop_work(seconds: float) -> int:
    """Take over nothing more, wait for what is in flight, at most so many seconds, and let others have the rest.

    :returns: how many deliveries are left to others.
    """

def metrics() -> str:
    """Give the metrics of this process as Prometheus text."""
