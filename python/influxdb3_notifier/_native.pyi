"""The extension module: every function is total, what goes wrong is answered as JSON with a status."""

from typing import Final

__all__ = ["PLUGIN_APIS", "__version__", "channels", "plugin_source", "process_request"]

__version__: Final[str]
"""The version of the wheel, as in its metadata."""

PLUGIN_APIS: Final[tuple[int, ...]]
"""The values of ``PLUGIN_API`` in ``notifier_plugin.py`` that this wheel takes."""

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
